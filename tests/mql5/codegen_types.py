"""Types, names, literals and places of MQL5 as C++."""

from __future__ import annotations

import re
from typing import Any, Final

from tests.mql5.symbols import ClassSymbol
from tests.mql5.tree import Place
from tests.mql5.types import (
    BOOL,
    COLOR,
    DATETIME,
    DOUBLE,
    FLOAT,
    INT,
    LONG,
    NULL,
    STRING,
    UINT,
    ULONG,
    ArrayType,
    ClassType,
    EnumType,
    PointerType,
    Scalar,
    Type,
)

__all__ = [
    "GENERATED",
    "SOURCE",
    "TranslationError",
    "array_parameter",
    "constant",
    "cpp_type",
    "declared",
    "identifier",
    "is_simple",
    "mark",
    "needs_storage",
    "resolve_marks",
    "string_literal",
]

#: The namespace of what the source declares: MQL5's own functions are in ``mql``.
SOURCE: Final = "mql::source"

_TYPES: Final = {
    "void": "void",
    "bool": "bool",
    "char": "signed char",
    "uchar": "unsigned char",
    "short": "short",
    "ushort": "unsigned short",
    "int": "int",
    "uint": "unsigned int",
    "color": "unsigned int",
    "long": "long long",
    "ulong": "unsigned long long",
    "datetime": "long long",
    "float": "float",
    "double": "double",
    "string": "mql::string",
}
# Macros of the C headers that the runtime needs, and g++'s own words that MQL5 has not.
_RENAMED: Final = frozenset(
    """
    assert errno EOF BUFSIZ FILENAME_MAX TMP_MAX L_tmpnam P_tmpdir RAND_MAX MB_CUR_MAX EXIT_SUCCESS
    EXIT_FAILURE stdin stdout stderr NAN INFINITY HUGE_VAL FP_NAN FP_INFINITE FP_ZERO FP_NORMAL
    isnan isinf isfinite signbit CHAR_BIT INT8_MAX INT16_MAX INT32_MAX INT64_MAX UINT8_MAX
    UINT16_MAX UINT32_MAX UINT64_MAX INT8_MIN INT16_MIN INT32_MIN INT64_MIN SIZE_MAX MQL_PLACE
    MQL_POISON asm typeof mql std source runtime
    """.split()  # noqa: SIM905  # a list of words reads better than a wall of quotes
)


class TranslationError(Exception):
    """
    The source is outside of what can be translated, though the analysis let it pass.
    """

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(place, message)
        self.place = place
        self.message = message

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


# --- places ----------------------------------------------------------------------------------

# A mark in the text says: what follows stands at this place of the source. Marks become #line
# directives at the end, when the lines of the translation are known.
_BEGIN: Final = "\x01"
_END: Final = "\x02"

#: The place of what has none in the source.
GENERATED: Final = f"{_BEGIN}{_END}"
# Up to here empty lines are better to read than a directive.
_GAP_MAX: Final = 3


def mark(place: Place) -> str:
    """
    Return the mark of a place, to be put into the text before what stands there.
    """
    return f"{_BEGIN}{place.line},{place.path}{_END}"


def resolve_marks(text: str, own_path: str, root: str = "") -> str:
    """
    Return the text with #line directives; ``own_path`` is told for what was generated.

    ``root``: a folder that is left out of the paths.
    """
    if root:
        text = re.sub(rf"{_BEGIN}(\d+),{re.escape(root)}/", rf"{_BEGIN}\1,", text)
    pieces = text.split(_BEGIN)
    output = [pieces[0]]
    line = 1 + pieces[0].count("\n")  # of the translation itself
    at = (own_path, line)  # what the compiler takes the current line for
    fresh = not pieces[0] or pieces[0].endswith("\n")
    for piece in pieces[1:]:
        target, _, body = piece.partition(_END)
        if not target and not body:
            continue  # another mark follows
        number, _, path = target.partition(",")
        wanted = (path, int(number)) if target else (own_path, -1)
        gap = wanted[1] - at[1]
        if target and wanted[0] == at[0] and 0 <= gap <= _GAP_MAX:
            output.append("\n" * gap)
            line += gap
            fresh = fresh or gap > 0
            at = wanted
        elif target or at[0] != own_path:
            output.append("" if fresh else "\n")
            line += 1 if fresh else 2
            at = wanted if target else (own_path, line)
            output.append(f'#line {at[1]} "{_escaped(at[0])}"\n')
            fresh = True
        output.append(body)
        breaks = body.count("\n")
        line += breaks
        at = (at[0], at[1] + breaks)
        fresh = body.endswith("\n") if body else fresh
    return "".join(output)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace('"', '\\"')


# --- names and types ---------------------------------------------------------------------------


def identifier(name: str) -> str:
    """
    Return the name in C++: the same unless it would mean something else there.
    """
    return f"{name}_" if name in _RENAMED or name.startswith("mql_") else name


def type_name(of: Type) -> str:
    """
    Return the qualified name of an enum, class, struct or union.
    """
    symbol = of.symbol if isinstance(of, EnumType | ClassType) else None
    from_api = symbol is None or (
        symbol.node is None if isinstance(of, EnumType) else symbol.from_api
    )
    return f"{'mql' if from_api else SOURCE}::{identifier(of.name)}"


def cpp_type(of: Type) -> str:
    """
    Return a type that is no array.
    """
    if isinstance(of, Scalar) and of.name in _TYPES:
        return _TYPES[of.name]
    if isinstance(of, EnumType | ClassType):
        return type_name(of)
    if isinstance(of, PointerType):
        return f"{'const ' if of.const else ''}{type_name(of.target)} *"
    raise AssertionError(f"no C++ type for {of}")


def declared(of: Type, name: str, *, const: bool = False) -> str:
    """
    Return ``int name``, ``mql::darr<int> name``, ``int name[3]``.
    """
    if not isinstance(of, ArrayType):
        # Of a pointer the const in the source is that of the object: it is in the type.
        front = "const " if const and not isinstance(of, PointerType) else ""
        return f"{front}{cpp_type(of)} {name}"
    front = "const " if const else ""
    if of.size is None:
        return f"{front}mql::darr<{cpp_type(of.element)}> {name}"
    return f"{front}{cpp_type(of.element)} {name}[{of.size}]"


def array_parameter(of: ArrayType, name: str, *, const: bool) -> str:
    """
    Return the parameter ``T &name[]``.
    """
    return f"const mql::{'caref' if const else 'aref'}<{cpp_type(of.element)}> {name}"


def is_simple(of: Type) -> bool:
    """
    Whether a variable is plain bytes: no string, no dynamic array, no object of a class.
    """
    if isinstance(of, ArrayType):
        return of.size is not None and is_simple(of.element)
    if isinstance(of, ClassType):
        symbol: ClassSymbol = of.symbol
        if symbol.kind == "class" or symbol.constructors or symbol.destructor is not None:
            return False
        base = symbol.base is None or is_simple(symbol.base.type)
        return base and all(
            is_simple(field.type)
            for field in symbol.fields.values()
            if field.kind != "static field"
        )
    return of is not STRING


def needs_storage(of: Type) -> bool:
    """
    Whether a global of this type has to begin and end when the terminal says so.
    """
    return not is_simple(of) and of is not STRING


# --- values ------------------------------------------------------------------------------------

_SUFFIXES: Final = {LONG: "LL", DATETIME: "LL", UINT: "U", COLOR: "U", ULONG: "ULL"}
_ESCAPES: Final = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def string_literal(text: str) -> str:
    """
    Return a literal of mql::string.
    """
    pieces = []
    for character in text:
        code = ord(character)
        if character in _ESCAPES:
            pieces.append(_ESCAPES[character])
        elif 0x20 <= code < 0x7F:
            pieces.append(character)
        elif code < 0x200:
            pieces.append(f"\\{code:03o}")
        elif 0xD800 <= code <= 0xDFFF or code > 0xFFFF:
            # No universal character name; a new literal, so that no hex digit joins it.
            units = character.encode("utf-16-be", "surrogatepass")
            pieces += [
                f'\\x{int.from_bytes(units[at : at + 2], "big"):04X}" u"'
                for at in range(0, len(units), 2)
            ]
        else:
            pieces.append(f"\\u{code:04X}")
    return f'u"{"".join(pieces)}"_s'


def constant(value: Any, of: Type) -> str:
    """
    Return a value that is known now, as an expression of a type.
    """
    if of is STRING:
        return "mql::string()" if value is None else string_literal(str(value))
    if of is NULL or value is None:
        return "nullptr"
    if of is BOOL:
        return "true" if value else "false"
    if of is DOUBLE or of is FLOAT:
        return _real(float(value), of)
    number = int(value)
    if isinstance(of, EnumType):
        return f"static_cast<{cpp_type(of)}>({number})"
    if of is INT:
        # 2147483648 alone would be a long.
        text = str(number) if number != -(2**31) else "-2147483647 - 1"
    elif of in _SUFFIXES:
        text = f"{number}{_SUFFIXES[of]}" if number != -(2**63) else "-9223372036854775807LL - 1"
    else:
        return f"static_cast<{cpp_type(of)}>({number})"
    return f"({text})" if number < 0 else text


def _real(value: float, of: Type) -> str:
    suffix = "f" if of is FLOAT else ""
    text = repr(value)
    if text in {"inf", "-inf", "nan"}:
        builtin = '__builtin_nan("")' if text == "nan" else f"{text[:-3]}__builtin_inf()"
        return f"({builtin})"
    return f"({text}{suffix})" if value < 0 else f"{text}{suffix}"
