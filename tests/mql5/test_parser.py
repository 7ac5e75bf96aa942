import pytest

from tests.mql5 import tree
from tests.mql5.snippets import expected, parsed, places
from tests.mql5.tree import LiteralKind


def tree_of(text):
    unit, findings = parsed(text)
    assert findings == []
    return unit


def call_shape(node):
    return f"{shape(node.callee)}({','.join(map(shape, node.arguments))})"


def cast_shape(node):
    word = "dynamic" if node.dynamic else "cast"
    return f"{word}<{node.to.name}{'*' * node.to.pointer}>({shape(node.operand)})"


def name_shape(node):
    return f"{node.scope}::{node.name}" if node.scope else "::" * node.is_global + node.name


def unary_shape(node):
    parts = (shape(node.operand), node.op)
    return "({}{})".format(*(parts if node.postfix else reversed(parts)))


SHAPES = {
    tree.Literal: lambda node: node.text,
    tree.Name: name_shape,
    tree.This: lambda node: "this",
    tree.Unary: unary_shape,
    tree.Binary: lambda node: f"({shape(node.left)}{node.op}{shape(node.right)})",
    tree.Assign: lambda node: f"({shape(node.target)}{node.op}{shape(node.value)})",
    tree.Ternary: lambda node: (
        f"({shape(node.condition)}?{shape(node.then)}:{shape(node.otherwise)})"
    ),
    tree.Call: call_shape,
    tree.Index: lambda node: f"{shape(node.array)}[{shape(node.index)}]",
    tree.Member: lambda node: f"{shape(node.object)}.{node.name}",
    tree.Cast: cast_shape,
    tree.New: lambda node: f"new {node.class_name.name}({','.join(map(shape, node.arguments))})",
    tree.SizeOf: lambda node: f"sizeof({shape(node.of)})",
    tree.TypeName: lambda node: node.name,
}


def shape(node):
    """
    Return an expression as nested brackets.
    """
    return SHAPES[type(node)](node)


def statements(text):
    unit = tree_of(f"class CFoo;\nstruct SFoo {{ int a; }};\nvoid f() {{ {text} }}")
    return unit.items[-1].body.statements


def expression(text):
    return statements(f"{text};")[0].expression


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a+b*c", "(a+(b*c))"),
        ("a-b-c", "((a-b)-c)"),
        ("a*(b+c)", "(a*(b+c))"),
        ("a<<1+b", "(a<<(1+b))"),
        ("a&b==c", "(a&(b==c))"),
        ("a|b^c&d", "(a|(b^(c&d)))"),
        ("a||b&&c", "(a||(b&&c))"),
        ("a<b==c>d", "((a<b)==(c>d))"),
        ("!a&&~b", "((!a)&&(~b))"),
        ("-a*b", "((-a)*b)"),
        ("- -a", "(-(-a))"),
        ("a%b/c", "((a%b)/c)"),
        ("a ? b : c ? d : e", "(a?b:(c?d:e))"),
        ("a || b ? c : d", "((a||b)?c:d)"),
        ("a=b+c", "(a=(b+c))"),
        ("a<<=b", "(a<<=b)"),
        ("a++", "(a++)"),
        ("++a.b", "(++a.b)"),
        ("a[i].b(c,d)[e]++", "(a[i].b(c,d)[e]++)"),
        ("::f(a)", "::f(a)"),
        ("CFoo::f(a)", "CFoo::f(a)"),
        ("this.f()", "this.f()"),
        ("(int)a+b", "(cast<int>(a)+b)"),
        ("(int)-a", "cast<int>((-a))"),
        ("(int)(a+b)", "cast<int>((a+b))"),
        ("int(a)", "cast<int>(a)"),
        ("(CFoo *)p", "cast<CFoo*>(p)"),
        ("(a)-b", "(a-b)"),
        ("(ENUM_ORDER_TYPE)a", "cast<ENUM_ORDER_TYPE>(a)"),
        ("dynamic_cast<CFoo *>(p)", "dynamic<CFoo*>(p)"),
        ("p=new CFoo(1)", "(p=new CFoo(1))"),
        ("p=new CFoo", "(p=new CFoo())"),
        ("p=&a", "(p=(&a))"),
        ("sizeof(SFoo)", "sizeof(SFoo)"),
        ("sizeof(a.b)", "sizeof(a.b)"),
        ('"a" "b"', '"a" "b"'),
    ],
)
def test_expressions_bind_as_in_mql5(text, wanted):
    assert wanted == shape(expression(text))


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12", LiteralKind.INTEGER, 12),
        ("0x1F", LiteralKind.INTEGER, 31),
        ("0b101", LiteralKind.INTEGER, 5),
        ("18446744073709551615", LiteralKind.INTEGER, 2**64 - 1),
        ("1.5e3", LiteralKind.REAL, 1500.0),
        ('"a" "b"', LiteralKind.STRING, "ab"),
        ('"\\n\\r\\t\\\\\\"\\x41\\x263A"', LiteralKind.STRING, '\n\r\t\\"A\u263a'),
        ("'A'", LiteralKind.CHARACTER, 65),
        ("'\\''", LiteralKind.CHARACTER, 39),
        ("'\\x263A'", LiteralKind.CHARACTER, 0x263A),
        ("true", LiteralKind.BOOL, True),
        ("NULL", LiteralKind.NULL, None),
        ("D'1970.01.02'", LiteralKind.DATETIME, 86400),
        ("D'2024.02.29 01:02:03'", LiteralKind.DATETIME, 1709168523),
        ("D'2024.02.29 01:02'", LiteralKind.DATETIME, 1709168520),
        ("C'1,2,0xFF'", LiteralKind.COLOR, 0xFF0201),
        ("__LINE__", LiteralKind.INTEGER, 3),
        ("__FILE__", LiteralKind.STRING, "a.mq5"),
        ("__FUNCTION__", LiteralKind.STRING, "f"),
    ],
)
def test_literals_have_values(text, kind, value):
    literal = expression(text)

    assert (kind, value) == (literal.kind, literal.value)


def test_the_function_of_a_method_has_its_class():
    unit = tree_of("class CFoo { void f(); };\nvoid CFoo::f() { g(__FUNCTION__); }")

    assert "CFoo::f" == unit.items[1].body.statements[0].expression.arguments[0].value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("int a=1, b[3], c[]={1,2};", tree.DeclarationStatement),
        ("static const int a=1;", tree.DeclarationStatement),
        ('const string s="";', tree.DeclarationStatement),
        ("CFoo *p=NULL;", tree.DeclarationStatement),
        ("SFoo a={}, b={1};", tree.DeclarationStatement),
        ("CFoo a(1,2);", tree.DeclarationStatement),
        ("MqlTick ticks[];", tree.DeclarationStatement),
        ("a*b;", tree.ExpressionStatement),
        ("if(a) b(); else if(c) d(); else { e(); }", tree.If),
        ("while(a) b();", tree.While),
        ("do { a(); } while(b);", tree.DoWhile),
        ("for(int i=0;i<3;i++,j--) f(i);", tree.For),
        ("for(i=0;;) break;", tree.For),
        ("for(;;) { continue; }", tree.For),
        ("switch(a) { case 1: case X: f(); break; default: { int b=1; } }", tree.Switch),
        ("return;", tree.Return),
        ("return(1);", tree.Return),
        ("delete p;", tree.Delete),
        (";", tree.Empty),
        ("{ ; }", tree.Block),
    ],
)
def test_each_statement_is_known(text, kind):
    assert kind is type(statements(text)[0])


def test_labels_of_a_switch_are_gathered():
    (switch,) = statements("switch(a) { case 1: case 2: f(); break; default: g(); }")

    assert [["1", "2"], [None]] == [
        [label and shape(label) for label in case.labels] for case in switch.cases
    ]


ITEMS = """
#property version "1.00" // note
#define LIMIT 10*2
enum ENUM_FOO { FOO_A, FOO_B=5 };
struct SFoo { int a; string b[4]; };
union UFoo { double d; ulong u; uchar b[8]; };
class CBar;
class CFoo : public CBar
  {
private:
   int               m_a,m_b;
   const CBar       *m_bar;
   static uint       s_table[16];
public:
                     CFoo(const int a) : m_a(a), m_b(0) {}
                     CFoo(void);
   virtual          ~CFoo(void) {}
   virtual bool      Pure(const uchar &data[],const string name="x") const =0;
   virtual void      Run(void) override;
   static int        Count() { return(1); }
   CBar             *Bar() const { return(NULL); }
  };
input group "Group"
input int InpA=5; // label
sinput string InpB="b";
uint CFoo::s_table[16]={1,2};
CFoo::CFoo(void) : m_a(1) {}
CFoo::~CFoo(void) {}
const CBar *CFoo::Run(int x) const { return(NULL); }
CFoo g_foo(1,2);
CFoo *g_pointer=NULL;
int prototype(const SFoo &foo,int &a[],double b[3]);
"""


def test_all_items_of_a_file_are_read():
    unit = tree_of(ITEMS)

    assert [
        "Property", "Define", "Enumeration", "Class", "Class", "ForwardClass", "Class",
        "InputGroup", "Declaration", "Declaration", "Declaration", "Function", "Function",
        "Function", "Declaration", "Declaration", "Function",
    ] == [type(item).__name__ for item in unit.items]  # fmt: skip


def test_a_class_keeps_access_and_specifiers():
    members = tree_of(ITEMS).items[6].members

    assert [
        ("private", "Declaration", ""),
        ("private", "Declaration", ""),
        ("private", "Declaration", "static"),
        ("public", "CFoo", ""),
        ("public", "CFoo", ""),
        ("public", "~CFoo", "virtual"),
        ("public", "Pure", "const pure virtual"),
        ("public", "Run", "override virtual"),
        ("public", "Count", "static"),
        ("public", "Bar", "const"),
    ] == [
        (
            member.access,
            getattr(member.declaration, "name", "Declaration"),
            getattr(member.declaration, "storage", None)
            if isinstance(member.declaration, tree.Declaration)
            else " ".join(sorted(member.declaration.specifiers)),
        )
        for member in members
    ]


def test_the_value_of_a_macro_has_its_own_place():
    define = tree_of("int a;\n#define LIMIT  (10*b) // c").items[1]

    assert ("LIMIT", "(10*b)") == (define.name, shape(define.value))
    assert (2, 17) == (define.value.left.place.line, define.value.left.place.column)


def test_a_property_has_a_value_without_quotes():
    unit = tree_of('#property version   "1.00"\n#property strict // note')

    assert [("version", "1.00"), ("strict", "")] == [(p.name, p.value) for p in unit.items]


#: One construct each, with the word that the finding has to contain.
REJECTED_IN_BODIES = [
    ("auto a=1;", "P002", "auto"),
    ("goto end;", "P002", "goto"),
    ("end: f();", "P002", "label"),
    ("try { f(); }", "P002", "try"),
    ("throw a;", "P002", "throw"),
    ("p->f();", "P002", "->"),
    ("for(int x : list) f(x);", "P002", "range-for"),
    ("for(x : list) f(x);", "P002", "range-for"),
    ("f([](int a) { return(a); });", "P002", "lambda"),
    ("int &r=a;", "P002", "reference"),
    ("const int &r=a;", "P002", "reference"),
    ("int *p=NULL;", "P002", "pointers to int"),
    ("CFoo **p=NULL;", "P002", "pointers to pointers"),
    ("CFoo *const p=NULL;", "P003", "constant pointer"),
    ("CFoo *p, *q;", "P003", "declaration of its own"),
    ("int const a=1;", "P003", "const stands before"),
    ("p=new CFoo[3];", "P002", "new of an array"),
    ("p=new int;", "P002", "objects of classes"),
    ("delete[] p;", "P002", "delete of an array"),
    ("*p=1;", "P003", "dereferenced"),
    ("int a[2][3];", "P003", "dimensions"),
    ("a[1,2]=3;", "P003", "dimensions"),
    ("a=b,c;", "P002", "comma"),
    ("a=(b,c);", "P002", "comma"),
    ("for(i=0,j=0;;) f();", "P003", "several expressions"),
    ("a={1,2};", "P003", "braces"),
    ("f({1,2});", "P002", "braces"),
    ("return {1};", "P002", "braces"),
    ("int a{1};", "P002", "braces"),
    ("int a[]={1,2,};", "P003", "comma"),
    ("SFoo a={.a=1};", "P002", "designated"),
    ("if(int a=1) f();", "P002", "declaration in a condition"),
    ("if(a=1;b) f();", "P002", "initialiser"),
    ("if(a) int b=1;", "P001", "braces"),
    ("CFoo a();", "P003", "declares a function"),
    ("CFoo(1,2);", "P002", "makes no object"),
    ("SFoo();", "P002", "makes no object"),
    ("a=static_cast<int>(b);", "P002", "static_cast"),
    ("a=nullptr;", "P002", "nullptr"),
    ("unsigned int a=1;", "P002", "unsigned"),
    ("volatile int a=1;", "P002", "volatile"),
    ("constexpr int a=1;", "P002", "constexpr"),
    ("long long a=1;", "P004", "long"),
    ("vector v;", "P003", "vector"),
    ("matrix m;", "P003", "matrix"),
    ("std::string s;", "P001", "std"),
    ("struct SBar { int a; };", "P003", "local struct"),
    ("class CBar { };", "P003", "local class"),
    ("enum ENUM_X { X };", "P003", "local enum"),
    ("input int a=1;", "P001", "input"),
    ("typedef int x;", "P003", "typedef"),
    ("using x=int;", "P002", "using"),
    ("switch(a) { case 1 ... 3: f(); }", "P002", "ranges"),
    ("switch(a) { f(); }", "P001", "case"),
    ("case 1: f();", "P001", "case"),
    ("else f();", "P001", "else"),
    ("a=__FUNCSIG__;", "P003", "__FUNCSIG__"),
    ("a=__DATETIME__;", "P003", "__DATETIME__"),
    ("a=offsetof(SFoo,a);", "P003", "offsetof"),
    ("#define X 1", "D007", "directive"),
    ("SBar b;", "N003", "SBar"),
    ("a=b=c;", "S009", "="),
    ("if((a=b)) f();", "S009", "="),
    ("f(a+=1);", "S009", "+="),
    ("int color=1;", "P004", "color"),
    ("int group=1;", "P004", "group"),
    ("int and=1;", "P004", "and"),
    ("int interface=1;", "P003", "interface"),
    (f"int {'a' * 64}=1;", "P005", "63"),
    ("a=b+;", "P001", "expression"),
    ("a[]=1;", "P001", "index"),
    ("f(a;", "P001", "')'"),
    ("a.1=2;", "P001", "';'"),
    ("a=CBar::b;", "N003", "CBar"),
    ("a=1;;b=2 c=3;", "P001", "';'"),
    ('s="\\q";', "L006", "\\q"),
    ("c='ab';", "L006", "'ab'"),
    ("c='';", "L006", "''"),
    ("d=D'2024.02.30';", "L008", "calendar"),
    ("d=D'10:00';", "L008", "yyyy"),
    ("d=D'2024.01.01 25:00';", "L008", "time"),
    ("c=C'1,2,256';", "L008", "255"),
    ("c=C'1,2';", "L008", "255"),
    ("u=18446744073709551616;", "L009", "integer"),
]


@pytest.mark.parametrize(
    ("text", "code", "word"), REJECTED_IN_BODIES, ids=[case[0] for case in REJECTED_IN_BODIES]
)
def test_a_statement_outside_of_the_subset_is_named(text, code, word):
    _, findings = parsed(
        f"class CFoo;\nstruct SFoo {{ int a; }};\nvoid f()\n{{\n   int b=1;\n{text}\n}}\nint last;"
    )

    assert any(
        (6, code) == (finding.place.line, finding.code) and word in finding.message
        for finding in findings
    ), findings


REJECTED_ITEMS = [
    ("template<typename T> T f(T a) { return(a); }", "P003", "templates"),
    ("namespace N { int a; }", "P003", "namespaces"),
    ("interface IFoo { void f(); };", "P003", "interfaces"),
    ("typedef int (*TFunc)(int);", "P003", "typedef"),
    ("using namespace std;", "P002", "using"),
    ("enum { A };", "P002", "anonymous enum"),
    ("enum ENUM_A : uchar { A };", "P002", "base type"),
    ("enum class ENUM_A { A };", "P002", "enum class"),
    ("enum ENUM_A { A, };", "P003", "comma"),
    ("enum ENUM_A { A } a;", "P003", "variable behind"),
    ("enum ENUM_A { };", "P001", "enum value"),
    ("union { int a; };", "P002", "anonymous union"),
    ("struct { int a; };", "P002", "anonymous struct"),
    ("struct SFoo { int a; } foo;", "P003", "variable behind"),
    ("struct SFoo pack(4) { int a; };", "P003", "pack"),
    ("struct SFoo { int a; } =", "P001", "';'"),
    ("struct SFoo { int a : 3; };", "P002", "bit-fields"),
    ("class CFoo { int a=5; };", "P002", "initial value"),
    ("class CFoo { static const int A=5; };", "P002", "initial value"),
    ("class CFoo { void operator=(const CFoo &o); };", "P003", "operator"),
    ("class CFoo { friend class CBar; };", "P002", "friend"),
    ("class CFoo { mutable int a; };", "P002", "mutable"),
    ("class CFoo { class CBar { }; };", "P003", "inside of a class"),
    ("class CFoo { enum ENUM_A { A }; };", "P003", "inside of a class"),
    ("class CFoo { template<typename T> void f(T a); };", "P003", "templates"),
    ("class CFoo { explicit CFoo(int a); };", "P003", "explicit"),
    ("class CFoo { void f() = delete; };", "P003", "delete"),
    ("class CFoo { CFoo() = default; };", "P003", "default"),
    ("class CFoo { void f() = 1; };", "P001", "= 0"),
    ("class CFoo { void CFoo(); };", "P003", "constructor has no type"),
    ("class CFoo { virtual CFoo(); };", "P002", "virtual"),
    ("class CFoo { ~CBar(); };", "P001", "~CFoo"),
    ("class CFoo { ~CFoo(int a); };", "P001", "no parameters"),
    ("class CFoo { int &a; };", "P002", "references"),
    ("class CFoo { int &f(); };", "P002", "references"),
    ("class CFoo { virtual int a; };", "P001", "method"),
    ("class CFoo { int (*f)(int); };", "P003", "function pointers"),
    ("class CFoo final { };", "P003", "final"),
    ("class CFoo : CBase { };", "P003", "public"),
    ("class CFoo : private CBase { };", "P003", "private"),
    ("class CFoo : virtual CBase { };", "P002", "virtual"),
    ("class CFoo : public CBase, public CBase { };", "P002", "multiple"),
    ("class CFoo : public CMissing { };", "N003", "CMissing"),
    ("union UFoo : SBase { };", "P002", "base"),
    ("class CBase::CFoo { };", "P001", "'{'"),
    ("int &f() { return(g); }", "P002", "reference"),
    ("int f(int &&a) { return(a); }", "P002", "rvalue"),
    ("int f(int a, ...) { return(a); }", "P002", "..."),
    ("int f(int) { return(1); }", "P003", "without a name"),
    ("int f(int *a) { return(1); }", "P002", "pointers to int"),
    ("int f(int a[][3]) { return(1); }", "P003", "dimensions"),
    ("auto f() -> int { return(1); }", "P002", "auto"),
    ("int f() -> int { return(1); }", "P002", "->"),
    ("int f() try { return(1); }", "P002", "try"),
    ("int f() { return(1); };", "P001", "semicolon"),
    ("inline int f() { return(1); }", "P003", "inline"),
    ("extern int a;", "P003", "extern"),
    ("static int f() { return(1); }", "P003", "static function"),
    ("int f() : a(1) { }", "P001", "constructor"),
    ("CBase::CBase() : m_a{1} { }", "P002", "round brackets"),
    ("CBase::Other() { }", "P001", "no type"),
    ("CBase::~CBase { }", "P001", "parameters"),
    ("CMissing::CMissing() { }", "N003", "CMissing"),
    ("bool operator==(int a,int b) { return(true); }", "P003", "operator"),
    ("bool CBase::operator==(int a) { return(true); }", "P003", "operator"),
    ("void a;", "P001", "void"),
    ("void f(void a) { }", "P001", "void"),
    ("int a=1 int b;", "P001", "';'"),
    ("int a(;", "P001", "expression"),
    ("int (a);", "P001", "name"),
    (";", "P001", "semicolon"),
    ("5;", "P001", "declaration"),
    ("f();", "P001", "name"),
    ("input group InpX", "P001", "title"),
    ("input SMissing InpX=1;", "N003", "SMissing"),
    ("#define X 1 2", "D005", "one expression"),
    ("#define X {", "P003", "braces"),
    ("#define int 1", "P004", "int"),
    ("#property", "D006", "name"),
    ("const a=1;", "N003", "a"),
    ("int f(" + ",".join(f"int a{i}" for i in range(65)) + ");", "P002", "64"),
]


@pytest.mark.parametrize(
    ("text", "code", "word"), REJECTED_ITEMS, ids=[case[0][:50] for case in REJECTED_ITEMS]
)
def test_an_item_outside_of_the_subset_is_named(text, code, word):
    _, findings = parsed(
        "class CBase { public: CBase(); };\nstruct SBase { int a; };\nint g;\n"
        + text
        + "\nint last;"
    )

    assert any(
        (4, code) == (finding.place.line, finding.code) and word in finding.message
        for finding in findings
    ), findings


def test_a_class_without_its_end_is_told_at_the_end_of_the_file():
    _, findings = parsed("class CFoo\n{\nvoid f() { }\n")

    assert [(4, "P001")] == places(findings)


def test_a_missing_semicolon_is_told_where_the_next_item_begins():
    _, findings = parsed("struct SFoo\n{\nint a;\n}\nint b;\n")

    assert [(5, "P001")] == places(findings)


SEVERAL = """
void f()
  {
   auto a=1; //! P002
   if(a)
     {
      goto x; //! P002
     }
   else
      b->c(); //! P002
   f();
  }
class CFoo
  {
   int m_a=1; //! P002
   friend int f(); //! P002
public:
   void g() { throw x; } //! P002
  };
template<typename T> void h(T a) //! P003
  {
   auto b=1;
  }
int last=0x; //! L005
"""


def test_one_run_tells_of_every_fault():
    _, findings = parsed(SEVERAL)

    assert expected(SEVERAL) == places(findings)


@pytest.mark.parametrize("size", range(len(ITEMS) // 7))
def test_a_source_that_ends_anywhere_is_read_to_its_end(size):
    """
    Findings are all that a broken source gives: no exception, no loop without an end.
    """
    parsed(ITEMS[: size * 7])


def test_broken_sources_are_read_to_their_end(rng):
    words = ITEMS.split(" ")
    for _ in range(100):
        broken = words.copy()
        for _ in range(3):
            at = rng.randrange(len(broken))
            broken[at] = rng.choice(["", "{", "}", "(", ";", "<", "class", "=", "::", "for"])
        parsed(" ".join(broken))
