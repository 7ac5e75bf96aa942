"""What g++ takes and MetaEditor does not: the cases of ``test_what_gpp_does_not_catch.py``."""

from __future__ import annotations

from typing import Final

from tests.mql5.cases import Case, body, case

__all__ = ["CAUGHT_BY_LIBCLANG", "CLASS", "STILL_TO_LINT", "STRUCT"]

STRUCT: Final = "struct SPoint\n{\n   int x;\n   int y;\n};\n"
CLASS: Final = """
class CBox
{
private:
   int m_size;
public:
   CBox(const int size) : m_size(size) {}
   virtual ~CBox() {}
   int Size() const { return(m_size); }
   void Grow() { m_size++; }
};
"""


#: g++ takes them: what the trial's libclang lint caught.
CAUGHT_BY_LIBCLANG: Final[list[Case]] = [
    case(
        "a literal for a reference parameter",
        "T005",
        "void Take(const int &value) {}\n" + body("int one=1;", "Take(one);"),
        "void Take(const int &value) {}\n" + body("Take(1); //!"),
    ),
    case(
        "a result for a reference parameter",
        "T005",
        "int One() { return(1); }\nvoid Take(const int &value) {}\n"
        + body("int one=One();", "Take(one);"),
        "int One() { return(1); }\nvoid Take(const int &value) {}\n" + body("Take(One()); //!"),
    ),
    case(
        "a struct by value",
        "T006",
        "void Take(const SPoint &point) {}\n",
        "void Take(const SPoint point) {} //!\n",
        STRUCT,
    ),
    case(
        "a class by value",
        "T006",
        "void Take(const CBox &box) {}\n",
        "void Take(CBox box) {} //!\n",
        CLASS,
    ),
    case(
        "a local reference",
        "P002",
        body("int one=1;", "int two=one;", "two++;"),
        body("int one=1;", "int &two=one; //!", "two++;"),
    ),
    case(
        "a member reference",
        "P002",
        "class CUse\n{\nprivate:\n   CBox *m_box;\npublic:\n   CUse(CBox *box) : m_box(box) {}\n};\n",
        "class CUse\n{\nprivate:\n   CBox &m_box; //!\n};\n",
        CLASS,
    ),
    case(
        "a returned reference",
        "P002",
        "int g_one=1;\nint One() { return(g_one); }\n",
        "int g_one=1;\nint &One() { return(g_one); } //!\n",
    ),
    case(
        "a pointer to a simple type",
        "P002",
        body("int one=1;", "one++;"),
        body("int one=1;", "int *two=&one; //!"),
    ),
    case(
        "a pointer to a struct",
        "T016",
        body("SPoint point={};", "point.x=1;"),
        body("SPoint point={};", "SPoint *other=&point; //!"),
        STRUCT,
    ),
    case(
        "a lambda",
        "P002",
        "int One() { return(1); }\n" + body("int one=One();", "one++;"),
        body("int one=[](){ return 1; }(); //!"),
    ),
    case(
        "a range-for",
        "P002",
        body("int all[3]={1,2,3};", "int sum=0;", "for(int i=0;i<3;i++)", "   sum+=all[i];"),
        body("int all[3]={1,2,3};", "int sum=0;", "for(int one : all) //!", "   sum+=one;"),
    ),
    case(
        "multiple inheritance",
        "P002",
        "class CA {};\nclass CC : public CA {};\n",
        "class CA {};\nclass CB {};\nclass CC : public CA, public CB {}; //!\n",
    ),
    case(
        "virtual in a struct",
        "C007",
        "struct SOne\n{\n   int x;\n   int X() { return(x); }\n};\n",
        "struct SOne\n{\n   int x;\n   virtual int X() { return(x); } //!\n};\n",
    ),
    case(
        "an initialiser in a class",
        "P002",
        "class COne\n{\nprivate:\n   int m_x;\npublic:\n   COne() : m_x(1) {}\n};\n",
        "class COne\n{\nprivate:\n   int m_x=1; //!\n};\n",
    ),
    case(
        "a bit-field",
        "P002",
        "struct SOne\n{\n   uchar bits;\n};\n",
        "struct SOne\n{\n   uchar bits:3; //!\n};\n",
    ),
    case(
        "a string in a union",
        "C007",
        "union UOne\n{\n   long number;\n   uchar bytes[8];\n};\n",
        "union UOne\n{\n   long number;\n   string text; //!\n};\n",
    ),
    case(
        "a plain typedef",
        "P003",
        "enum ENUM_ONE\n{\n   ONE_A\n};\n",
        "typedef int one; //!\n",
    ),
    case(
        "a method pointer",
        "P001",
        body("CBox box(1);", "int size=box.Size();", "size++;"),
        body("int (CBox::*size)()=&CBox::Size; //!"),
        CLASS,
    ),
    case(
        "a template argument that is no type",
        "P003",
        "#define SIZE 3\nint g_all[SIZE];\n",
        "template<int N> //!\nint Size() { return(N); }\n",
    ),
    case(
        "a handler with another signature",
        "R401",
        "int OnInit()\n{\n   return(INIT_SUCCEEDED);\n}\nvoid OnDeinit(const int reason)\n{\n}\n",
        "int OnInit(int reason) //!\n{\n   return(INIT_SUCCEEDED);\n}\n",
    ),
]

#: g++ takes them, and that lint did not see them.
STILL_TO_LINT: Final[list[Case]] = [
    case(
        "an assignment of arrays",
        "T007",
        body(
            "int a[2]={1,2};",
            "int b[];",
            "if(ArrayCopy(b,a)!=2)",
            "   return;",
        ),
        body("int a[2]={1,2};", "int b[2]={1,2};", "b=a; //!"),
    ),
    case(
        "braces outside of a declaration",
        "P003",
        body("SPoint point={};", "ZeroMemory(point);"),
        body("SPoint point={};", "point={}; //!"),
        STRUCT,
    ),
    case(
        "new of an array",
        "P002",
        body("CBox *box=new CBox(3);", "delete box;"),
        body("CBox *box=new CBox[3]; //!", "delete box;"),
        CLASS,
    ),
    case(
        "delete of an array",
        "P002",
        body("CBox *box=new CBox(3);", "delete box;"),
        body("CBox *box=new CBox(3);", "delete [] box; //!"),
        CLASS,
    ),
    case(
        "arithmetic on a pointer",
        "T004",
        body("CBox *box=new CBox(3);", "delete box;"),
        body("CBox *box=new CBox(3);", "CBox *next=box+1; //!", "delete box;"),
        CLASS,
    ),
    case(
        "an enum with a base type",
        "P002",
        "enum ENUM_ONE\n{\n   ONE_A\n};\n",
        "enum ENUM_ONE : uchar //!\n{\n   ONE_A\n};\n",
    ),
    case("an anonymous enum", "P002", "enum ENUM_ONE { ONE_A };\n", "enum { ONE_A }; //!\n"),
    case("an anonymous struct", "P002", STRUCT, "struct { int x; } g_point; //!\n"),
    case(
        "an anonymous union",
        "P002",
        "union UOne\n{\n   int a;\n   uint b;\n};\n",
        "union { int a; uint b; } g_one; //!\n",
    ),
    case(
        "a delegating constructor",
        "P002",
        "class COne\n{\nprivate:\n   int m_x;\npublic:\n   COne(const int x) : m_x(x) {}\n"
        "   COne() : m_x(1) {}\n};\n",
        "class COne\n{\nprivate:\n   int m_x;\npublic:\n   COne(const int x) : m_x(x) {}\n"
        "   COne() : COne(1) {} //!\n};\n",
    ),
    case(
        "a function pointer without a typedef",
        "P003",
        "int One() { return(1); }\n" + body("int one=One();", "one++;"),
        "int One() { return(1); }\n" + body("int (*one)()=One; //!"),
    ),
    case(
        "an if with an initialiser",
        "P002",
        body("int one=1;", "if(one>0)", "   one++;"),
        body("if(int one=1; one>0) //!", "   one++;"),
    ),
    case(
        "a raw string",
        "L007",
        body(r'string path="C:\\x";', 'path+="y";'),
        body(r'string path=R"(C:\x)"; //!', 'path+="y";'),
    ),
    case(
        "digit separators",
        "L005",
        body("int one=1000;", "one++;"),
        body("int one=1'000; //!", "one++;"),
    ),
    case(
        "suffixes of integers",
        "L005",
        body("ulong one=1;", "one++;"),
        body("ulong one=1UL; //!", "one++;"),
    ),
    case(
        "octal literals", "L005", body("int one=8;", "one++;"), body("int one=010; //!", "one++;")
    ),
    case(
        "a name of std",
        "P001",
        body("int one=MathRand();", "one++;"),
        body("int one=std::rand(); //!", "one++;"),
    ),
    case(
        "a function that is not in the manifest",
        "N002",
        body('string text=StringSubstr("abc",1);', 'text+="d";'),
        body('int size=strlen("abc"); //!', "size++;"),
    ),
    case(
        "a default of a template",
        "P003",
        "int One(const int value=1) { return(value); }\n",
        "template<typename T=int> //!\nT One(const T value) { return(value); }\n",
    ),
    case(
        "a parameter list of any length",
        "P002",
        "void Tell(const string text) { Print(text); }\n",
        "void Tell(const string text, ...) { Print(text); } //!\n",
    ),
    case(
        "a specialised class",
        "P002",
        "class COne {};\n",
        "class COne<int> {}; //!\n",
    ),
    case(
        "template<class T>",
        "P003",
        "int One(const int value) { return(value); }\n",
        "template<class T> //!\nT One(const T value) { return(value); }\n",
    ),
    case(
        "an object made by an expression",
        "T019",
        body("CBox box(1);", "box.Grow();"),
        body("CBox box=CBox(1); //!", "box.Grow();"),
        CLASS,
    ),
    case(
        "a name that hides a predefined variable",
        "N005",
        body("int digits=1;", "digits++;"),
        body("int _Digits=1; //!", "_Digits++;"),
    ),
    case(
        "a name that hides a function of the API",
        "N004",
        "int Count() { return(1); }\n",
        "int ArraySize(const string text) { return(1); } //!\n",
    ),
    case(
        "a name that hides an outer local",
        "N005",
        body("int one=1;", "if(one>0)", "  {", "   int two=one;", "   two++;", "  }"),
        body("int one=1;", "if(one>0)", "  {", "   int one=2; //!", "   one++;", "  }"),
    ),
    case(
        "sizeof of an array parameter",
        "T003",
        "int Count(const int &all[]) { return(ArraySize(all)); }\n",
        "int Count(const int &all[]) { return((int)sizeof(all)); } //!\n",
    ),
    case(
        "a ternary of an object and a pointer",
        "T013",
        body("CBox a(1);", "CBox *b=&a;", "int size=b.Size()>0 ? a.Size() : 0;", "size++;"),
        body("CBox a(1);", "CBox *b=&a;", "bool first=true;", "Use(first ? a : b); //!"),
        CLASS + "void Use(CBox &box) { box.Grow(); }\n",
    ),
    case(
        "a ternary of a date and a number",
        "T013",
        body("bool first=true;", "datetime at=first ? TimeCurrent() : (datetime)0;", "Print(at);"),
        body(
            "bool first=true;",
            "string at=first ? TimeToString(TimeCurrent()) : 0; //!",
            "Print(at);",
        ),
    ),
    case(
        "OrderSend without looking at its result",
        "R101",
        body(
            "MqlTradeRequest request={};",
            "MqlTradeResult result={};",
            "if(!OrderSend(request,result))",
            '   Print("failed");',
        ),
        body(
            "MqlTradeRequest request={};",
            "MqlTradeResult result={};",
            "OrderSend(request,result); //!",
        ),
    ),
    case(
        "ArrayResize without looking at its result",
        "R101",
        body("int all[];", "if(ArrayResize(all,3)<0)", "   return;"),
        body("int all[];", "ArrayResize(all,3); //!"),
    ),
    case(
        "EventSetTimer without looking at its result",
        "R101",
        body("if(!EventSetTimer(1))", '   Print("no timer");'),
        body("EventSetTimer(1); //!"),
    ),
    case(
        "EventSetMillisecondTimer without looking at its result",
        "R101",
        body("if(!EventSetMillisecondTimer(10))", '   Print("no timer");'),
        body("EventSetMillisecondTimer(10); //!"),
    ),
    case(
        "FileOpen without looking at its result",
        "R102",
        body(
            'int file=FileOpen("a.bin",FILE_READ|FILE_BIN);',
            "if(file!=INVALID_HANDLE)",
            "   FileClose(file);",
        ),
        body('int file=FileOpen("a.bin",FILE_READ|FILE_BIN); //!'),
    ),
    case(
        "a handle as a truth value",
        "R103",
        body("int socket=SocketCreate();", "if(socket!=INVALID_HANDLE)", "   SocketClose(socket);"),
        body("int socket=SocketCreate();", "if(socket) //!", "   SocketClose(socket);"),
    ),
    case(
        "a handle compared with 0",
        "R103",
        body("int socket=SocketCreate();", "if(socket==INVALID_HANDLE)", "   return;"),
        body("int socket=SocketCreate();", "if(socket>0) //!", "   SocketClose(socket);"),
    ),
    case(
        "GetLastError without ResetLastError",
        "R104",
        body(
            "ResetLastError();",
            'if(!SymbolSelect("EURUSD",true))',
            "   Print(GetLastError());",
        ),
        body('if(!SymbolSelect("EURUSD",true))', "   Print(GetLastError()); //!"),
    ),
    case(
        "_LastError with ResetLastError behind the call",
        "R104",
        body("ResetLastError();", 'bool ok=SymbolSelect("A",true);', "Print(ok,_LastError);"),
        body('bool ok=SymbolSelect("A",true);', "ResetLastError();", "Print(ok,_LastError); //!"),
    ),
    case(
        "the code page of the computer",
        "R201",
        body("uchar all[];", 'if(StringToCharArray("a",all,0,WHOLE_ARRAY,CP_UTF8)<1)', "   return;"),
        body("uchar all[];", 'if(StringToCharArray("a",all)<1) //!', "   return;"),
    ),
    case(
        "the code page of the computer, by name",
        "R201",
        "string Text(const uchar &all[]) { return(CharArrayToString(all,0,-1,CP_UTF8)); }\n",
        "string Text(const uchar &all[]) { return(CharArrayToString(all,0,-1,CP_ACP)); } //!\n",
    ),
    case(
        "a step in an argument",
        "R301",
        body("int at=1;", "at++;", "Print(at,at);"),
        body("int at=1;", "Print(at++,at); //!"),
    ),
    case(
        "a reading call in an argument",
        "R301",
        "int g_at=0;\nint Next() { g_at++; return(g_at); }\n"
        + body("int a=Next();", "int b=Next();", "Print(a,b);"),
        "int g_at=0;\nint Next() { g_at++; return(g_at); }\n" + body("Print(Next(),Next()); //!"),
    ),
    case(
        "a time without a date",
        "L008",
        body("datetime at=D'2024.01.02 12:30';", "Print(at);"),
        body("datetime at=D'12:30'; //!", "Print(at);"),
    ),
    case(
        "a number for %s",
        "R203",
        body('PrintFormat("%s %d","a",1);'),
        body('PrintFormat("%s %d",1,1); //!'),
    ),
    case(
        "a long for %d",
        "R203",
        body("long one=1;", 'PrintFormat("%I64d",one);'),
        body("long one=1;", 'PrintFormat("%d",one); //!'),
    ),
    case(
        "an argument too few",
        "R202",
        body('Print(StringFormat("%d %d",1,2));'),
        body('Print(StringFormat("%d %d",1)); //!'),
    ),
    case(
        "a string for a number",
        "T002",
        body('int one=(int)StringToInteger("1");', "one++;"),
        body('int one="1"; //!', "one++;"),
    ),
    case(
        "a number for a string",
        "T002",
        body("string one=IntegerToString(1);", 'one+="2";'),
        body("string one=1; //!", 'one+="2";'),
    ),
    case(
        "a long for an int",
        "T001",
        body("long one=1;", "int two=(int)one;", "two++;"),
        body("long one=1;", "int two=one; //!", "two++;"),
    ),
    case(
        "an input with a name of 64 characters",
        "P005",
        f"input int {'I' * 63}=1; // one\n",
        f"input int {'I' * 64}=1; //!\n",
    ),
    case(
        "65 parameters",
        "P002",
        f"void Take({','.join(f'const int p{n}' for n in range(64))}) {{}}\n",
        f"void Take({','.join(f'const int p{n}' for n in range(65))}) {{}} //!\n",
    ),
    case(
        "a declaration in a case without braces",
        "S005",
        body("int a=1;", "switch(a)", "  {", "   case 1:", "     {", "      int b=2;",
             "      a=b;", "      break;", "     }", "  }"),
        body("int a=1;", "switch(a)", "  {", "   case 1:", "      int b=2; //!", "      a=b;",
             "      break;", "  }"),
    ),
    case(
        "an include of an absolute path",
        "D003",
        "int g_one=1;\n",
        '#include "C:/x.mqh" //!\n',
    ),
    *(
        case(f"the word {word} as a name", code, "int g_one=1;\n", f"int {word}=1; //!\n")
        for code, words in (
            ("P004", ("group", "input", "color", "string", "this", "class", "NULL")),
            ("P003", ("interface", "template", "namespace", "pack", "operator")),
            ("P003", ("matrix", "vector", "complex")),
        )
        for word in words
    ),
]  # fmt: skip
