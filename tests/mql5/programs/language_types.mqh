// The cases of language.mq5 that are about types of a program's own: test_codegen.py runs each.
// A comment of two slashes and an equals sign says what must be printed.

#ifndef LANGUAGE_TYPES_MQH
#define LANGUAGE_TYPES_MQH

//--- enums
enum ENUM_SIDE
  {
   SIDE_NONE=-1,
   SIDE_BUY,
   SIDE_SELL=5,
   SIDE_LAST
  };

string NameOf(const ENUM_SIDE side)
  {
   switch(side)
     {
      case SIDE_NONE:
         return "none";
      case SIDE_BUY:
      case SIDE_SELL:
         return "trade";
      default:
         break;
     }
   return EnumToString(side);
  }

void Enums()
  {
   ENUM_SIDE side=SIDE_SELL;
   Print(side," ",EnumToString(side)," ",(string)side," ",(int)side+1); //= 5 SIDE_SELL 5 6
   side=(ENUM_SIDE)6;
   Print(EnumToString(side)," ",side==SIDE_LAST," ",NameOf(side));     //= SIDE_LAST true SIDE_LAST
   side=(ENUM_SIDE)9;
   Print(EnumToString(side)," ",NameOf(SIDE_NONE)," ",NameOf(SIDE_BUY)); //= ENUM_SIDE::9 none trade
   Print(EnumToString(ORDER_TYPE_BUY)," ",sizeof(ENUM_SIDE));          //= ORDER_TYPE_BUY 4
  }

//--- classes
class CShape
  {
private:
   static int        s_total;
   string            m_name;
protected:
   double            m_size;
public:
                     CShape(const string name,const double size=1.5);
   virtual          ~CShape() { s_total--; Print("end of ",m_name); }
   virtual double    Area() const =0;
   virtual string    Kind() const { return "shape"; }
   string            Name() const { return m_name; }
   string            Described() const { return m_name+" "+Kind()+" "+(string)Area(); }
   static int        Total() { return s_total; }
   void              Rename(const string name) { m_name=name; }
  };

int CShape::s_total=0;

CShape::CShape(const string name,const double size) : m_name(name), m_size(size)
  {
   s_total++;
  }

class CSquare : public CShape
  {
public:
                     CSquare(const string name,const double size) : CShape(name,size) { }
   virtual double    Area() const override { return m_size*m_size; }
   virtual string    Kind() const override { return "square, a "+CShape::Kind(); }
  };

class CUnit : public CShape
  {
public:
                     CUnit(void) : CShape("unit") { }
   virtual double    Area() const override;
  };

double CUnit::Area() const
  {
   return m_size;
  }

class CDrawing
  {
private:
   CShape           *m_shapes[];
   CUnit             m_unit;
   int               m_counts[3];
public:
                     CDrawing(void) { ArrayInitialize(m_counts,0); }
                    ~CDrawing(void);
   bool              Add(CShape *shape);
   int               Total() const { return ArraySize(m_shapes); }
   CShape           *At(const int index) const { return m_shapes[index]; }
   double            Area() const;
   void              Count(const int index) { m_counts[index]++; }
   int               Counted(const int index) const { return m_counts[index]; }
   CShape           *Unit() { return &m_unit; }
  };

CDrawing::~CDrawing(void)
  {
   for(int i=0; i<ArraySize(m_shapes); i++)
      if(CheckPointer(m_shapes[i])==POINTER_DYNAMIC)
         delete m_shapes[i];
  }

bool CDrawing::Add(CShape *shape)
  {
   const int size=ArraySize(m_shapes);
   if(ArrayResize(m_shapes,size+1)!=size+1)
      return false;
   m_shapes[size]=shape;
   return true;
  }

double CDrawing::Area() const
  {
   double sum=0;
   for(int i=0; i<Total(); i++)
      sum+=At(i).Area();
   return sum;
  }

void Rename(CShape &shape,const string name)
  {
   shape.Rename(name);
  }

void Classes()
  {
   CDrawing drawing;
   CShape *square=new CSquare("a",3);
   if(!drawing.Add(square) || !drawing.Add(drawing.Unit()))
      return;
   Print(square.Described());                     //= a square, a shape 9.0
   Rename(square,"b");
   Rename(drawing.At(0),drawing.At(0).Name()+"c");
   Print(drawing.At(0).Name()," ",drawing.Area()," ",CShape::Total()); //= bc 10.5 2
   drawing.Count(1);
   drawing.Count(1);
   Print(drawing.Counted(1)," ",drawing.Counted(2)); //= 2 0
   CSquare local("local",2);
   Rename(local,"here");
   Print(local.Described()," ",local.Total());    //= here square, a shape 4.0 3
  }
//= end of here
//= end of bc
//= end of unit

//--- pointers
void Pointers()
  {
   CShape *nothing=NULL;
   Print(nothing==NULL," ",CheckPointer(nothing)==POINTER_INVALID); //= true true
   CShape *shape=new CUnit;
   const CShape *other=shape;
   Print(shape!=NULL," ",other==shape," ",other.Name());  //= true true unit
   Print(dynamic_cast<CSquare *>(shape)==NULL," ",dynamic_cast<CUnit *>(shape)!=NULL); //= true true
   if(CheckPointer(shape)==POINTER_DYNAMIC)
      delete shape;                               //= end of unit
   Print(CheckPointer(shape)==POINTER_INVALID," ",shape==NULL); //= true false
   CUnit unit;
   shape=GetPointer(unit);
   Print(CheckPointer(shape)==POINTER_AUTOMATIC," ",shape==&unit," ",CShape::Total()); //= true true 1
   CUnit units[];
   if(ArrayResize(units,2)!=2)
      return;
   units[1].Rename("second");
   if(ArrayResize(units,1)!=1)                    //= end of second
      return;
   Print(CShape::Total());                        //= 2
  }
//= end of unit
//= end of unit

//--- structs
struct SInner
  {
   uchar             kind;
   double            price;
  };

struct SOuter
  {
   ushort            mark;
   SInner            inner;
   int               levels[3];
   ENUM_SIDE         side;
   bool              flag;
  };

struct SNamed : public SInner
  {
   string            name;
   double            Twice() const { return price*2; }
   void              Set(const double value) { price=value; }
  };

SInner MakeInner(const uchar kind,const double price)
  {
   SInner inner={};
   inner.kind=kind;
   inner.price=price;
   return inner;
  }

void Twice(double &value)
  {
   value*=2;
  }

void Clear(SOuter &outer)
  {
   ZeroMemory(outer);
  }

void Structs()
  {
   Print(sizeof(SInner)," ",sizeof(SOuter)," ",sizeof(MqlTick)," ",sizeof(MqlRates)); //= 9 28 60 60
   SOuter outer={};
   outer.inner=MakeInner(3,1.25);
   Twice(outer.inner.price);
   outer.levels[2]=7;
   outer.levels[1]+=outer.levels[2]*2;
   SOuter copy=outer;
   copy.levels[2]=0;
   Print(outer.inner.kind," ",outer.inner.price," ",outer.levels[2]," ",copy.levels[1]); //= 3 2.5 7 14
   uchar bytes[];
   if(!StructToCharArray(outer.inner,bytes))
      return;
   Print(ArraySize(bytes)," ",bytes[0]);          //= 9 3
   SInner back={};
   if(!CharArrayToStruct(back,bytes))
      return;
   Print(back.price);                             //= 2.5
   Clear(outer);
   Print(outer.inner.price," ",outer.side==SIDE_BUY); //= 0.0 true
   SInner listed={5,2.5};
   SOuter both={1,{2,3.5},{4,5},SIDE_SELL,true};
   Print(listed.kind," ",both.inner.price," ",both.levels[1]," ",both.levels[2]," ",both.side," ",both.flag); //= 5 3.5 5 0 5 true
   SNamed named;
   named.name="n";
   named.Set(4);
   SNamed second=named;
   second.name+="2";
   Print(named.name," ",second.name," ",second.Twice()); //= n n2 8.0
   SInner row[];
   if(ArrayResize(row,2)!=2)
      return;
   row[1]=MakeInner(9,0.5);
   Twice(row[1].price);
   Print(row[1].kind," ",row[1].price);           //= 9 1.0
   MqlTick tick={};
   tick.bid=1.5;
   tick.time=D'2024.01.01';
   Print(tick.bid," ",tick.time," ",tick.flags);  //= 1.5 2024.01.01 00:00:00 0
  }

//--- unions
union UDouble
  {
   double            real;
   ulong             bits;
   uchar             bytes[8];
  };

void Unions()
  {
   UDouble both={};
   both.real=-2.0;
   Print(both.bits," ",both.bytes[7]," ",sizeof(UDouble)); //= 13835058055282163712 192 8
   for(int i=0; i<8; i++)
      both.bytes[i]=0;
   both.bytes[6]=0xF0;
   both.bytes[7]=0x3F;
   Print(both.real);                              //= 1.0
  }

#endif // LANGUAGE_TYPES_MQH
