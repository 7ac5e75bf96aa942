// What the translated language does, case by case: test_codegen.py runs each and compares.
// A comment of two slashes and an equals sign says what must be printed.

#property copyright "none"
#property version   "1.00"

#include "language_types.mqh"

enum ENUM_CASE
  {
   CASE_NONE,
   CASE_INTEGERS,
   CASE_REALS,
   CASE_STRINGS,
   CASE_ESCAPES,
   CASE_TEXTS,
   CASE_ENUMS,
   CASE_CLASSES,
   CASE_POINTERS,
   CASE_STRUCTS,
   CASE_UNIONS,
   CASE_ARRAYS,
   CASE_CONTROL,
   CASE_STATICS,
   CASE_CALLS,
   CASE_POISON,
   CASE_NAMES,
   CASE_INPUTS,
   CASE_LEAKS,
   CASE_CONSTANTS
  };

input ENUM_CASE InpCase=CASE_NONE;
input int       InpFailure=0;
input string    InpText="default text";
input double    InpNumber=1.5;
input bool      InpFlag=false;
input ulong     InpHuge=18446744073709551615;
input uchar     InpSmall=7;

#define SIZE   3
#define TWICE  (SIZE*2)
#define WORDS  "one" " two"
#define MASK   0xFFFFFFFF
#define NEGATIVE -5

//--- integers
void Integers()
  {
   int highest=INT_MAX;
   highest++;
   Print(highest);                                //= -2147483648
   long longest=LONG_MAX;
   longest+=1;
   Print(longest);                                //= -9223372036854775808
   uchar byte=250;
   byte+=10;
   Print(byte);                                   //= 4
   byte=(uchar)(byte-5);
   Print(byte," ",(char)byte);                    //= 255 -1
   const uchar left=200, right=100;
   Print(left+right);                             //= 300
   Print(7/2," ",-7/2," ",7%3," ",-7%3);          //= 3 -3 1 -1
   int value=17;
   value/=5;
   value*=4;
   value-=2;
   value%=7;
   value<<=4;
   value|=1;
   value^=3;
   value&=0xFE;
   value>>=1;
   Print(value);                                  //= 25
   uint word=MASK;
   word++;
   Print(word," ",MASK," ",~(uint)0);             //= 0 4294967295 4294967295
   const long wide=(long)1<<40;
   Print(wide," ",(int)(wide+3)," ",wide>>38);    //= 1099511627776 3 4
   Print((int)3.99," ",(int)-3.99);               //= 3 -3
   const ushort letter='A';
   Print(letter," ",(uchar)letter+1);             //= 65 66
   short small=-2;
   ushort same=(ushort)small;
   Print(same," ",~small," ",-small);             //= 65534 1 2
   int i=5;
   const int before=i++;
   const int after=++i;
   i--;
   Print(before," ",after," ",i);                 //= 5 7 6
   Print(5>3 && 2>1," ",5<3 || 2<1," ",!true);    //= true false false
   uchar divided=200;
   divided/=7;
   Print(divided);                                //= 28
   ulong huge=ULONG_MAX;
   Print(huge," ",huge/10," ",huge%10);           //= 18446744073709551615 1844674407370955161 5
  }

//--- reals
void Reals()
  {
   Print(1.0," ",0.1," ",1e-13," ",1e20);         //= 1.0 0.1 1e-13 1e+20
   Print(7/2.0," ",(double)7/2," ",1.0/3.0);      //= 3.5 3.5 0.3333333333333333
   double sum=0.1;
   sum+=0.2;
   Print(sum," ",sum==0.3," ",DBL_MAX);           //= 0.3 false 1.797693134862316e+308
   int whole=10;
   whole*=2;
   double half=whole;
   half/=3;
   Print(half);                                   //= 6.666666666666667
   const float single=(float)0.5;
   Print(single);                                 //= 0.50000
   Print(MathMax(3,7)," ",MathMin(2.5,1.0)," ",MathAbs(-0.5)); //= 7 1.0 0.5
   Print((double)"2.5"+1," ",(int)"12"," ",(string)2.0); //= 3.5 12 2.0
  }

//--- strings
void Strings()
  {
   string nothing=NULL;
   string unset;
   string empty="";
   Print(nothing==NULL," ",unset==NULL," ",empty==NULL," ",nothing==empty); //= true true false false
   string text="a"+"b"+(string)5+"c";
   text+="!";
   Print(text," ",text=="ab5c!"," ","a"<"b");     //= ab5c! true true
   Print(WORDS," ",InpText);                      //= one two default text
   text=(string)true+(string)D'2024.02.29 01:02:03'+(string)-7+(string)2.5+(string)'A';
   Print(text);                                   //= true2024.02.29 01:02:03-72.565
   PrintFormat("%d|%5.2f|%s|%I64d|%u|%X|%c|%%",-5,1.255,"x",(long)1<<40,MASK,255,'A'); //= -5| 1.25|x|1099511627776|4294967295|FF|A|%
   Print(StringFormat("%.*f %-4s|",3,1.5,"ab"));  //= 1.500 ab  |
  }

void Escapes()
  {
   Print("quote \" back \\ slash");               //= quote " back \ slash
   Print("tab\tend");                             //= tab	end
   Print("\x41\x42"+"\xe9");                      //= ABé
   Print("?? ?""?= %d {}");                       //= ?? ??= %d {}
  }

void Texts()
  {
   const datetime when=D'2024.02.29 12:30:00';
   Print(when," ",when+60," ",(long)when);        //= 2024.02.29 12:30:00 2024.02.29 12:31:00 1709209800
   const color tint=C'255,128,0';
   Print(tint);                                   //= 255,128,0
   datetime later=when;
   later+=3600;
   Print(later>when," ",later-when);              //= true 3600
   const uchar byte=65;
   const bool flag=true;
   Print(byte," ",flag," ",(int)flag);            //= 65 true 1
  }

//--- arrays
int Sum(const int &values[])
  {
   int sum=0;
   for(int i=0; i<ArraySize(values); i++)
      sum+=values[i];
   return sum;
  }

bool Append(int &values[],const int value)
  {
   const int size=ArraySize(values);
   if(ArrayResize(values,size+1,16)!=size+1)
      return false;
   values[size]=value;
   return Sum(values)>0;
  }

void Swap(int &first,int &second)
  {
   const int kept=first;
   first=second;
   second=kept;
  }

const int g_table[]={1,2,4,8};

void Arrays()
  {
   int fixed[SIZE]={1,2};
   int dynamic[];
   Print(Sum(fixed)," ",fixed[2]," ",Sum(dynamic)," ",ArraySize(dynamic)); //= 3 0 0 0
   if(!Append(dynamic,5) || !Append(dynamic,6))
      return;
   Swap(dynamic[0],fixed[1]);
   const bool appended=Append(fixed,1);
   Print(dynamic[0]," ",fixed[1]," ",Sum(dynamic)," ",appended); //= 2 5 8 false
   Print(Sum(g_table)," ",ArraySize(g_table)," ",g_table[3]); //= 15 4 8
   int target[];
   const int copied=ArrayCopy(target,g_table,1,2);
   Print(copied," ",ArraySize(target)," ",target[1]); //= 2 3 4
   if(!ArrayRemove(target,0,1))
      return;
   Print(target[0]," ",ArraySize(target));        //= 4 2
   string words[2];
   words[0]="x";
   words[1]=words[0]+"y";
   Print(words[1]," ",ArraySize(words));          //= xy 2
   uchar raw[TWICE];
   ArrayFill(raw,0,TWICE,9);
   raw[1]-=10;
   Print(raw[1]," ",raw[5]," ",ArrayIsDynamic(raw)," ",ArrayIsDynamic(dynamic)); //= 255 9 false true
   dynamic[dynamic[0]-1]=3;
   Print(dynamic[1]);                             //= 3
   ArrayFree(dynamic);
   Print(ArraySize(dynamic));                     //= 0
  }

//--- control flow
void Control()
  {
   string trace="";
   for(int i=0, j=10; i<j; i+=2, j--)
     {
      if(i==2)
         continue;
      trace+=(string)i+",";
      if(j<8)
         break;
     }
   Print(trace);                                  //= 0,4,6,
   int n=0;
   while(true)
     {
      n++;
      if(n>3)
         break;
     }
   do
      n+=10;
   while(n<20);
   Print(n);                                      //= 24
   for(n=0; n<3; n++)
      switch(n)
        {
         case 0:
            Print("zero");                        //= zero
         case 1:
           {
            const string falls="through";
            Print(falls," ",n);                   //= through 0
            break;
           }
         default:
            Print("other");
        }
//= through 1
//= other
   const int sign=n>2 ? 1 : -1;
   Print(sign," ",n>5 ? "big" : n>2 ? "middle" : "small"); //= 1 middle
   if(n==1)
      Print("no");
   else
      if(n==3)
         Print("yes");                            //= yes
      else
         Print("no");
   for(;;)
     {
      if(++n>9)
         break;
     }
   Print(n);                                      //= 10
  }

//--- statics and globals
class CNoisy
  {
private:
   int               m_id;
public:
                     CNoisy(const int id) : m_id(id) { if(id<9) Print("begin ",id); }
                    ~CNoisy(void) { if(InpCase==CASE_STATICS) Print("end ",m_id); }
   int               Id() const { return m_id; }
  };

int      g_number=TWICE+1;
string   g_text="global";
int      g_cells[];
double   g_rates[2]={0.5};
datetime g_since=D'2020.01.01';
CNoisy   g_noisy(9);
CNoisy   g_other(10);

int Count()
  {
   static int s_calls=0;
   s_calls++;
   return s_calls;
  }

int NextCell()
  {
   static int s_cells[];
   const int size=ArraySize(s_cells);
   if(ArrayResize(s_cells,size+1)!=size+1)
      return -1;
   s_cells[size]=size*size;
   return s_cells[size];
  }

void Statics()
  {
   Print(g_number," ",g_text," ",ArraySize(g_cells)," ",g_rates[1]," ",g_since); //= 7 global 0 0.0 2020.01.01 00:00:00
   const int once=Count();
   Print(once," ",Count());                       //= 1 2
   const int first=NextCell();
   const int second=NextCell();
   Print(first," ",second," ",NextCell());        //= 0 1 4
   Print(g_noisy.Id());                           //= 9
   CNoisy one(1);                                 //= begin 1
     {
      CNoisy two(2);                              //= begin 2
     }
//= end 2
   Print("last ",one.Id());                       //= last 1
  }
//= end 1
//= end 10
//= end 9

//--- calls
int Overloaded(const int value)     { return value+1; }
string Overloaded(const string value) { return value+"1"; }
double Overloaded(const double value) { return value+0.5; }
int WithDefaults(const int a,const int b=2,const string c="three") { return a+b+StringLen(c); }

void Calls()
  {
   Print(Later(3)," ",WithDefaults(1)," ",WithDefaults(1,1)," ",WithDefaults(1,1,"")); //= 6 8 7 2
   Print(Overloaded(1)," ",Overloaded("1")," ",Overloaded(1.0)); //= 2 11 1.5
   const uchar byte=4;
   Print(Overloaded(byte)," ",Later(byte));       //= 5 8
   SOuter outer={};
   Swap(outer.levels[0],outer.levels[1]);
   FillLevels(outer.levels);
   Swap(outer.levels[0],outer.levels[2]);
   Print(outer.levels[0]," ",outer.levels[2]);    //= 20 0
  }

void FillLevels(int &levels[])
  {
   for(int i=0; i<ArraySize(levels); i++)
      levels[i]=i*10;
  }

int Later(const int value)
  {
   return value*2;
  }

//--- what has no value shows
class CUnset
  {
public:
   int               m_number;
   string            m_text;
   double            m_cells[2];
  };

CUnset g_unset;
int    g_nothing;

void Poison()
  {
   int cells[];
   if(ArrayResize(cells,2)!=2)
      return;
   Print(cells[1]);                               //= -842150451
   CUnset *made=new CUnset;
   Print(made.m_number," ",made.m_text==NULL);    //= -842150451 true
   delete made;
   Print(g_unset.m_number," ",g_nothing);         //= -842150451 -842150451
   CUnset local;
   Print(local.m_number==0," ",local.m_cells[1]==0.0); //= false false
   SInner inner;
   Print(inner.kind==0);                          //= false
  }

//--- names that mean something else in C++
struct SNames
  {
   int               errno;
   int               NAN;
  };

int assert(const int stdin) { return stdin+1; }

void Names()
  {
   SNames names={};
   names.errno=1;
   int stdout=names.errno+names.NAN;
   int mql_at=assert(stdout);
   int at=mql_at+1;
   int text=at, div=2, deref=3, darr=4;
   int cells[1];
   cells[at-at]=text/div;
   Print(stdout," ",mql_at," ",cells[0]," ",(string)(deref+darr)); //= 1 2 1 7
   Print(::Count()>0);                            //= true
  }

void Inputs()
  {
   Print(InpText," ",InpNumber," ",InpFlag," ",InpHuge," ",InpSmall);
  }

void Leaks()
  {
   CShape *lost=new CUnit;
   CShape *another=new CSquare("lost",1);
   Print(lost.Name(),another.Name());             //= unitlost
  }

void Constants()
  {
   Print(TWICE," ",WORDS," ",NEGATIVE+1," ",-NEGATIVE); //= 6 one two -4 5
   Print(INT_MIN," ",LONG_MIN," ",UINT_MAX);      //= -2147483648 -9223372036854775808 4294967295
   Print(sizeof(g_rates)," ",sizeof(long)," ",sizeof(bool)); //= 16 8 1
  }

//--- failures: the line with "fails N" is where failure N has to be told
int      g_zero=0;
int      g_two=2;
CShape  *g_null=NULL;

void Fail(const int failure)
  {
   int cells[];
   int fixed[2]={1,2};
   CShape *shape=new CUnit;
   SOuter outer={};
   switch(failure)
     {
      case 1:
         Print(cells[0]);                         // fails 1
         break;
      case 2:
         fixed[g_two]=1;                          // fails 2
         break;
      case 3:
         Print(fixed[0]
               +fixed[1]
               +fixed[g_zero-1]);                 // fails 3
         break;
      case 4:
         Print(1/g_zero);                         // fails 4
         break;
      case 5:
         fixed[0]%=g_zero;                        // fails 5
         break;
      case 6:
         Print(g_null.Name());                    // fails 6
         break;
      case 7:
         delete shape;
         Print(shape.Kind());                     // fails 7
         break;
      case 8:
         PrintFormat("%d",1.5);                   // fails 8
         break;
      case 9:
         outer.levels[outer.mark+3]++;            // fails 9
         break;
      case 10:
         Rename(g_null,"x");                      // fails 10
         break;
      case 11:
         delete shape;
         delete shape;                            // fails 11
         break;
      case 12:
         for(int i=0;
             i<=fixed[i];                         // fails 12
             i++)
            fixed[i]=5;
         break;
      case 13:
         Print(1<<(g_zero+32));                   // fails 13
         break;
      case 15:
         Print(1.0/g_zero);                       // fails 15
         break;
      case 16:
         Print((int)(1e10+g_zero));               // fails 16
         break;
      default:
        {
         bool flags[];
         if(ArrayResize(flags,1)==1 && flags[0])  // fails 14
            Print("true");
         break;
        }
     }
   Print("went on");
  }

void OnStart()
  {
   if(InpFailure>0)
     {
      Fail(InpFailure);
      return;
     }
   switch(InpCase)
     {
      case CASE_INTEGERS:  Integers();  break;
      case CASE_REALS:     Reals();     break;
      case CASE_STRINGS:   Strings();   break;
      case CASE_ESCAPES:   Escapes();   break;
      case CASE_TEXTS:     Texts();     break;
      case CASE_ENUMS:     Enums();     break;
      case CASE_CLASSES:   Classes();   break;
      case CASE_POINTERS:  Pointers();  break;
      case CASE_STRUCTS:   Structs();   break;
      case CASE_UNIONS:    Unions();    break;
      case CASE_ARRAYS:    Arrays();    break;
      case CASE_CONTROL:   Control();   break;
      case CASE_STATICS:   Statics();   break;
      case CASE_CALLS:     Calls();     break;
      case CASE_POISON:    Poison();    break;
      case CASE_NAMES:     Names();     break;
      case CASE_INPUTS:    Inputs();    break;
      case CASE_LEAKS:     Leaks();     break;
      case CASE_CONSTANTS: Constants(); break;
      default:
         break;
     }
  }
