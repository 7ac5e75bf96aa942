"""Constant expressions: the values of sizes, labels, enums and macros."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

from tests.mql5 import tree
from tests.mql5.conversions import common_type, wrapped
from tests.mql5.symbols import ConstantSymbol
from tests.mql5.tree import LiteralKind
from tests.mql5.types import (
    BOOL,
    STRING,
    ArrayType,
    ClassType,
    EnumType,
    Scalar,
    Type,
)

__all__ = ["size_of", "value_of"]

_ENUM_SIZE: Final = 4


def _divided(left: Any, right: Any) -> Any:
    if right == 0:
        return None
    if isinstance(left, float) or isinstance(right, float):
        return left / right
    quotient = abs(left) // abs(right)
    return quotient if (left < 0) == (right < 0) else -quotient


def _remainder(left: Any, right: Any) -> Any:
    return None if right == 0 else int(math.fmod(left, right))


_ARITHMETIC: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "%": _remainder,
    "&": lambda left, right: left & right,
    "|": lambda left, right: left | right,
    "^": lambda left, right: left ^ right,
}
_COMPARISONS: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
}
_SHIFTS_MAX: Final = 64


def value_of(expression: tree.Expression) -> Any:
    """
    Return the value of a constant expression whose type is known, None for any other.
    """
    evaluate = _EVALUATORS.get(type(expression))
    return None if evaluate is None else evaluate(expression)


def _literal(expression: tree.Literal) -> Any:
    return None if expression.kind is LiteralKind.NULL else expression.value


def _name(expression: tree.Name) -> Any:
    symbol = expression.symbol
    return symbol.value if isinstance(symbol, ConstantSymbol) else None


def _unary(expression: tree.Unary) -> Any:
    if expression.op not in {"+", "-", "~", "!"}:
        return None
    value = value_of(expression.operand)
    if value is None or isinstance(value, str):
        return None
    if expression.op == "!":
        return not value
    if expression.op == "~":
        return wrapped(~int(value), expression.type)
    return wrapped(-value if expression.op == "-" else value, expression.type)


def _binary(expression: tree.Binary) -> Any:
    left, right = value_of(expression.left), value_of(expression.right)
    if left is None or right is None:
        return None
    operator = expression.op
    if isinstance(left, str) or isinstance(right, str):
        both = isinstance(left, str) and isinstance(right, str)
        return left + right if both and operator == "+" else None
    if operator in _COMPARISONS:
        common = common_type(expression.left.type, expression.right.type)
        return _COMPARISONS[operator](wrapped(left, common), wrapped(right, common))
    if operator == "&&":
        return bool(left) and bool(right)
    if operator == "||":
        return bool(left) or bool(right)
    if operator in {"<<", ">>"}:
        if not 0 <= right < _SHIFTS_MAX:
            return None
        return wrapped(left << right if operator == "<<" else left >> right, expression.type)
    common = common_type(expression.left.type, expression.right.type)
    result = _ARITHMETIC[operator](wrapped(left, common), wrapped(right, common))
    return None if result is None else wrapped(result, expression.type)


def _ternary(expression: tree.Ternary) -> Any:
    condition = value_of(expression.condition)
    if condition is None:
        return None
    return value_of(expression.then if condition else expression.otherwise)


def _cast(expression: tree.Cast) -> Any:
    value = value_of(expression.operand)
    if value is None or expression.type is STRING or isinstance(value, str):
        return value if expression.type is STRING and isinstance(value, str) else None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return wrapped(value, expression.type)


def _sizeof(expression: tree.SizeOf) -> Any:
    return None if expression.of.type is None else size_of(expression.of.type)


_EVALUATORS: Final[dict[type, Callable[[Any], Any]]] = {
    tree.Literal: _literal,
    tree.Name: _name,
    tree.Unary: _unary,
    tree.Binary: _binary,
    tree.Ternary: _ternary,
    tree.Cast: _cast,
    tree.SizeOf: _sizeof,
}


def size_of(of: Type) -> int | None:
    """
    Return the bytes of a type without strings, pointers and dynamic arrays; None for others.
    """
    if of is BOOL:
        return 1
    if isinstance(of, Scalar):
        return of.bits // 8 or None
    if isinstance(of, EnumType):
        return _ENUM_SIZE
    if isinstance(of, ArrayType):
        element = size_of(of.element)
        return None if element is None or of.size is None else element * of.size
    if isinstance(of, ClassType):
        return _size_of_struct(of)
    return None


def _size_of_struct(of: ClassType) -> int | None:
    symbol = of.symbol
    if symbol.kind == "class":
        return None
    types = [field.type for field in symbol.fields.values() if not field.kind.startswith("static")]
    if symbol.base is not None:
        types.append(symbol.base.type)
    sizes: list[int] = []
    for part in types:
        size = size_of(part)
        if size is None:
            return None
        sizes.append(size)
    return max(sizes, default=0) if symbol.kind == "union" else sum(sizes)
