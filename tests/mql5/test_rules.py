"""
Each rule has forms that it finds and near forms that it leaves alone.
"""

from __future__ import annotations

import pytest

from tests.mql5 import rules
from tests.mql5.cases import HEAD, body, case, found_in, problem_of
from tests.mql5.frontend import check

READER = """
class CReader
{
private:
   int m_at;
public:
   CReader() : m_at(0) {}
   int Next() { m_at++; return(m_at); }
   int At() const { return(m_at); }
   bool Take(int &value) { value=m_at; m_at++; return(true); }
};
"""
SOCKET = "int g_socket=INVALID_HANDLE;\n"
TEXT = "const string"
TRANSACTION = "const MqlTradeTransaction &trans"
REQUEST = "const MqlTradeRequest &request"
RESULT = "const MqlTradeResult &result"

CASES = [
    case(
        "a result in the step of a for",
        "R101",
        body("for(int i=0;i<2;i++)", "   Print(i);"),
        body("for(int i=0;i<2;EventSetTimer(1)) //!", "   i++;"),
    ),
    case(
        "a result that is assigned and read",
        "R102",
        body("bool done=false;", "done=EventSetTimer(1);", "Print(done);"),
        body("bool done=false;", "done=EventSetTimer(1); //!"),
    ),
    case(
        "a handle in a field",
        "R103",
        "class CFile\n{\nprivate:\n   int m_file;\npublic:\n   CFile() : m_file(INVALID_HANDLE) {}\n"
        '   void Open() { m_file=FileOpen("a",FILE_BIN|FILE_READ); }\n'
        "   bool IsOpen() const { return(m_file!=INVALID_HANDLE); }\n};\n",
        "class CFile\n{\nprivate:\n   int m_file;\npublic:\n   CFile() : m_file(INVALID_HANDLE) {}\n"
        '   void Open() { m_file=FileOpen("a",FILE_BIN|FILE_READ); }\n'
        "   bool IsOpen() const { return(m_file>=0); } //!\n};\n",
    ),
    case(
        "a handle behind a not",
        "R103",
        body("g_socket=SocketCreate();", "if(g_socket==INVALID_HANDLE)", "   return;"),
        body("g_socket=SocketCreate();", "if(!g_socket) //!", "   return;"),
        SOCKET,
    ),
    case(
        "a handle beside an and",
        "R103",
        body("g_socket=SocketCreate();", "bool on=g_socket!=INVALID_HANDLE && _Digits>2;", "Print(on);"),
        body("g_socket=SocketCreate();", "bool on=g_socket && _Digits>2; //!", "Print(on);"),
        SOCKET,
    ),
    case(
        "a handle compared with -1",
        "R103",
        body("g_socket=SocketCreate();", "int other=g_socket;", "Print(g_socket==other);"),
        body("g_socket=SocketCreate();", "Print(g_socket==-1); //!"),
        SOCKET,
    ),
    case(
        "an error of an earlier call",
        "R104",
        body("ResetLastError();", "bool on=SymbolSelect(_Symbol,true);", "Print(on,_LastError);"),
        body("bool on=SymbolSelect(_Symbol,true);", "Print(on,_LastError); //!"),
    ),
    case(
        "an error of nothing",
        "R104",
        body("ResetLastError();", "bool on=EventSetTimer(1);", "Print(on,GetLastError());"),
        body("bool on=EventSetTimer(1);", "ResetLastError();", "Print(on,GetLastError()); //!"),
    ),
    case(
        "a file of text",
        "R201",
        body('int file=FileOpen("a",FILE_TXT|FILE_READ,(short)0,CP_UTF8);', "Print(file);"),
        body('int file=FileOpen("a",FILE_TXT|FILE_READ); //!', "Print(file);"),
    ),
    case(
        "a width behind a star",
        "R202",
        body('PrintFormat("%*d",5,1);'),
        body('PrintFormat("%*d",5); //!'),
    ),
    case(
        "a percent sign",
        "R202",
        body('PrintFormat("100%% of %d",1);'),
        body('PrintFormat("100%% of %d",1,2); //!'),
    ),
    *(
        case(
            f"{wrong} for a value of the type {of}",
            "R203",
            body(f"{of} one={value};", f'PrintFormat("{right}",one);'),
            body(f"{of} one={value};", f'PrintFormat("{wrong}",one); //!'),
        )
        for of, value, right, wrong in (
            ("int", "1", "%5d", "%u"),
            ("int", "1", "%08X", "%.2f"),
            ("uint", "1", "%u", "%d"),
            ("long", "1", "%I64d", "%d"),
            ("long", "1", "%lld", "%I64u"),
            ("ulong", "1", "%I64u", "%u"),
            ("ulong", "1", "%I64X", "%I64d"),
            ("double", "1.0", "%.17g", "%d"),
            ("datetime", "D'2024.01.02'", "%I64d", "%s"),
            ("bool", "true", "%d", "%s"),
            ("string", '"a"', "%-5s", "%c"),
            ("ushort", "'a'", "%c", "%f"),
            ("int", "1", "%i", "%p"),
        )
    ),
    case(
        "a format in a variable",
        "R204",
        '#define FORMAT "%d"\n' + body("Print(StringFormat(FORMAT,1));"),
        body('string format="%d";', "Print(StringFormat(format,1)); //!"),
    ),
    case(
        "a method that changes its object, in an argument",
        "R301",
        body("CReader reader;", "int next=reader.Next();", "Print(next,reader.At());"),
        body("CReader reader;", "Print(reader.Next(),reader.At()); //!"),
        READER,
    ),
    case(
        "a side effect beside constants only",
        "R301",
        body("CReader reader;", 'Print("at ",reader.Next());'),
        body("CReader reader;", 'Print("at ",reader.At(),reader.Next()); //!'),
        READER,
    ),
    case(
        "a function that calls one with a side effect",
        "R301",
        "CReader g_reader;\nint Deep() { return(g_reader.At()); }\n" + body("Print(Deep(),_Digits);"),
        "CReader g_reader;\nint Deep() { return(g_reader.Next()); }\n"
        + body("Print(Deep(),_Digits); //!"),
        READER,
    ),
    case(
        "a reference that is filled in an argument",
        "R301",
        body("CReader reader;", "int a=0;", "bool on=reader.Take(a);", "Print(on,a);"),
        body("CReader reader;", "int a=0;", "Print(reader.Take(a),a); //!"),
        READER,
    ),
    case(
        "an assignment to a local of the called function",
        "R301",
        "int Twice(const int of) { int all=0; all=of; all+=of; return(all); }\n"
        + body("Print(Twice(1),Twice(_Digits));"),
        "int g_all=0;\nint Twice(const int of) { g_all=of; return(g_all+of); }\n"
        + body("Print(Twice(1),Twice(_Digits)); //!"),
    ),
    case(
        "a random number beside another",
        "R302",
        body("int a=MathRand();", "int b=MathRand();", "Print(a*32768+b);"),
        body("Print(MathRand()*32768+MathRand()); //!"),
    ),
    case(
        "reading without asking",
        "R304",
        "int Read(const int socket,uchar &all[])\n{\n   if(SocketIsReadable(socket)==0)\n"
        "      return(0);\n   return(SocketRead(socket,all,10,5));\n}\n",
        "int Read(const int socket,uchar &all[])\n{\n   return(SocketRead(socket,all,10,5)); //!\n}\n",
    ),
    case(
        "port 443",
        "R305",
        'bool Open(const int socket) { return(SocketConnect(socket,"127.0.0.1",5600,100)); }\n',
        'bool Open(const int socket) { return(SocketConnect(socket,"127.0.0.1",443,100)); } //!\n',
    ),
    case(
        "port 443 as an input",
        "R305",
        "input int InpRelayPort=5600; // Port\n",
        "input int InpRelayPort=443; //!\n",
    ),
    *(
        case(f"the handler {name}", "R401", f"{good}\n{{\n}}\n", f"{bad} //!\n{{\n}}\n")
        for name, good, bad in (
            ("OnDeinit", "void OnDeinit(const int reason)", "void OnDeinit(int reason)"),
            ("OnTick", "void OnTick()", "void OnTick(const int count)"),
            ("OnBookEvent", f"void OnBookEvent({TEXT} &of)", f"void OnBookEvent({TEXT} of)"),
            ("OnTimer", "void OnTimer()", "void OnTimer(const int id)"),
            ("OnTrade", "void OnTrade()", f"void OnTrade({TEXT} of)"),
            (
                "OnTradeTransaction",
                f"void OnTradeTransaction({TRANSACTION},{REQUEST},{RESULT})",
                f"void OnTradeTransaction({TRANSACTION},{RESULT},{REQUEST})",
            ),
            (
                "OnChartEvent",
                f"void OnChartEvent(const int a,const long &b,const double &c,{TEXT} &d)",
                f"void OnChartEvent(const int a,const int &b,const double &c,{TEXT} &d)",
            ),
        )
    ),
    case(
        "OnInit without a result",
        "R401",
        "int OnInit()\n{\n   return(INIT_SUCCEEDED);\n}\n",
        "void OnInit() //!\n{\n}\n",
    ),
    case("a name like a handler", "R402", "void OnTimer() {}\n", "void OnTimers() {} //!\n"),
    case("a handler in small letters", "R402", "void OnTick() {}\n", "void onTick() {} //!\n"),
    case(
        "another function that begins with On",
        "R402",
        "void Online() {}\n",
        "void OnSomethingElse() {} //!\n",
    ),
    case(
        "an expert that starts",
        "R403",
        "void OnTick() {}\n",
        "void OnStart() {}\nvoid OnTick() {} //!\n",
    ),
    case("strict", "R404", "", "#property strict //!\n"),
    case("an input without a label", "R405", "input int InpOne=1; // One\n", "input int InpOne=1; //!\n"),
    case(
        "an input with a long text",
        "R406",
        f'input string InpOne="{191 * "a"}"; // One\n',
        f'input string InpOne="{192 * "a"}"; //!\n',
    ),
    case(
        "a local without a value",
        "R501",
        body("int one;", "one=1;", "Print(one);"),
        body("int one;", "Print(one); //!"),
    ),
    case(
        "a local with a value on one path",
        "R501",
        body("int one;", "if(_Digits>1)", "   one=1;", "else", "   one=2;", "Print(one);"),
        body("int one;", "if(_Digits>1)", "   one=1;", "Print(one); //!"),
    ),
    case(
        "a local with a value in a loop",
        "R501",
        body("int one;", "do", "   one=_Digits;", "while(one>7);", "Print(one);"),
        body("int one;", "while(_Digits>7)", "   one=_Digits;", "Print(one); //!"),
    ),
    case(
        "a local with a value in each case",
        "R501",
        body("int one;", "switch(_Digits)", "  {", "   case 1: one=1; break;",
             "   default: one=2; break;", "  }", "Print(one);"),
        body("int one;", "switch(_Digits)", "  {", "   case 1: one=1; break;",
             "  }", "Print(one); //!"),
    ),
    case(
        "a local with a value before an early return",
        "R501",
        body("int one;", "if(_Digits>1)", "   return;", "else", "   one=1;", "Print(one);"),
        body("int one;", "if(_Digits>1)", "   one=1;", "else", "   Print(2);", "Print(one); //!"),
    ),
    case(
        "a local that is filled",
        "R501",
        body("bool custom;", "bool is=SymbolExist(_Symbol,custom);", "Print(is,custom);"),
        body("bool custom;", "bool is=SymbolIsSynchronized(_Symbol);", "Print(is,custom); //!"),
    ),
    case(
        "a local that is filled behind an and",
        "R501",
        body("long spread=0;", "if(_Digits>1 && SymbolInfoInteger(_Symbol,SYMBOL_SPREAD,spread))",
             "   Print(1);", "Print(spread);"),
        body("long spread;", "if(_Digits>1 && SymbolInfoInteger(_Symbol,SYMBOL_SPREAD,spread))",
             "   Print(1);", "Print(spread); //!"),
    ),
    case(
        "an endless loop",
        "R501",
        body("int one;", "while(true)", "  {", "   one=_Digits;", "   if(one>1)", "      break;",
             "  }", "Print(one);"),
        body("int one;", "while(true)", "  {", "   if(_Digits>1)", "      break;", "   one=1;",
             "  }", "Print(one); //!"),
    ),
    case(
        "a struct without braces",
        "R502",
        body("MqlTick tick={};", "Print(tick.bid);"),
        body("MqlTick tick; //!", "Print(tick.bid);"),
    ),
    case(
        "a struct of text only",
        "R502",
        "struct SText\n{\n   string text;\n};\n" + body("SText one;", "Print(one.text);"),
        "struct SText\n{\n   string text;\n   int size;\n};\n" + body("SText one; //!", "Print(one.text);"),
    ),
    case(
        "a field without a value",
        "R503",
        "class COne\n{\nprivate:\n   int m_a;\n   int m_b;\npublic:\n   COne() : m_a(1) { m_b=2; }\n};\n",
        "class COne\n{\nprivate:\n   int m_a;\n   int m_b;\npublic:\n   COne() : m_a(1) {} //!\n};\n",
    ),
    case(
        "a field that a method gives its value",
        "R503",
        "class COne\n{\nprivate:\n   int m_a;\n   void Reset();\npublic:\n   COne() { Reset(); }\n};\n"
        "void COne::Reset() { m_a=1; }\n",
        "class COne\n{\nprivate:\n   int m_a;\n   void Reset();\npublic:\n   COne() { Reset(); } //!\n"
        "};\nvoid COne::Reset() { Print(m_a); }\n",
    ),
    case(
        "a class without a constructor",
        "R503",
        "class COne\n{\nprivate:\n   string m_a;\n};\n",
        "class COne //!\n{\nprivate:\n   int m_a;\n};\n",
    ),
    case(
        "the number of a transaction's type",
        "R601",
        body("MqlTradeTransaction trans={};", "Print(EnumToString(trans.type));",
             "Print(trans.type==TRADE_TRANSACTION_REQUEST);"),
        body("MqlTradeTransaction trans={};", "Print((int)trans.type); //!",
             'Print("a"+(string)trans.type); //!'),
    ),
    case(
        "a transaction's type compared with a number",
        "R601",
        body("MqlTradeTransaction trans={};", "Print((int)trans.order_type==6);"),
        body("MqlTradeTransaction trans={};", "Print((int)trans.type==6); //!"),
    ),
    case(
        "a number of a type that is published for most",
        "R601",
        body("Print((int)DEAL_REASON_EXPERT);"),
        body("Print((int)DEAL_REASON_CORPORATE_ACTION); //!"),
    ),
    case(
        "a transaction's type as an int of one's own",
        "R601",
        "void Take(const ENUM_TRADE_TRANSACTION_TYPE of) { Print(EnumToString(of)); }\n"
        + body("Take(TRADE_TRANSACTION_REQUEST);"),
        "void Take(const int of) { Print(of); }\n" + body("Take(TRADE_TRANSACTION_REQUEST); //!"),
    ),
    case(
        "braces for a dynamic array",
        "R602",
        "struct SPage\n{\n   int size;\n   uchar data[];\n   SPage() : size(0) {}\n};\n"
        + body("SPage page;", "Print(page.size);"),
        "struct SPage\n{\n   int size;\n   uchar data[];\n};\n"
        + body("SPage page={}; //!", "Print(page.size);"),
    ),
    case(
        "braces for a text",
        "R602",
        "struct SOne\n{\n   string a;\n   int b[4];\n};\n" + body("SOne one={};", "Print(one.a);"),
        "struct SOne\n{\n   string a;\n};\nstruct STwo\n{\n   SOne one;\n};\n"
        + body("STwo two={}; //!", "Print(two.one.a);"),
    ),
    case(
        "braces for a pointer and for an object",
        "R602",
        "class COne {};\nstruct STwo\n{\n   COne *one;\n   STwo() : one(NULL) {}\n};\n"
        + body("STwo two;", "Print(two.one==NULL);"),
        "class COne {};\nstruct STwo\n{\n   COne *one;\n};\nstruct SThree\n{\n   COne one;\n};\n"
        + body("STwo two={}; //!", "SThree three={}; //!", "Print(two.one==GetPointer(three.one));"),
    ),
    case(
        "a struct's field without a value",
        "R503",
        "struct SOne\n{\n   int a;\n   SOne() : a(1) {}\n};\n",
        "struct SOne\n{\n   int a;\n   SOne() {} //!\n};\n",
    ),
    case(
        "a static object",
        "R603",
        "class CTable {};\nCTable g_table;\nclass COne\n{\npublic:\n   static int s_count;\n};\n"
        "int COne::s_count=0;\n",
        "class CTable {};\nclass COne\n{\npublic:\n   static CTable s_table; //!\n};\n"
        "CTable COne::s_table;\n",
    ),
    case(
        "pointers to const",
        "R604",
        "class COne {};\nCOne *g_one=NULL;\n"
        "bool IsOne(COne *one) { return(one==g_one); }\nbool IsNone(const COne *one) { return(one==NULL); }\n",
        "class COne {};\nCOne *g_one=NULL;\nbool IsOne(const COne *one) { return(one==g_one); } //!\n",
    ),
    case(
        "hexadecimal numbers beside 64 bits",
        "R605",
        "uint Low(const ulong x) { return((uint)(x&UINT_MAX)); }\n"
        + body("uint x=0xFFFFFFFF;", "ulong y=0x7FFFFFFF;", "ulong z=0x8000000000000000;",
               "Print(Low(y|z|4294967295),x==0x80000000);"),
        "ulong Low(const ulong x) { return(_Digits>1 ? x : 0xFFFFFFFF); } //!\n"
        "ulong High() { return(0x80000000); } //!\n"
        + body("ulong y=0xFFFFFFFF; //!", "y=y&0x80000000; //!", "y=0x80000001; //!",
               "Print(Low(0xFFFFFFFF)+High(),y<=(ulong)0xFFFFFFFF); //!"),
    ),
    case(
        "a variable called like a function",
        "R606",
        'class CLog {};\nclass COne\n{\npublic:\n   string Symbol(CLog *lines) { return(lines==NULL ? "a" : "b"); }\n};\n',
        'class CLog {};\nstring Name(CLog *log) { return(log==NULL ? "a" : "b"); } //!\n'
        + body("int round=1; //!", "Print(round);"),
    ),
    case(
        "a property as an index",
        "R601",
        body("int all[4]={1,2,3,4};", "Print(all[ORDER_TYPE_SELL]);"),
        body("int all[4]={1,2,3,4};", "ENUM_PROGRAM_TYPE of=PROGRAM_EXPERT;", "Print(all[of]); //!"),
    ),
]  # fmt: skip


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_the_clean_form_is_left_alone(tmp_path, one):
    assert [] == [str(finding) for finding in found_in(tmp_path, one.clean)]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_the_bad_form_is_found_where_it_stands(tmp_path, one):
    assert None is problem_of(tmp_path, one)


def codes_in(folder, path, source):
    path = folder / path
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(source)
    return [finding.code for finding in check([path])]


READ = "int Open() { return(SocketCreate()); }\n"
SELECT = "bool Select(const ulong ticket) { return(PositionSelectByTicket(ticket)); }\n"


@pytest.mark.parametrize(
    ("path", "source", "codes"),
    [
        ("Include/Bridge/Net/X.mqh", READ, []),
        ("Include/Bridge/Wire/X.mqh", READ, ["R306"]),
        ("Include/Bridge/Trade/X.mqh", READ, ["R306"]),
        ("Include/Bridge/Trade/X.mqh", SELECT, []),
        ("Include/Bridge/Market/X.mqh", SELECT, ["R306"]),
        ("Experts/X.mq5", HEAD + SELECT, ["R306"]),
        ("Elsewhere/X.mq5", HEAD + SELECT, []),
    ],
)
def test_sockets_and_trading_have_one_folder_each(tmp_path, path, source, codes):
    assert codes == codes_in(tmp_path, path, source)


@pytest.mark.parametrize(
    ("source", "codes"),
    [
        ("#property service\nvoid OnStart() { if(!EventSetTimer(1)) return; }\n", ["R303"]),
        ("#property service\nvoid OnStart() { Sleep(1); }\n", []),
        ("#property indicator_chart_window\nvoid OnTimer() { Sleep(1); }\n", ["R303"]),
        ("void OnStart() { ExpertRemove(); }\n", ["R303"]),
        ("void OnTick() { ExpertRemove(); }\n", []),
        ("#property service\nvoid OnTick() {}\n", ["R403"]),
        ("void OnStart() {}\n", []),
        ("int OnStart() { return(0); }\n", []),
    ],
)
def test_a_program_calls_and_handles_what_its_type_may(tmp_path, source, codes):
    assert codes == codes_in(tmp_path, "X.mq5", HEAD + source)


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("", 2),
        ('#property version "1.00"\n', 1),
        ('#property description "a"\n', 1),
        ('#property version "1"\n#property description "a"\n', 1),
        ('#property version "1.2"\n#property description "a"\n', 0),
        (f'#property version "1.2"\n#property description "{"a" * 511}"\n', 0),
        ('#property version "1.2"\n' + f'#property description "{"a" * 256}"\n' * 2, 1),
    ],
)
def test_a_program_tells_its_version_and_what_it_is(tmp_path, source, count):
    assert ["R404"] * count == codes_in(tmp_path, "X.mq5", source)


def test_a_header_needs_no_properties_and_may_have_none(tmp_path):
    assert [] == codes_in(tmp_path, "X.mqh", "int g_one=1;\n")

    (tmp_path / "X.mqh").write_text('#property description "b"\n')
    found = codes_in(tmp_path, "Y.mq5", HEAD + '#include "X.mqh"\n')

    assert ["R404"] == found


def test_the_label_of_an_input_is_ascii(tmp_path):
    found = found_in(tmp_path, "input int InpOne=1; // Größe\n")

    assert ["R405"] == [finding.code for finding in found]


def test_every_rule_has_a_case():
    tested = {one.code for one in CASES}
    elsewhere = {"R303", "R306", "R407"}

    assert rules.CODES.keys() == tested | elsewhere | {"R101", "R402"}
