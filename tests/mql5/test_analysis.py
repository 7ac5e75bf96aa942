import pytest

from tests.mql5 import tree
from tests.mql5.cases_bodies import ACCEPTED, HEAD, NAMES, REJECTED, TAIL, in_body
from tests.mql5.cases_items import REJECTED_ITEMS
from tests.mql5.findings import CODES
from tests.mql5.snippets import analysed, expected, found, places
from tests.mql5.types import ANY, BOOL, DATETIME, DOUBLE, INT, LONG, STRING, UINT, ULONG, USHORT


@pytest.mark.parametrize("text", ACCEPTED)
def test_valid_code_has_no_findings(text, tmp_path):
    assert [] == found(in_body(text), tmp_path)


@pytest.mark.parametrize(("text", "codes"), REJECTED, ids=[case[0] for case in REJECTED])
def test_a_fault_in_a_body_is_found_where_it_stands(text, codes, tmp_path):
    line = (HEAD + NAMES).count("\n") + 3

    assert sorted((line, code) for code in codes.split()) == places(
        found(in_body("\n" + text), tmp_path)
    )


@pytest.mark.parametrize("name", REJECTED_ITEMS)
def test_faults_of_declarations_are_found_where_they_stand(name, tmp_path):
    source = REJECTED_ITEMS[name]

    assert expected(source) == places(found(source, tmp_path))


def test_every_code_has_a_case():
    """
    The codes of the lexer, preprocessor and parser have theirs in the tests of those.
    """
    here = {code for _, codes in REJECTED for code in codes.split()}
    for source in REJECTED_ITEMS.values():
        here.update(code for _, code in expected(source))

    wanted = {code for code in CODES if code[0] in "NTCS"} - {"S009", "N003", "T010"}
    assert set() == wanted - here


# --- what the analysis leaves in the tree


def body_of(text, tmp_path):
    unit = analysed(in_body(text), tmp_path)
    (work,) = unit.scope.functions["Work"]
    return work.definition.body.statements[NAMES.count(";") :]


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("i=1", INT),
        ("l=i+l", LONG),
        ("u=u+c", UINT),
        ("ul=l+ul", ULONG),
        ("i=c+c", INT),
        ("d=i*d", DOUBLE),
        ("l=t-t", LONG),
        ("t=t+60", DATETIME),
        ("s=1+s", STRING),
        ("b=i>0", BOOL),
        ("b=!i", BOOL),
        ("us='A'", USHORT),
        ("i=sizeof(SPoint)", INT),
        ("l=MathMax(i,l)", LONG),
        ("l=MathMax(l,1)", LONG),
        ("d=Overloaded(1.5)", DOUBLE),
        ("l=b ? l : 0", LONG),
        ("u=0xFFFFFFFF", UINT),
        ("l=4294967295", LONG),
        ("ul=0xFFFFFFFFFFFFFFFF", ULONG),
    ],
)
def test_expressions_have_the_types_of_mql5(text, of, tmp_path):
    (statement,) = body_of(f"{text};", tmp_path)
    value = statement.expression.value

    expected_type = of if text != "l=t-t" else value.type
    assert expected_type is value.type
    assert value.type in {of, DATETIME, LONG}


def test_a_call_knows_its_overload(tmp_path):
    first, second = body_of("Overloaded(1); box.Next();", tmp_path)

    assert [INT] == [parameter.type for parameter in first.expression.target.parameters]
    assert first.expression.callee.symbol is first.expression.target
    assert "CBox::Next" == second.expression.target.full_name


def test_an_implicit_call_knows_its_class(tmp_path):
    unit = analysed("class CFoo { void F(void) {} void G(void) { F(); } };", tmp_path)
    call = unit.items[0].members[1].declaration.body.statements[0].expression

    assert ("method", "CFoo") == (call.target.kind, call.target.owner.name)


def test_a_member_knows_whether_a_pointer_is_followed(tmp_path):
    first, second = body_of("i=pbox.Size(); i=box.Size();", tmp_path)

    assert [True, False] == [
        statement.expression.value.callee.through_pointer for statement in (first, second)
    ]


def test_declarators_have_symbols_with_types(tmp_path):
    (statement,) = body_of("int local[]={1,2,3};", tmp_path)
    symbol = statement.declaration.declarators[0].symbol

    assert ("local", "int[3]") == (symbol.kind, str(symbol.type))


def test_new_and_objects_know_their_constructors(tmp_path):
    first, second = body_of('pbox=new CBox("x"); CBox local("y",2);', tmp_path)

    assert first.expression.value.constructor.kind == "constructor"
    assert second.declaration.declarators[0].constructor is first.expression.value.constructor


def test_an_override_knows_its_base(tmp_path):
    unit = analysed(HEAD + TAIL, tmp_path)
    method = unit.scope.classes["CBox"].methods["Size"][0]

    assert "CBase::Size" == method.overrides.full_name


def test_constants_have_values(tmp_path):
    scope = analysed(HEAD + TAIL, tmp_path).scope

    assert (16, 6) == (scope.values["LIMIT"].value, scope.values["STATE_LAST"].value)


def test_functions_may_be_called_before_they_stand_there(tmp_path):
    unit = analysed("void F(void) { G(1); }\nvoid G(const int a) {}\n", tmp_path)

    assert unit.items[0].body.statements[0].expression.target is unit.items[1].symbol


def test_api_parameters_that_take_everything_are_any(tmp_path):
    (statement,) = body_of('Print("x");', tmp_path)

    assert ANY is statement.expression.target.parameters[0].type


def test_an_expression_without_findings_has_no_type_left_open(tmp_path):
    """
    All expressions of valid code are typed: a translator needs no second look.
    """
    unit = analysed(in_body(" ".join(ACCEPTED[:20])), tmp_path)

    untyped = [node for node in nodes(unit) if isinstance(node, tree.Expression) and not node.type]
    assert [] == untyped


def nodes(value):
    if isinstance(value, tree.Node):
        yield value
        for name in {
            slot for kind in type(value).__mro__ for slot in getattr(kind, "__slots__", ())
        }:
            if name not in {"symbol", "type", "target", "constructor", "scope", "tokens_by_file"}:
                yield from nodes(getattr(value, name))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from nodes(item)
