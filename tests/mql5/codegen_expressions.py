"""Expressions of MQL5 as C++.

The analysis says what each expression is; here every conversion is written out, so that C++
has nothing to choose: operands of arithmetic get the type of the result, arguments that of the
parameter. Every index goes through ``mql::at``, every pointer through ``mql::deref``, every
division through ``mql::div``, each with a mark of its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.codegen_types import (
    SOURCE,
    TranslationError,
    constant,
    cpp_type,
    identifier,
    mark,
    type_name,
)
from tests.mql5.symbols import (
    ClassSymbol,
    ConstantSymbol,
    FunctionSymbol,
    ParameterSymbol,
    VariableSymbol,
)
from tests.mql5.types import (
    ANY,
    BOOL,
    COLOR,
    DATETIME,
    INT,
    NULL,
    STRING,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
)

__all__ = ["arguments", "condition", "converted", "expression", "init_list"]

# Functions that make text of whatever they are given.
_TEXTUAL: Final = frozenset({"Print", "Alert", "Comment", "StringConcatenate", "FileWrite"})
_COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">="})


def expression(node: tree.Expression) -> str:
    """
    Return an expression of the type that the analysis found, in brackets where it needs them.
    """
    return _WRITERS[type(node)](node)


def converted(node: tree.Expression, to: Type) -> str:
    """
    Return an expression as a value of another type.
    """
    source = node.type
    if source is NULL or (isinstance(node, tree.Literal) and node.value is None):
        return _null(to)
    text = expression(node)
    if source is to or to is ANY or isinstance(to, ArrayType):
        return text
    if to is STRING:
        return as_text(text, source)
    if source is STRING:
        return _parsed(text, to, node)
    if isinstance(source, PointerType):
        return _pointer_as(text, source, to)
    if isinstance(to, PointerType) or isinstance(source, ClassType):
        return text  # an object by its base
    if cpp_type(source) == cpp_type(to):
        return text
    return f"static_cast<{cpp_type(to)}>({text})"


def condition(node: tree.Expression) -> str:
    """
    Return an expression as true or false.
    """
    return converted(node, BOOL)


def as_text(text: str, source: Type) -> str:
    """
    Return the text of a value, as Print shows it.
    """
    if source is STRING:
        return text
    if source is DATETIME:
        return f"mql::text_datetime({text})"
    if source is COLOR:
        return f"mql::text_color({text})"
    return f"mql::text({text})"


def arguments(
    parameters: list[ParameterSymbol], values: list[tree.Expression], *, fill: bool
) -> str:
    """
    Return the arguments of a call; with ``fill`` also those that the source leaves to defaults.
    """
    written = [
        _argument(parameter, value) for parameter, value in zip(parameters, values, strict=False)
    ]
    written += [_loose(value) for value in values[len(parameters) :]]
    if fill:
        written += [
            converted(parameter.default, parameter.type) for parameter in parameters[len(values) :]
        ]
    return ", ".join(written)


def init_list(node: tree.InitList, of: Type) -> str:
    """
    Return the initial values of a variable in braces.
    """
    values = node.values
    if len(values) == 1 and isinstance(values[0], tree.Literal) and values[0].value == 0:
        return "{}"  # {0} is the same: what is not named is zero
    if isinstance(of, ArrayType):
        types = [of.element] * len(values)
    elif isinstance(of, ClassType):
        if of.symbol.base is not None and values:
            raise TranslationError(node.place, f"values for {of}, which has a base")
        types = [field.type for field in of.symbol.fields.values() if field.kind != "static field"]
    else:
        types = [of]
    if len(values) > len(types):
        raise TranslationError(node.place, f"too many values for {of}")
    written = [
        init_list(value, to) if isinstance(value, tree.InitList) else converted(value, to)
        for value, to in zip(values, types, strict=False)
    ]
    return f"{{{', '.join(written)}}}"


# --- conversions -------------------------------------------------------------------------------


def _null(to: Type) -> str:
    if to is STRING:
        return "mql::string()"
    if isinstance(to, PointerType):
        return f"static_cast<{cpp_type(to)}>(nullptr)"
    if to is BOOL:
        return "false"
    return "nullptr" if to is ANY or to is NULL else constant(0, to)


def _parsed(text: str, to: Type, node: tree.Expression) -> str:
    if to is BOOL:
        return f"mql::parse_bool({text})"
    if to is DATETIME:
        return f"mql::StringToTime({text})"
    if to is COLOR:
        raise TranslationError(node.place, "a string as a color")
    if isinstance(to, Scalar) and to.real:
        return f"static_cast<{cpp_type(to)}>(mql::parse_double({text}))"
    return f"static_cast<{cpp_type(to)}>(mql::parse_integer({text}))"


def _pointer_as(text: str, source: PointerType, to: Type) -> str:
    if to is BOOL:
        return f"mql::is_valid({text})"
    if isinstance(to, ClassType):
        return f"mql::deref({text})"
    assert isinstance(to, PointerType)
    if source.target.symbol.derives_from(to.target.symbol):
        return text
    const = "const " if to.const or source.const else ""
    return f"mql::cast_pointer<{const}{type_name(to.target)}>({text})"


def _argument(parameter: ParameterSymbol, value: tree.Expression) -> str:
    if parameter.type is ANY and not parameter.reference:
        return _loose(value)
    if parameter.reference and isinstance(value.type, PointerType):
        # A pointer may stand for its object, but a parameter may also be a pointer itself.
        if isinstance(value, tree.This):
            return "*this"
        if not isinstance(parameter.type, PointerType) and parameter.type is not ANY:
            return f"{mark(value.place)}mql::deref({expression(value)})"
    if parameter.reference:
        return expression(value)
    return converted(value, parameter.type)


def _loose(value: tree.Expression) -> str:
    # Of a parameter of any type. A pointer is one for CheckPointer and GetPointer only.
    if value.type is NULL:
        return "nullptr"
    if isinstance(value.type, EnumType):
        return f"static_cast<int>({expression(value)})"
    return expression(value)


# --- operands ----------------------------------------------------------------------------------


def _literal(node: tree.Literal) -> str:
    if node.kind is tree.LiteralKind.NULL:
        return "nullptr"
    return constant(node.value, node.type)


def _name(node: tree.Name) -> str:
    symbol = node.symbol
    if isinstance(symbol, ConstantSymbol):
        if symbol.kind == "enum" and symbol.enum is not None:
            scope = "mql" if symbol.enum.node is None else SOURCE
            return f"{scope}::{identifier(symbol.name)}"
        return constant(symbol.value, symbol.type)
    if not isinstance(symbol, VariableSymbol):
        raise TranslationError(node.place, f"{node.name} is no value")
    name = identifier(symbol.name)
    if symbol.kind == "static field":
        assert symbol.owner is not None
        return f"{type_name(symbol.owner.type)}::{name}"
    if symbol.kind == "field":
        return f"this->{name}"
    if symbol.kind in {"global", "input"}:
        return f"{SOURCE}::{name}"
    if symbol.kind == "predefined":
        return f"mql::{name}"
    return name


def _this(node: tree.This) -> str:  # all writers take their node
    return "this"


def _object(node: tree.Expression, place: tree.Place, *, through_pointer: bool) -> str:
    # What a dot follows, with the dot.
    if isinstance(node, tree.This):
        return "this->"
    if through_pointer:
        return f"{mark(place)}mql::deref({expression(node)})."
    return f"{expression(node)}."


def _member(node: tree.Member) -> str:
    symbol = node.symbol
    if isinstance(symbol, VariableSymbol) and symbol.kind == "static field":
        assert symbol.owner is not None
        return f"{type_name(symbol.owner.type)}::{identifier(symbol.name)}"
    front = _object(node.object, node.place, through_pointer=node.through_pointer)
    return f"{front}{identifier(node.name)}"


def _index(node: tree.Index) -> str:
    of = node.array.type
    function = "char_at" if of is STRING else "at"
    array = expression(node.array)
    index = converted(node.index, INT) if isinstance(node.index.type, EnumType) else None
    return f"{mark(node.place)}mql::{function}({array}, {index or expression(node.index)})"


# --- operators ---------------------------------------------------------------------------------


def _unary(node: tree.Unary) -> str:
    operand = node.operand
    if node.op == "!":
        return f"(!{condition(operand)})"
    if node.op == "&":
        return f"(&{expression(operand)})"
    if node.op in {"++", "--"}:
        text = expression(operand)
        return f"({text}{node.op})" if node.postfix else f"({node.op}{text})"
    return f"({node.op}{converted(operand, node.type)})"


def _binary(node: tree.Binary) -> str:
    left, right, operator = node.left, node.right, node.op
    if operator in {"&&", "||"}:
        return f"({condition(left)} {operator} {condition(right)})"
    if operator in _COMPARISONS:
        return f"({_compared(left, right)} {operator} {_compared(right, left)})"
    if operator in {"/", "%"}:
        function = "div" if operator == "/" else "mod"
        of = cpp_type(node.type)
        return (
            f"{mark(node.place)}mql::{function}<{of}>"
            f"({converted(left, node.type)}, {converted(right, node.type)})"
        )
    if operator in {"<<", ">>"}:
        return f"({converted(left, node.type)} {operator} {expression(right)})"
    return f"({converted(left, node.type)} {operator} {converted(right, node.type)})"


def _compared(side: tree.Expression, other: tree.Expression) -> str:
    if side.type is NULL:
        return _null(other.type)
    if STRING in {side.type, other.type}:
        return converted(side, STRING)
    if isinstance(side.type, EnumType) and side.type is not other.type:
        return f"static_cast<int>({expression(side)})"
    return expression(side)


def _assign(node: tree.Assign) -> str:
    target, operator = node.target, node.op
    of = target.type
    if operator == "=" or of is STRING:
        return f"({expression(target)} {operator} {converted(node.value, of)})"
    if operator in {"/=", "%="}:
        function = "assign_div" if operator == "/=" else "assign_mod"
        return f"{mark(node.place)}mql::{function}({expression(target)}, {_plain(node.value)})"
    return f"({expression(target)} {operator} {_plain(node.value)})"


def _plain(value: tree.Expression) -> str:
    return converted(value, INT) if isinstance(value.type, EnumType) else expression(value)


def _ternary(node: tree.Ternary) -> str:
    then, otherwise = (converted(side, node.type) for side in (node.then, node.otherwise))
    return f"({condition(node.condition)} ? {then} : {otherwise})"


def _cast(node: tree.Cast) -> str:
    to = node.type
    if node.dynamic:
        assert isinstance(to, PointerType)
        const = "const " if to.const else ""
        return f"mql::try_pointer<{const}{type_name(to.target)}>({expression(node.operand)})"
    return f"{mark(node.place)}{converted(node.operand, to)}"


def _new(node: tree.New) -> str:
    of = type_name(node.type.target)
    if not node.arguments:
        return f"(new {of})"  # with brackets C++ would set members to zero
    constructor: FunctionSymbol = node.constructor
    return f"(new {of}({arguments(constructor.parameters, node.arguments, fill=False)}))"


def _sizeof(node: tree.SizeOf) -> str:
    of = node.of.type
    written = f"{cpp_type(of.element)}[{of.size}]" if isinstance(of, ArrayType) else cpp_type(of)
    if (isinstance(of, ArrayType) and of.size is None) or of is STRING:
        raise TranslationError(node.place, f"sizeof of {of}")
    return f"static_cast<{cpp_type(node.type)}>(sizeof({written}))"


# --- calls ---------------------------------------------------------------------------------------


def _call(node: tree.Call) -> str:
    target: FunctionSymbol = node.target
    where = mark(node.place)
    if target.kind == "api":
        return f"{where}{_api_call(node, target)}"
    passed = arguments(target.parameters, node.arguments, fill=True)
    return f"{where}{_callee(node.callee, target)}({passed})"


def _callee(callee: tree.Expression, target: FunctionSymbol) -> str:
    name = identifier(target.name)
    if target.owner is None:
        return f"{SOURCE}::{name}"
    if isinstance(callee, tree.Member):
        if target.static:
            return f"{type_name(target.owner.type)}::{name}"
        return (
            f"{_object(callee.object, callee.place, through_pointer=callee.through_pointer)}{name}"
        )
    assert isinstance(callee, tree.Name)
    if callee.scope is not None or target.static:
        # CBase::Run() is that of the base, whatever overrides it.
        return f"{_scope(callee, target.owner)}::{name}"
    return f"this->{name}"


def _scope(callee: tree.Name, owner: ClassSymbol) -> str:
    return (
        type_name(owner.type) if callee.scope is None else f"{SOURCE}::{identifier(callee.scope)}"
    )


def _api_call(node: tree.Call, target: FunctionSymbol) -> str:
    name = target.name
    if name in _TEXTUAL:
        of_text = len(target.parameters) - 1  # the last named parameter is of any type already
        fixed = arguments(target.parameters[:of_text], node.arguments[:of_text], fill=False)
        texts = [_as_shown(value) for value in node.arguments[of_text:]]
        return f"mql::{name}({', '.join([*([fixed] if fixed else []), *texts])})"
    if name == "EnumToString":
        value = node.arguments[0]
        scope = type_name(value.type).rpartition("::")[0]
        return f"{scope}::EnumToString({expression(value)})"
    return f"mql::{name}({arguments(target.parameters, node.arguments, fill=False)})"


def _as_shown(value: tree.Expression) -> str:
    if value.type is NULL:
        return "mql::string()"
    if value.type in {DATETIME, COLOR}:
        return as_text(expression(value), value.type)
    return _loose(value)


_WRITERS: Final[dict[type, Callable[[Any], str]]] = {
    tree.Literal: _literal,
    tree.Name: _name,
    tree.This: _this,
    tree.Unary: _unary,
    tree.Binary: _binary,
    tree.Assign: _assign,
    tree.Ternary: _ternary,
    tree.Call: _call,
    tree.Index: _index,
    tree.Member: _member,
    tree.Cast: _cast,
    tree.New: _new,
    tree.SizeOf: _sizeof,
}
