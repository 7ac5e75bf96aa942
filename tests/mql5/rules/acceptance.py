"""What our translation takes and MetaEditor may refuse, or take for something else.

The reference is silent or of two minds about these forms, and each has another one that it shows.
``D:`` is a page of the reference, ``B:`` one of the book.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from tests.mql5 import symbols, tree, types
from tests.mql5.findings import Finding
from tests.mql5.rules.walking import Program, walk

__all__ = ["RULES"]

_HALF: Final = 0x80000000
_WHOLE: Final = 0xFFFFFFFF
#: short names of functions (D:4133); the manifest has those that we call
_FUNCTIONS: Final = frozenset(
    {
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "ceil", "cos", "cosh", "exp",
        "expm1", "fabs", "floor", "fmax", "fmin", "fmod", "log", "log10", "log1p", "pow", "printf",
        "rand", "round", "sin", "sinh", "sqrt", "srand", "tan", "tanh",
    }
)  # fmt: skip


def braces(program: Program) -> Iterator[Finding]:
    """
    R602: ``SPage page={};`` (B:0162). Texts of the struct itself are shown with it (D:0181).
    """
    for node in walk(program.unit):
        if isinstance(node, tree.Declarator) and isinstance(node.initial, tree.InitList):
            of = node.symbol.type if node.symbol is not None else None
            if isinstance(of, types.ArrayType):
                of = of.element
            if isinstance(of, types.ClassType):
                reason = _why_no_braces(of.symbol, inside=False)
                if reason:
                    message = f"{of.name} has {reason}: give it a constructor, and drop the braces"
                    yield Finding(node.place, "R602", message)


def _why_no_braces(symbol: symbols.ClassSymbol, *, inside: bool) -> str:
    current: symbols.ClassSymbol | None = symbol
    while current is not None:
        for field in current.fields.values():
            of = field.type
            if isinstance(of, types.ArrayType):
                if of.size is None:
                    return f"the dynamic array {field.name}"
                of = of.element
            if isinstance(of, types.PointerType):
                return f"the pointer {field.name}"
            if of is types.STRING and inside:
                return f"the text {field.name} in a struct inside"
            if isinstance(of, types.ClassType):
                if of.symbol.kind == "class":
                    return f"the object {field.name}"
                reason = _why_no_braces(of.symbol, inside=True)
                if reason:
                    return reason
        current = current.base
    return ""


def static_objects(program: Program) -> Iterator[Finding]:
    """
    R603: ``static CCrc32 s_crc;`` - a static member must be given a value (D:0082, error 370).
    """
    for item in program.unit.items:
        if not isinstance(item, tree.Class):
            continue
        for member in item.members:
            declaration = member.declaration
            if isinstance(declaration, tree.Declaration) and declaration.storage == "static":
                for declarator in declaration.declarators:
                    of = declarator.symbol.type if declarator.symbol is not None else None
                    if isinstance(of, types.ClassType | types.ArrayType):
                        message = f"{declarator.name} cannot be given a value: make it a global"
                        yield Finding(declarator.place, "R603", message)


def pointers(program: Program) -> Iterator[Finding]:
    """
    R604: a ``const CFoo *`` compared with a ``CFoo *`` (error 358 is about the two).
    """
    for node in walk(program.unit):
        if isinstance(node, tree.Binary) and node.op in {"==", "!="}:
            one, other = node.left.type, node.right.type
            if (
                isinstance(one, types.PointerType)
                and isinstance(other, types.PointerType)
                and one.const != other.const
            ):
                message = f"{one}and {other}are compared".replace("*", "* ")
                yield Finding(node.place, "R604", message)


def hexadecimal(program: Program) -> Iterator[Finding]:
    """
    R605: is ``0xFFFFFFFF`` 4294967295 or -1? Beside an uint both are the same.
    """
    for node in walk(program.unit):
        for value, beside in _meetings(node):
            if _is_doubtful(value) and _is_wide(beside):
                message = f"{value.text} beside a {beside}: write UINT_MAX or a decimal number"
                yield Finding(value.place, "R605", message)


def _meetings(node: tree.Node) -> Iterator[tuple[Any, Any]]:
    # Values, and the type that each of them is made to.
    match node:
        case tree.Binary():
            yield node.left, node.right.type
            yield node.right, node.left.type
        case tree.Assign():
            yield node.value, node.target.type
        case tree.Cast():
            yield node.operand, node.type
        case tree.Ternary():
            yield node.then, node.otherwise.type
            yield node.otherwise, node.then.type
        case tree.Declarator() if node.symbol is not None:
            yield node.initial, node.symbol.type
        case tree.Function() if node.symbol is not None and node.body is not None:
            for below in walk(node.body):
                if isinstance(below, tree.Return):
                    yield below.value, node.symbol.returns
        case tree.Call() if node.target is not None:
            for parameter, argument in zip(node.target.parameters, node.arguments, strict=False):
                yield argument, parameter.type


def _is_doubtful(node: Any) -> bool:
    return (
        isinstance(node, tree.Literal)
        and node.text[:2] in {"0x", "0X"}
        and isinstance(node.value, int)
        and _HALF <= node.value <= _WHOLE
    )


def _is_wide(of: Any) -> bool:
    return isinstance(of, types.Scalar) and (of.bits == types.LONG.bits or of.real)


def names(program: Program) -> Iterator[Finding]:
    """
    R606: ``CLog *log`` - a variable called like a function (methods may be, B:0119).
    """
    functions = _FUNCTIONS | program.manifest.functions.keys()
    for node in walk(program.unit):
        if isinstance(node, tree.Declarator | tree.Parameter) and node.name in functions:
            yield Finding(node.place, "R606", f"{node.name} is a function of MQL5")


RULES: Final = (braces, static_objects, pointers, hexadecimal, names)
