"""
What g++ takes and MetaEditor does not, or the other way round: each has a clean and a bad form.

Whether the front end or a rule finds it is all the same here.
"""

from __future__ import annotations

import re

import pytest

from tests.mql5 import manifest, rules
from tests.mql5.cases import HEAD, body, case, found_in, problem_of
from tests.mql5.cases_gpp import CAUGHT_BY_LIBCLANG, CLASS, STILL_TO_LINT, STRUCT
from tests.mql5.findings import CODES
from tests.mql5.frontend import check

#: MQL5 takes them and C++ does not: translated, or left out of the subset.
ALLOWED_IN_MQL5 = [
    case(
        "the dot on a pointer",
        "P002",
        body("CBox *box=new CBox(1);", "box.Grow();", "delete box;"),
        body("CBox *box=new CBox(1);", "box->Grow(); //!", "delete box;"),
        CLASS,
    ),
    case(
        "a call before the definition",
        "N003",
        body("int one=One();", "one++;") + "int One() { return(1); }\n",
        body("SLater later={}; //!") + "struct SLater { int x; };\n",
    ),
    case(
        "text and a number",
        "T002",
        body('string text="a"+IntegerToString(1);', 'text+="b";'),
        body("int one=1;", "string text=one; //!", 'text+="b";'),
    ),
    case("text plus 1", "T002", body('Print("a"+(string)1);'), body('int one="a"+(string)1; //!')),
    case(
        "array parameters",
        "P002",
        "int First(const int &all[]) { return(all[0]); }\n"
        + body("int all[2]={1,2};", "int one=First(all);", "one++;"),
        "int *First(const int &all[]) { return(all); } //!\n",
    ),
    case(
        "inputs in groups",
        "P001",
        'input group "Link"\ninput int InpPort=5600; // Port\nsinput int InpLevel=1; // Level\n',
        body("input int port=1; //!"),
    ),
    case(
        "dates and colours",
        "L008",
        "input datetime InpFrom=D'2024.01.02'; // From\ninput color InpBack=C'1,2,3'; // Back\n",
        "input color InpBack=C'1,2,300'; //!\n",
    ),
    case(
        "structs without gaps",
        "P003",
        "struct SOne\n{\n   uchar a;\n   long b;\n};\n" + body("Print((int)sizeof(SOne));"),
        "struct SOne pack(8) //!\n{\n   uchar a;\n   long b;\n};\n",
    ),
    case(
        "bool and enum as text",
        "R601",
        body("bool on=true;", "Print(on,ORDER_TYPE_BUY);"),
        body("Print(1,TRADE_TRANSACTION_REQUEST); //!"),
    ),
    case(
        "NULL for a string",
        "T003",
        body("string text=NULL;", "if(text==NULL)", '   text="a";'),
        body("int one=NULL; //!", "one++;"),
    ),
    case(
        "a constructor with the type void",
        "P003",
        "class COne\n{\npublic:\n   COne() {}\n};\n",
        "class COne\n{\npublic:\n   void COne() {} //!\n};\n",
    ),
    case(
        "NULL for a pure method",
        "P001",
        "class COne\n{\npublic:\n   virtual int Get()=NULL;\n};\n",
        "class COne\n{\npublic:\n   virtual int Get()=1; //!\n};\n",
    ),
    case(
        "a long in braces of int",
        "T001",
        body("long one=1;", "int all[1]={0};", "all[0]=(int)one;"),
        body("long one=1;", "int all[1]={one}; //!", "all[0]++;"),
    ),
    case(
        "an interface",
        "P003",
        "class IOne\n{\npublic:\n   virtual int Get()=0;\n};\n",
        "interface IOne //!\n{\n   int Get();\n};\n",
    ),
    case(
        "EnumToString of any enum",
        "T003",
        "enum ENUM_ONE\n{\n   ONE_A\n};\n"
        + body("Print(EnumToString(ONE_A)+EnumToString(ORDER_TYPE_BUY));"),
        body("Print(EnumToString(1)); //!"),
    ),
    case(
        "ZeroMemory of a struct with strings",
        "T005",
        body("MqlTradeRequest request={};", "ZeroMemory(request);"),
        body("ZeroMemory(1); //!"),
    ),
    case(
        "a base struct for a derived one",
        "T003",
        "struct SMore : public SPoint\n{\n   int z;\n};\n"
        + body("SMore more={};", "SPoint point={};", "point=more;"),
        "struct SMore : public SPoint\n{\n   int z;\n};\n"
        + body("SMore more={};", "SPoint point={};", "more=point; //!"),
        STRUCT,
    ),
    case(
        "arguments from right to left",
        "R301",
        body("uchar all[2]={1,2};", "int at=0;", "int a=all[at];", "at++;", "Print(a,all[at]);"),
        body("uchar all[2]={1,2};", "int at=0;", "Print(all[at],all[++at]); //!"),
    ),
    case(
        "operands in any order",
        "R302",
        "int g_at=0;\nint Next() { g_at++; return(g_at); }\n"
        + body("int a=Next();", "int b=Next();", "Print(a*256+b);"),
        "int g_at=0;\nint Next() { g_at++; return(g_at); }\n" + body("Print(Next()*256+Next()); //!"),
    ),
    case(
        "a destructor that is always virtual",
        "P001",
        "class CMore : public CBox\n{\npublic:\n   CMore() : CBox(1) {}\n   ~CMore() {}\n};\n"
        + body("CBox *box=new CMore();", "delete box;"),
        body("CBox box(1);", "box.~CBox(); //!"),
        CLASS,
    ),
    case(
        "a number for a colour",
        "T001",
        body("int one=255;", "color back=(color)one;", "Print(back);"),
        body("double one=255;", "color back=one; //!", "Print(back);"),
    ),
]  # fmt: skip

CASES = [*CAUGHT_BY_LIBCLANG, *STILL_TO_LINT, *ALLOWED_IN_MQL5]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_the_clean_form_has_no_findings(tmp_path, one):
    assert [] == [str(finding) for finding in found_in(tmp_path, one.clean)]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_the_bad_form_is_found_where_it_stands(tmp_path, one):
    assert None is problem_of(tmp_path, one)


def test_every_code_is_in_the_table():
    known = CODES.keys() | rules.CODES.keys()

    assert {one.code for one in CASES} <= known


def test_no_case_comes_twice():
    names = [one.name for one in CASES]

    assert sorted(set(names)) == sorted(names)


def test_a_byte_order_mark_is_found(tmp_path):
    path = tmp_path / "Test.mq5"
    path.write_bytes(b"\xef\xbb\xbf" + HEAD.encode())

    assert ["L001"] == [finding.code for finding in check([path], tmp_path)]


def test_other_encodings_are_found(tmp_path):
    path = tmp_path / "Test.mq5"
    path.write_bytes(HEAD.encode() + b"// 5 \x80\n")

    assert [("L001", 3)] == [(one.code, one.place.line) for one in check([path], tmp_path)]


def test_letters_outside_of_ascii_are_found_in_text_but_not_in_comments(tmp_path):
    found = found_in(tmp_path, '// ü\nstring g_text="ü";\n')

    assert [("L002", 4)] == [(one.code, one.place.line) for one in found]


def test_what_is_included_stands_below_the_folder_include(tmp_path):
    experts, other = tmp_path / "Experts", tmp_path / "Other"
    for folder in (experts, other, tmp_path / "Include"):
        folder.mkdir()
    (other / "x.mqh").write_text("int g_one=1;\n")
    (tmp_path / "Include" / "x.mqh").write_text("int g_one=1;\n")
    main = experts / "Test.mq5"
    main.write_text(HEAD + "#include <x.mqh>\n")

    assert [] == check([main])

    main.write_text(HEAD + '#include "../Other/x.mqh"\n')

    assert ["R407"] == [finding.code for finding in check([main])]


def test_every_reserved_word_is_refused_as_a_name(tmp_path):
    words = sorted(manifest.load().reserved - {"NULL"})
    accepted = [
        word
        for word in words
        if not found_in(tmp_path, f"int {word}=1;\n") or not re.fullmatch(r"\w+", word)
    ]

    assert [] == accepted
