"""Declarations that the analysis rejects."""

from __future__ import annotations

#: Sources of their own; marks tell where the findings are.
REJECTED_ITEMS = {
    "names twice": """
int a=1;
int a=2; //! N004
int b=1; //! N004
void b(void) {}
enum ENUM_A { A_ONE, A_TWO };
enum ENUM_A { A_THREE }; //! N004
enum ENUM_B { A_ONE }; //! N004
enum ENUM_C { C_ONE, C_TWO=0 }; //! N004
struct SFoo { int x; };
struct SFoo { int y; }; //! N004
#define X 1
#define X 2 //! N004
int Print=1; //! N004
void Print(void) {} //! N004
struct MqlTick { int x; }; //! N004
enum ENUM_TIMEFRAMES { ONE }; //! N004
int POINT_X=1;
""",
    "functions twice": """
int F(int a) { return(1); }
int F(int b) { return(2); } //! N004
long F(int c) { return(3); } //! N004
int F(int a,int b) { return(4); }
int G(int a);
int G(int a);//! N004
int G(int a) { return(1); }
""".replace(");//!", "); //!"),
    "members twice": """
class CFoo
  {
   int m_a;
   int m_a; //! N004
   void m_a(void) {} //! N004
   void F(void) {}
   void F(void) {} //! N004
   void F(void) const {}
   ~CFoo(void) {}
   ~CFoo(void) {} //! N004
  };
""",
    "names hidden": """
int g_a=1;
class CFoo
  {
protected:
   int m_a;
public:
   void F(int m_a) {} //! N005
   void G(int g_a) {} //! N005
   void H(int a) { int m_a=a; m_a++; } //! N005
   void I(int a) { { int a=1; a++; } } //! N005
   void J(int a) { int a=1; a++; } //! N004
   void Same(void) {}
  };
class CBar : public CFoo
  {
   int m_a; //! N005
   void Same(void) {} //! N005
  };
""",
    "members from outside": """
class CFoo
  {
   int m_private;
   void Private(void) {}
   static int s_private;
protected:
   int m_protected;
   CFoo(int a) { m_private=a; }
public:
   CFoo(void) {}
   void F(CFoo &foo) { foo.m_private=1; foo.Private(); }
  };
int CFoo::s_private=1;
class CBar : public CFoo
  {
   void Look(CFoo &foo)
     {
      m_protected=1;
      foo.m_protected=1;
      m_private=1; //! N007
      Private(); //! N007
      CFoo::s_private=1; //! N007
      this.m_private=1; //! N007
     }
  };
void G(void)
  {
   CFoo foo(1); //! N007
   CFoo *p=new CFoo(1); //! N007
  }
""",
    "declared and not defined": """
void F(void); //! N008
class CFoo
  {
   CFoo(void); //! N008
   ~CFoo(void); //! N008
   void G(void); //! N008
   static int s_a; //! C009
   static int s_b;
  };
int CFoo::s_b=1;
class CBar; //! N008
""",
    "defined and not declared": """
class CFoo
  {
   int m_a;
   static int s_a;
   static const int s_b;
   void F(int a,int b=1);
   void G(const string s) const;
   int H(void);
   void I(void) {}
   virtual void J(void)=0;
  };
int CFoo::s_a=1;
int CFoo::s_a=1; //! N004
int CFoo::s_b=1; //! N009
int CFoo::s_c=1; //! N009
int CFoo::m_a=1; //! N009
void CFoo::F(int a,int b=1) {} //! N009
void CFoo::G(const string s) {} //! N009
void CFoo::G(string s) const {} //! N009
long CFoo::H(void) { return(1); } //! N009
int CFoo::H(void) { return(1); }
void CFoo::I(void) {} //! N004
void CFoo::J(void) {} //! N004
void CFoo::K(void) {} //! N009
void CFoo::H(int a); //! N009
CFoo::CFoo(void) {} //! N009
CFoo::~CFoo(void) {} //! N009
void CBar::F(void) {} //! N003
""",
    "static members": """
class CFoo
  {
   int m_a;
   static uint s_table[2];
   static long s_wide;
   static int s_text;
   static int Get(void) { return(m_a); } //! C008
   static int Call(void) { return(Plain()); } //! C008
   static int Self(void) { return(this.m_a); } //! C008
   static int Fine(void) { return((int)s_table[0]+Get()); }
   int Plain(void) { return(Fine()+(int)s_wide); }
  };
uint CFoo::s_table[2]={1,2};
int CFoo::s_wide=1; //! N009
int CFoo::s_text="x"; //! T002
""",
    "globals and inputs": """
int Compute(void) { return(1); }
int g_a=Compute(); //! T011
int g_b=g_a; //! T011
int g_c[2]={1,Compute()}; //! T011
int g_d="x"; //! T002
input int InpA; //! T011
input int InpB=g_a; //! T011
input MqlTick InpC={}; //! T003
input int InpD[2]={1,2}; //! T003
input string InpE=5; //! T002
input ENUM_TIMEFRAMES InpF=PERIOD_M1;
int g_e=g_f; //! N001
int g_f=1;
MqlTick g_tick={};
""",
    "macros and enums": """
#define A 1+2
#define B A*2
#define C D //! N001
#define D 1
#define E Print(1) //! D005
#define F "x"+1 //! D005
enum ENUM_A { A_ONE=A, A_TWO="x", A_THREE=1.5 }; //! T012 T012
enum ENUM_B { B_BIG=5000000000 }; //! T001
""",
    "by value": """
struct SFoo { int a; };
class CFoo { public: int m_a; };
void F(SFoo foo) {} //! T006
void G(CFoo foo) {} //! T006
void H(int a[]) {} //! T006
void I(const int a[]) {} //! T006
void J(CFoo *&foo) {} //! T006
CFoo K(void) { CFoo foo; return(foo); } //! T006 T006
SFoo L(void) { SFoo foo={}; return(foo); }
void M(const SFoo &foo=NULL) {} //! T005 T003
void N(int a=1,int b) {} //! T009
void O(int a="x",string b=1) {} //! T002 T002
""",
    "abstract classes": """
class CShape
  {
public:
   virtual double Area(void) const =0;
   virtual void Draw(void)=0;
  };
class CLine : public CShape
  {
public:
   virtual double Area(void) const override { return(CShape::Area()); } //! C001
  };
class CCircle : public CLine
  {
public:
   virtual void Draw(void) override {}
  };
class CHolder { CLine m_line; CCircle m_circle; }; //! C001
void F(void)
  {
   CLine line; //! C001
   CCircle circle;
   CShape *shape=new CLine; //! C001
   shape=new CCircle;
  }
""",
    "overrides": """
class CBase
  {
public:
   virtual int F(int a) const { return(1); }
   virtual void G(void) {}
   virtual void H(void) {}
   virtual void I(void) final {}
   virtual void J(int a) {}
   void K(void) {}
  };
class CFoo : public CBase
  {
public:
   virtual int F(long a) const override { return(1); } //! C002
   virtual void G(void) const override {} //! C002
   virtual void H(void) {} //! C003
   virtual void I(void) override {} //! C002
   void J(void) {} //! C002
   virtual void K(int a) override {} //! C002
   virtual void L(void) override {} //! C002
  };
class CBar : public CBase
  {
public:
   virtual long F(int a) const override { return(1); } //! C002
   virtual void J(int a) override {}
   void J(int a,int b) {}
  };
""",
    "bases": """
struct SFoo { int a; };
class CAnnounced;
class CFoo : public SFoo {}; //! C004
class CBar : public CAnnounced {}; //! C004
struct SBar : public SFoo { int b; };
struct STick : public MqlTick { int c; };
class CSelf : public CSelf {}; //! C004
class CEnum : public ENUM_TIMEFRAMES {}; //! C004
class CAnnounced {};
""",
    "const methods": """
class CInner
  {
public:
   int m_a;
   void Change(void) { m_a=1; }
   int Get(void) const { return(m_a); }
  };
class CFoo
  {
   int m_a;
   int m_list[];
   CInner m_inner;
   CInner *m_pointer;
   static int s_a;
   void F(void) const
     {
      m_a=1; //! T008
      m_a++; //! T008
      this.m_a=1; //! T008
      m_list[0]=1; //! T008
      ArrayResize(m_list,1); //! T008
      m_inner.m_a=1; //! T008
      m_inner.Change(); //! C005
      G(); //! C005
      this.G(); //! C005
      CInner *p=&m_inner; //! C005
      CFoo *q=GetPointer(this); //! C005
      s_a=1;
      m_pointer.Change();
      m_pointer.m_a=m_inner.Get();
     }
   void G(void) { m_a=1; F(); CFoo *p=GetPointer(this); p.G(); }
  };
int CFoo::s_a=0;
void H(const CInner &inner,const CFoo &foo)
  {
   inner.Change(); //! C005
   inner.m_a=inner.Get(); //! T008
  }
""",
    "constructors": """
class CBase { public: CBase(const int a) {} };
class CFoo : public CBase
  {
   const int m_a;
   int m_b;
   int m_list[2];
   static int s_a;
   CBase m_base;
public:
   CFoo(void) {} //! C006 C006 C006
   CFoo(int a) : CBase(a), m_a(a), m_base(a), m_b("x") {} //! T002
   CFoo(int a,int b) : CBase(a), m_a(a), m_base(a), m_a(b) {} //! N004
   CFoo(long a) : CBase("x"), m_a(1), m_base(1,2) {} //! T002 T009
   CFoo(string a) : CBase(1), m_a(1), m_base(1), m_list(1), s_a(1), m_x(1), m_b(1,2) {} //! C006 C006 C006 C006
   CFoo(bool a) : CFoo(1) {} //! P002 C006 C006 C006
  };
int CFoo::s_a=1;
class CBar : public CBase {}; //! C006
struct SFoo { int a; SFoo(void) { a=1; } };
void F(void)
  {
   SFoo foo={}; //! C006
   CBar bar(1); //! C006
   CBase bases[2](1);//! C006
  }
""".replace("   CBase bases[2](1);//! C006\n", ""),
    "kinds of classes": """
struct SFoo { virtual void F(void) {} }; //! C007
union UFoo { string s; int a[]; CFoo *p; }; //! C007 C007 C007
union UBar { SText text; SPlain plain; }; //! C007
union UBaz { int a; UBaz(void) {} }; //! C007
class CBaz
  {
   static void F(void) const {} //! C007
   static virtual void G(void) {} //! C007
   void H(void)=0; //! C007
   virtual ~CBaz(void)=0; //! C007
  };
void I(void) const {} //! C007
""",
    "ways out": """
int A(int a) { if(a>1) return(1); } //! S001
int B(int a) { if(a>1) return(1); else return(2); }
int C(int a) { if(a>1) { return(1); } else { a++; } } //! S001
int D(int a) { while(true) { return(1); } } //! S001
int E(int a) { switch(a) { case 1: return(1); default: return(2); } } //! S001
int F(int a) { { return(1); } }
int G(int a) { } //! S001
int H(void) { return; } //! S001 S002
void I(void) { return; }
void J(void) { return(1); } //! S002
int K(void) { return("x"); } //! T002
int L(void) { for(;;) ; } //! S001
""",
    "an event handler with a struct that is there": """
void OnTradeTransaction(const MqlTradeTransaction &trans,const MqlTradeRequest &request,const MqlTradeResult &result)
  {
   trans.deal=1; //! T008
   ulong deal=trans.deal;
   uint code=result.missing; //! N006
  }
""",
}
REJECTED_ITEMS["kinds of classes"] = (
    "\nclass CFoo {};\nstruct SText { string s; };\nstruct SPlain { int a; };"
    + REJECTED_ITEMS["kinds of classes"]
)
REJECTED_ITEMS["ways out"] = REJECTED_ITEMS["ways out"].replace(
    "int H(void) { return; } //! S001 S002", "int H(void) { return; } //! S002"
)
