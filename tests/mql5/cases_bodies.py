"""Code inside of functions that the analysis takes, and code that it rejects."""

from __future__ import annotations

#: What every snippet may use.
HEAD = """
#define LIMIT 16
#define TITLE "title"
enum ENUM_STATE { STATE_IDLE, STATE_BUSY=5, STATE_LAST };
enum ENUM_OTHER { OTHER_ONE };
struct SPoint { int x; int y; };
struct SPoint3 : public SPoint { int z; };
struct SText { string text; int values[]; };
union UBits { double d; ulong u; uchar b[8]; };
class CBase
  {
protected:
   int               m_size;
public:
                     CBase(void) : m_size(0) {}
   virtual          ~CBase(void) {}
   virtual int       Size(void) const { return(m_size); }
   virtual void      Grow(const int by) { m_size+=by; }
   static int        Count(void) { return(1); }
  };
class CBox : public CBase
  {
private:
   string            m_name;
   int               m_cells[LIMIT];
   CBase            *m_next;
   void              Hidden(void) {}
public:
                     CBox(const string name,const int size=1) : m_name(name), m_next(NULL) { m_size=size; }
   virtual int       Size(void) const override { return(m_size+1); }
   string            Name(void) const { return(m_name); }
   CBase            *Next(void) { return(m_next); }
   int               Cell(const int index) const { return(m_cells[index]); }
   void              Copy(CBox &other) { m_name=other.m_name; other.Hidden(); }
  };
class CShape
  {
public:
   virtual double    Area(void) const =0;
  };
class CLater;
input int InpPort=5600;
int g_count=0;
const int g_limit=5;
void ByReference(int &value) {}
void ByConstReference(const int &value) {}
void ByValue(const int value,const string text="x") {}
void Numbers(const long &values[],int &result[]) {}
void GivePoint(const SPoint &point) {}
void ChangePoint(SPoint &point) {}
void Base(CBase &object) {}
void Pointer(CBase *object) {}
SPoint MakePoint(void) { SPoint point={}; return(point); }
int Overloaded(const int value) { return(1); }
double Overloaded(const double value) { return(1.0); }
string Overloaded(const string value) { return("x"); }
"""

NAMES = """
   int i=0;
   uint u=0;
   long l=0;
   ulong ul=0;
   uchar c=0;
   ushort us=0;
   double d=0.0;
   float f=0.0;
   bool b=false;
   string s="";
   datetime t=0;
   color col=0;
   ENUM_STATE state=STATE_IDLE;
   ENUM_OTHER other=OTHER_ONE;
   SPoint point={};
   SPoint3 point3={};
   SText text={};
   UBits bits={};
   int fixed[3]={};
   int dynamic[];
   long longs[];
   string strings[];
   CBase base;
   CBox box("x");
   CBox *pbox=new CBox("x");
   CBase *pbase=pbox;
   const CBase *pconst=pbase;
"""


#: And what comes too late.
TAIL = """
int g_later=1;
#define LATER 1
class CLater { public: void Run(void) {} };
"""


def in_body(text: str) -> str:
    return f"{HEAD}void Work(void)\n  {{{NAMES}{text}\n  }}\n{TAIL}"


ACCEPTED = [
    # numbers
    "l=i; ul=u; l=u; d=i; d=f; i=c; u=us; i=us; i=b; l=t; i=state; l=state;",
    "t=l; t=i; col=u; col=0xFF; u=col; l=col;",
    "c=255; us='A'; c='A'; u=LIMIT; l=-5; f=0.1; d=5; d=LIMIT*2; c=(uchar)i; i=(int)l;",
    "i=(int)d; b=(i!=0); d=(double)l; s=(string)d; i=(int)s; d=(double)s; b=(bool)i;",
    "state=(ENUM_STATE)i; i=(int)state; other=(ENUM_OTHER)state; t=(datetime)s;",
    "i=c+us; i=c<<2; i=~c; i=-c; l=i*l; d=i/d; ul=u+ul; i=i%3; i=i&c; l=l|i; i=state+1;",
    "i+=1; c+=1; c^=c; l+=i; d+=i; d*=2; i<<=3; c>>=1; b|=true; b&=(i>0); t+=60; u|=1;",
    "i++; --d; t++; c--;",
    "t=t+60; t=t-60; l=t-t; i=(int)(t-t); t-=60;",
    "i=-2147483648; u=4294967295; ul=18446744073709551615; l=9223372036854775807;",
    "i=sizeof(SPoint); u=sizeof(point); i=sizeof(long)+sizeof(fixed);",
    # text
    's="a"+1; s=1+"a"; s=s+d+b+t+state+col; s+="x"; s+=1; s=NULL; b=(s==NULL); b=(s!="x");',
    's="a" "b"; b=(s<"x"); s=TITLE; s=TITLE+"x";',
    # truth
    "if(b) i=1; if(i) i=1; if(!i) i=1; while(pbox) break; b=(b && i>0 || !pbox);",
    # comparisons
    "b=(i<l); b=(u<5); b=(0<u); b=(ul>=LIMIT); b=(c<i); b=(d>i); b=(t>l); b=(t==0); b=(u==c);",
    "b=(state==STATE_BUSY); b=(state==5); b=(pbox==NULL); b=(NULL!=pbase); b=(pbox==pbase);",
    # ternaries
    'i=b ? 1 : 2; l=b ? l : 0; l=b ? 0 : l; s=b ? s : ""; pbox=b ? pbox : NULL; c=b ? c : 255;',
    "state=b ? STATE_IDLE : STATE_BUSY; t=b ? t : (datetime)0; d=b ? d : 0.0; b=b ? i>0 : false;",
    # arrays
    'fixed[0]=1; fixed[i]=2; dynamic[u]=3; i=fixed[2]; strings[0]+="x"; text.values[0]=1;',
    "i=ArraySize(dynamic); ArrayResize(dynamic,i); ArrayResize(text.values,1); ArrayFree(longs);",
    "ArrayCopy(dynamic,fixed); ArrayInitialize(longs,0); ArrayFill(longs,0,1,5); ArrayInitialize(dynamic,-1);",
    "Numbers(longs,dynamic); Numbers(longs,fixed);",
    "int local[]={1,2,3}; int sized[LIMIT]; int half[LIMIT/2]={}; i=sizeof(local);",
    "SPoint points[2]={{1,2},{3,4}}; points[0].x=points[1].y;",
    "bits.d=1.5; ul=bits.u; c=bits.b[7];",
    # structs and objects
    "point=MakePoint(); point=point3; i=MakePoint().x; GivePoint(point); GivePoint(point3); ChangePoint(point);",
    "SPoint copy=point; SPoint filled={1,2}; copy=filled; SPoint3 empty={}; empty.x=1;",
    "i=box.Size(); i=pbox.Size(); s=box.Name(); i=pbox.Next().Size(); i=pconst.Size();",
    "Base(base); Base(box); Base(pbox); Pointer(pbox); Pointer(&box); Pointer(GetPointer(box)); Pointer(NULL);",
    "pbase=pbox; pconst=pbox; pbox=dynamic_cast<CBox *>(pbase); pbase=(CBase *)pbox; pbase=&box;",
    'delete pbox; pbox=NULL; pbase=new CBase; pbase=new CBox("x",2); box.Copy(box); pbox.Copy(pbox);',
    "i=CBase::Count(); i=box.Count(); CheckPointer(pbox); b=(CheckPointer(pbase)==POINTER_INVALID);",
    # references and calls
    "ByReference(i); ByReference(fixed[0]); ByReference(point.x); ByConstReference(InpPort);",
    'ByConstReference(g_limit); ByValue(1); ByValue(c,"y"); ByValue(i+1,s); ByValue(state);',
    'i=Overloaded(1); i=Overloaded(c); d=Overloaded(1.5); s=Overloaded("x"); d=Overloaded(f);',
    "i=::Overloaded(1); i=::g_count;",
    # the API
    'Print(i," ",d,s,b,t,state,col); PrintFormat("%d %s",i,s); s=StringFormat("%I64d",l);',
    "i=MathMax(i,5); l=MathMin(l,0); d=MathMax(d,i); l=MathMax(l,i); s=EnumToString(state);",
    "MqlTick ticks[]; i=CopyTicks(_Symbol,ticks,COPY_TICKS_ALL,0,10); MqlTick tick={}; b=SymbolInfoTick(s,tick);",
    "l=SymbolInfoInteger(s,SYMBOL_DIGITS); b=SymbolInfoInteger(s,SYMBOL_DIGITS,l); i=_Digits; i=GetLastError();",
    "ZeroMemory(point); ZeroMemory(fixed); ZeroMemory(text); ArraySort(longs); uchar bytes[]; i=StringToCharArray(s,bytes,0,WHOLE_ARRAY,CP_UTF8); StructToCharArray(point,bytes); CharArrayToStruct(bits,bytes);",
    "b=StructToCharArray(point,bytes2); "
    if False
    else "t=TimeCurrent(); MqlDateTime parts={}; t=TimeCurrent(parts);",
    # statements
    "switch(i) { case 1: case LIMIT: i=2; break; default: { int inner=1; i=inner; } }",
    "switch(state) { case STATE_IDLE: return; case STATE_BUSY: break; }",
    "switch(c) { case 'A': break; case 255: break; } switch(i) { case STATE_IDLE: break; }",
    "for(int n=0;n<3;n++) { if(n==1) continue; break; } for(int n=0,m=9;n<m;n++,m--) ;",
    "for(i=0;;) break; do { i++; } while(i<3); while(true) break;",
    "static int calls=0; calls++; const int once=i; static const double half=0.5*LIMIT; d=once+half;",
    "{ int inner=1; i=inner; } { int inner=2; i=inner; }",
]


#: One fault each, inside of a function.
REJECTED = [
    ("missing=1;", "N001"),
    ("i=missing;", "N001"),
    ("i=ByValue;", "N001"),
    ("i=box.m_next.missing;", "N007 N006"),
    ("later=1; int later=1;", "N001"),
    ("i=g_later;", "N001"),
    ("i=LATER;", "N001"),
    ("Missing(1);", "N002"),
    ("i();", "N002"),
    ("::Missing();", "N002"),
    ("CLater object;", "N003"),
    ("CLater *q=NULL; q.Run();", "N003"),
    ("i=CLater::missing;", "N006"),
    ("i=ENUM_STATE::STATE_IDLE;", "N006"),
    ("SPoint::Run();", "N006"),
    ("CBase::Run();", "N006"),
    ("int i=1;", "N004"),
    ("{ int i=1; }", "N005"),
    ("for(int i=0;i<1;i++) ;", "N005"),
    ("int g_count=1;", "N005"),
    ("int Overloaded=1;", "N005"),
    ("int Print=1;", "N005"),
    ("int LIMIT2=LIMIT, STATE_IDLE=1;", "N005"),
    ("int _Symbol=1;", "N005"),
    ("point.missing=1;", "N006"),
    ("box.Missing();", "N006"),
    ("i=box.Name;", "N006"),
    ("i=i.x;", "N006"),
    ("i=fixed.x;", "N006"),
    ("i=s.Length();", "N006"),
    ("box.Hidden();", "N007"),
    ("i=box.m_size;", "N007"),
    ("s=box.m_name;", "N007"),
    # numbers
    ("i=l;", "T001"),
    ("i=u+l;", "T001"),
    ("i=d;", "T001"),
    ("f=d;", "T001"),
    ("d=l;", "T001"),
    ("d=ul;", "T001"),
    ("f=i;", "T001"),
    ("c=i;", "T001"),
    ("c=256;", "T001"),
    ("c=-1;", "T001"),
    ("u=-1;", "T001"),
    ("ul=-1;", "T001"),
    ("c=c+1;", "T001"),
    ("us=c+c;", "T001"),
    ("i=t;", "T001"),
    ("i=1.5;", "T001"),
    ("i=5000000000;", "T001"),
    ("col=l;", "T001"),
    ("b=i;", "T001"),
    ("b=1;", "T001"),
    ("state=1;", "T001"),
    ("state=i;", "T001"),
    ("t=d;", "T001"),
    ("t=state;", "T001"),
    ("d=b;", "T001"),
    ("c+=i;", "T001"),
    ("i+=d;", "T001"),
    ("i*=l;", "T001"),
    ("i=fixed[l];", "T001"),
    ("ByValue(l);", "T001"),
    ("int n=l;", "T001"),
    ("int ns[]={1,l};", "T001"),
    ("SPoint p={1,l};", "T001"),
    ("switch(c) { case 256: break; }", "T001"),
    # text
    ("s=i;", "T002"),
    ("s='A';", "T002"),
    ("i=s;", "T002"),
    ('i="1";', "T002"),
    ("s=state;", "T002"),
    ("b=(s==i);", "T002"),
    ("ByValue(1,2);", "T002"),
    ('ByValue("1");', "T002"),
    ("i=StringLen(5);", "T002"),
    # other types
    ("state=other;", "T014"),
    ("point=i;", "T003"),
    ("point=base;", "T003"),
    ("point3=point;", "T003"),
    ("i=point;", "T003"),
    ("pbase=point;", "T016"),
    ("pbox=pbase;", "T003"),
    ("pbox=i;", "T016"),
    ("i=pbox;", "T003"),
    ("i=NULL;", "T003"),
    ("i=ZeroMemory(point);", "T003"),
    ("fixed[s]=1;", "T003"),
    ("fixed[d]=1;", "T003"),
    ("fixed[b]=1;", "T003"),
    ("fixed[3]=1;", "T003"),
    ('fixed["x"]=1;', "T003"),
    ("fixed[-1]=1;", "T003"),
    ("Numbers(longs,longs);", "T003"),
    ("Numbers(i,dynamic);", "T003"),
    ("Numbers(longs,i);", "T003"),
    ("ByValue(fixed);", "T003"),
    ("GivePoint(i);", "T003"),
    ("ByReference(l);", "T003"),
    ("ByReference(u);", "T003"),
    ("b=SymbolInfoInteger(s,SYMBOL_DIGITS,i);", "T003"),
    ("Overloaded(point);", "T003"),
    ("Print(point);", "T003"),
    ("Print(fixed);", "T003"),
    ("Print(s,pbox);", "T003"),
    ('PrintFormat("%d",point);', "T003"),
    ("s=EnumToString(i);", "T003"),
    ("i=MathMax(s,i);", "T003"),
    ("ArrayCopy(dynamic,longs);", "T003"),
    ("ArraySize(i);", "T003"),
    ("i=sizeof(dynamic);", "T003"),
    ("i=sizeof(s);", "T003"),
    ("i=sizeof(string);", "T003"),
    ("i=sizeof(SText);", "T003"),
    ("i=sizeof(CBase);", "T003"),
    ("i=sizeof(pbox);", "T003"),
    ("ArrayInitialize(dynamic,l);", "T001"),
    ("ArrayInitialize(strings,s);", "T003"),
    ("ArraySort(strings);", "T003"),
    ("ZeroMemory(box);", "T003"),
    ("ZeroMemory(pbox);", "T003"),
    ("uchar bytes[]; StructToCharArray(text,bytes);", "T003"),
    ("uchar bytes[]; CharArrayToStruct(box,bytes);", "T003"),
    ("uchar bytes[]; CharArrayToStruct(i,bytes);", "T003"),
    ("uchar bytes[]; StructToCharArray(dynamic,bytes);", "T003"),
    ("FileWriteArray(i,strings);", "T003"),
    ("ArrayFill(dynamic,0,1,s);", "T002"),
    # operators
    ("s=s-1;", "T004"),
    ("s=s*s;", "T004"),
    ("s-=s;", "T004"),
    ("s+=point;", "T004"),
    ("s=s+pbox;", "T004"),
    ("s=s+NULL;", "T004"),
    ("i=point+1;", "T004"),
    ("i=-s;", "T004"),
    ("i=-b;", "T004"),
    ("i=~d;", "T004"),
    ("d=d%2;", "T004"),
    ("i=d&1;", "T004"),
    ("i=d<<1;", "T004"),
    ("i=i<<d;", "T004"),
    ("i=i/0;", "T004"),
    ("i%=0;", "T004"),
    ("s++;", "T004"),
    ("b++;", "T004"),
    ("state++;", "T004"),
    ("state+=1;", "T004"),
    ("b+=1;", "T004"),
    ("d&=1;", "T004"),
    ("d<<=1;", "T004"),
    ("point+=1;", "T004"),
    ("pbox++;", "T004"),
    ("pbase=pbox+1;", "T004"),
    ("b=(pbox<pbase);", "T004"),
    ("b=(point==point);", "T004"),
    ("b=(pbox==1);", "T004"),
    ("b=(fixed==dynamic);", "T004"),
    ("b=(b==1);", "T004"),
    ("b=(i==NULL);", "T004"),
    ("i[0]=1;", "T004"),
    ("us=s[0];", "T004"),
    # references
    ("ByReference(1);", "T005"),
    ("ByReference(i+1);", "T005"),
    ("ByConstReference(1);", "T005"),
    ("ByConstReference(ArraySize(fixed));", "T005"),
    ("ByConstReference(LIMIT);", "T005"),
    ("ByConstReference((int)l);", "T005"),
    ("ByConstReference(i++);", "T005"),
    ("GivePoint(MakePoint());", "T005"),
    ("ByReference(MakePoint().x);", "T005"),
    ("pbase=&MakePoint();", "T016"),
    # copies
    ("CBase other_base=base;", "T006"),
    ("base=box;", "T006"),
    ("dynamic=fixed;", "T007"),
    ("strings=NULL;", "T007"),
    ("int copied[]=fixed;", "T007"),
    ("ArrayResize(fixed,5);", "T007"),
    ("ArrayFree(fixed);", "T007"),
    # constants
    ("InpPort=1;", "T008"),
    ("g_limit=1;", "T008"),
    ("g_limit++;", "T008"),
    ("LIMIT=1;", "T008"),
    ("STATE_IDLE=STATE_BUSY;", "T008"),
    ("_Digits=1;", "T008"),
    ("1=i;", "T008"),
    ("i+1=i;", "T008"),
    ("MakePoint().x=1;", "T008"),
    ("ArraySize(fixed)=1;", "T008"),
    ("ByReference(InpPort);", "T008"),
    ("ByReference(g_limit);", "T008"),
    ("const int once=1; once=2;", "T008"),
    ("const int twice[2]={1,2}; twice[0]=2;", "T008"),
    ("const int three[2]={1,2}; Numbers(longs,three);", "T008"),
    ("const SPoint p={}; p.x=1;", "T008"),
    ("const SPoint p={}; ChangePoint(p);", "T008"),
    # calls
    ("ByValue();", "T009"),
    ('ByValue(1,"x",2);', "T009"),
    ("Print();", "T009"),
    ("box.Name(1);", "T009"),
    ("pbox=new CBox;", "T009"),
    ("CBox empty;", "T009"),
    ("CBox boxes[2];", "T009"),
    ("i=StringLen(s,1);", "T009"),
    ("Overloaded(1,2);", "T009"),
    ("d=Overloaded(l);", "T010"),
    ("Overloaded(pbox);", "T003"),
    ("d=Overloaded(u);", "T010"),
    # constant expressions
    ("static int calls=i;", "T011"),
    ("static int calls=ArraySize(fixed);", "T011"),
    ("const int once;", "T011"),
    ("int n[i];", "T012"),
    ("int n[g_limit];", "T012"),
    ("int n[0];", "T012"),
    ("int n[-1];", "T012"),
    ("int n[1.5];", "T012"),
    ("switch(i) { case g_limit: break; }", "T012"),
    ("switch(i) { case i: break; }", "T012"),
    ('switch(i) { case "x": break; }', "T012"),
    # ternaries, enums, signs, pointers, conditions
    ("l=b ? i : l;", "T013"),
    ("d=b ? d : 0;", "T013"),
    ("d=b ? 1 : 2.5;", "T013"),
    ("t=b ? t : 0;", "T013"),
    ("s=b ? s : 1;", "T013"),
    ("s=b ? s : NULL;", "T013"),
    ("i=b ? state : 0;", "T013"),
    ("i=b ? state : other;", "T013"),
    ("pbase=b ? pbox : pbase;", "T013"),
    ("b=(state==other);", "T014"),
    ("b=(state==OTHER_ONE);", "T014"),
    ("switch(state) { case OTHER_ONE: break; }", "T014"),
    ("switch(state) { case 5: break; }", "T014"),
    ("b=(i<u);", "T015"),
    ("b=(l==ul);", "T015"),
    ("b=(ArraySize(fixed)>=u);", "T015"),
    ("u=MathMax(i,u);", "T015"),
    ("b=(u>-1);", "T015"),
    ("SPoint *p=NULL;", "T016"),
    ("ENUM_STATE *p=NULL;", "T016"),
    ("pbase=&point;", "T016"),
    ("pbase=&pbox;", "T016"),
    ("pbase=GetPointer(point);", "T016"),
    ("CheckPointer(point);", "T016"),
    ("CheckPointer(box);", "T016"),
    ("Pointer(box);", "T016"),
    ("pbase=new SPoint;", "T016"),
    ("if(s) i=1;", "T017"),
    ("if(d) i=1;", "T017"),
    ("if(point) i=1;", "T017"),
    ("if(fixed) i=1;", "T017"),
    ("while(s+1) i=1;", "T017"),
    ("b=(i>0 && s);", "T017"),
    ("b=!d;", "T017"),
    ("i=s ? 1 : 2;", "T017"),
    ("int n[2]={1,2,3};", "T018"),
    ("SPoint p={1,2,3};", "T018"),
    ("int n={1};", "T018"),
    ("SPoint3 p={1};", "T018"),
    ("CBase n={};", "T018"),
    ("UBits n={1.5,2};", "T018"),
    ("point=(SPoint)point3;", "T019"),
    ("i=(int)point;", "T019"),
    ("i=(int)pbox;", "T019"),
    ("s=(string)fixed;", "T019"),
    ("pbox=(CBox *)pbase;", "T019"),
    ("CShape *shape=dynamic_cast<CShape *>(pbase);", "T019"),
    ("pbox=dynamic_cast<CBox *>(i);", "T019"),
    # classes
    ("CShape shape;", "C001"),
    ("CShape *shape=new CShape;", "C001"),
    ("pconst.Grow(1);", "C005"),
    ("const CBase fixed_base; fixed_base.Grow(1);", "C005 T011"),
    ("pbase=pconst;", "C005"),
    ("pbase=(CBase *)pconst;", "C005"),
    ("Pointer(pconst);", "C005"),
    ("point.x=this.x;", "C008"),
    ("CBase::Grow(1);", "C008"),
    ("i=CBase::m_size;", "C008"),
    ("int n(5);", "C006"),
    ("SPoint p(1,2);", "C006"),
    # statements
    ("return 1;", "S002"),
    ("switch(s) { case 1: break; }", "S003"),
    ("switch(d) { case 1: break; }", "S003"),
    ("switch(b) { case 1: break; }", "S003"),
    ("switch(point) { case 1: break; }", "S003"),
    ("switch(i) { case 1: break; case 1: break; }", "S004"),
    ("switch(i) { case 16: break; case LIMIT: break; }", "S004"),
    ("switch(i) { default: break; default: break; }", "S004"),
    ("switch(i) { case 1: int n=1; }", "S005"),
    ("break;", "S006"),
    ("continue;", "S006"),
    ("if(b) break;", "S006"),
    ("switch(i) { case 1: continue; }", "S006"),
    ("delete point;", "S007"),
    ("delete i;", "S007"),
    ("delete box;", "S007"),
    ("i;", "S008"),
    ("i==1;", "S008"),
    ("i+1;", "S008"),
    ("new CBase;", "S008"),
    ("b ? i : i;", "S008"),
    ("(int)l;", "S008"),
]  # fmt: skip
