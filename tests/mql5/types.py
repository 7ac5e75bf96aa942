"""The types of MQL5, and which value goes where.

There is one object for each type, so types are compared with ``is`` or ``==``:

``Scalar``
    the numbers, ``bool``, ``datetime``, ``color``, ``string``; ``VOID``, ``NULL`` (of the word
    NULL), ``ERROR`` (of an expression with a finding; fits everything, never gets to a
    translator) and ``ANY`` (of a parameter of the API that takes everything).
``EnumType``
    of an enum; ``symbol`` is its EnumSymbol.
``ClassType``
    of a class, struct or union; ``symbol`` is its ClassSymbol. Also structs of the API.
``PointerType``
    ``target`` is a ClassType; ``const`` for ``const CFoo *``.
``ArrayType``
    ``element`` (any of the above), ``size``: None for a dynamic array.
    A parameter ``T &a[]`` is a dynamic array and takes both kinds.

Implicit conversions are not nodes of the tree. What a translator may meet, beside equal types:

* numbers, ``bool``, ``datetime``, ``color`` and enums where a wider number is wanted;
* integer constants wherever they fit (``uchar x=5``);
* one side of ``+`` or the value of ``+=`` is a string and the other a number, enum, ...;
* NULL for a pointer or a string; a pointer to a class for a pointer to its base;
* an object, or a **pointer** to one (``this`` too), for a parameter ``CFoo &``;
* a derived struct for a reference to its base, or assigned to it;
* an array of any size for a parameter ``T &a[]``.
"""

from __future__ import annotations

from typing import Any, Final

__all__ = [
    "ANY",
    "BASIC",
    "BOOL",
    "CHAR",
    "COLOR",
    "DATETIME",
    "DOUBLE",
    "ERROR",
    "FLOAT",
    "INT",
    "LONG",
    "NULL",
    "SHORT",
    "STRING",
    "UCHAR",
    "UINT",
    "ULONG",
    "USHORT",
    "VOID",
    "ArrayType",
    "ClassType",
    "EnumType",
    "PointerType",
    "Scalar",
    "Type",
    "array_of",
    "integer_range",
    "pointer_to",
]


class Type:
    """
    A type; ``str(type)`` is as it is written in MQL5.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Scalar(Type):
    """
    ``bits`` and ``signed`` of an integer; ``real`` of float and double.
    ``integer``: char to ulong. bool, datetime and color have bits, but are no ``integer``.
    """

    __slots__ = ("bits", "integer", "real", "signed")

    def __init__(
        self, name: str, bits: int = 0, *, signed: bool = False, real: bool = False, integer: bool
    ) -> None:
        super().__init__(name)
        self.bits = bits
        self.signed = signed
        self.real = real
        self.integer = integer


class EnumType(Type):
    """
    Of an enum: 4 bytes, signed.
    """

    __slots__ = ("symbol",)

    def __init__(self, name: str, symbol: Any) -> None:
        super().__init__(name)
        self.symbol = symbol


class ClassType(Type):
    """
    Of a class, struct or union, see ``symbol.kind``.
    """

    __slots__ = ("pointers", "symbol")

    def __init__(self, name: str, symbol: Any) -> None:
        super().__init__(name)
        self.symbol = symbol
        self.pointers: dict[bool, PointerType] = {}


class PointerType(Type):
    """
    To an object of a class.
    """

    __slots__ = ("const", "target")

    def __init__(self, target: ClassType, *, const: bool) -> None:
        super().__init__(f"{'const ' if const else ''}{target.name} *")
        self.target = target
        self.const = const


class ArrayType(Type):
    """
    ``size``: None when dynamic.
    """

    __slots__ = ("element", "size")

    def __init__(self, element: Type, size: int | None) -> None:
        super().__init__(f"{element.name}[{'' if size is None else size}]")
        self.element = element
        self.size = size


VOID: Final = Scalar("void", integer=False)
BOOL: Final = Scalar("bool", 8, integer=False)
CHAR: Final = Scalar("char", 8, signed=True, integer=True)
UCHAR: Final = Scalar("uchar", 8, integer=True)
SHORT: Final = Scalar("short", 16, signed=True, integer=True)
USHORT: Final = Scalar("ushort", 16, integer=True)
INT: Final = Scalar("int", 32, signed=True, integer=True)
UINT: Final = Scalar("uint", 32, integer=True)
LONG: Final = Scalar("long", 64, signed=True, integer=True)
ULONG: Final = Scalar("ulong", 64, integer=True)
FLOAT: Final = Scalar("float", 32, signed=True, real=True, integer=False)
DOUBLE: Final = Scalar("double", 64, signed=True, real=True, integer=False)
STRING: Final = Scalar("string", integer=False)
DATETIME: Final = Scalar("datetime", 64, signed=True, integer=False)
COLOR: Final = Scalar("color", 32, integer=False)
NULL: Final = Scalar("NULL", integer=False)
ERROR: Final = Scalar("?", integer=False)
ANY: Final = Scalar("any", integer=False)

#: By the word in the source.
BASIC: Final[dict[str, Scalar]] = {
    scalar.name: scalar
    for scalar in (
        VOID, BOOL, CHAR, UCHAR, SHORT, USHORT, INT, UINT, LONG, ULONG, FLOAT, DOUBLE, STRING,
        DATETIME, COLOR,
    )
}  # fmt: skip

_ARRAYS: dict[tuple[int, int | None], ArrayType] = {}


def pointer_to(target: ClassType, *, const: bool = False) -> PointerType:
    """
    Return the one pointer type to a class.
    """
    found = target.pointers.get(const)
    if found is None:
        found = target.pointers[const] = PointerType(target, const=const)
    return found


def array_of(element: Type, size: int | None = None) -> ArrayType:
    """
    Return the one array type of an element and a size.
    """
    # The element is kept by the array, so its id is not used again.
    key = (id(element), size)
    found = _ARRAYS.get(key)
    if found is None:
        found = _ARRAYS[key] = ArrayType(element, size)
    return found


def integer_range(of: Type) -> tuple[int, int] | None:
    """
    Return the smallest and largest value of an integer, datetime or color; None for others.
    """
    if not isinstance(of, Scalar) or of.real or not of.bits or of is BOOL:
        return None
    if of.signed:
        return -(1 << (of.bits - 1)), (1 << (of.bits - 1)) - 1
    return 0, (1 << of.bits) - 1
