"""The words of MQL5 and C++, and why some are not used here."""

from __future__ import annotations

from typing import Final

__all__ = ["BASIC_TYPES", "NEVER_NAMES", "REASONS"]

BASIC_TYPES: Final = frozenset(
    "void bool char uchar short ushort int uint long ulong float double string datetime color".split()  # noqa: SIM905  # a list of words reads better than a wall of quotes
)

_KEYWORDS: Final = frozenset(
    """
    break case class const continue default delete do dynamic_cast else enum false final for if
    input new NULL operator override private protected public return sinput sizeof static struct
    switch this true union virtual while
    """.split()  # noqa: SIM905  # a list of words reads better than a wall of quotes
)

#: Word -> (code, why it is not in the subset).
REASONS: Final[dict[str, tuple[str, str]]] = {
    "auto": ("P002", "MQL5 has no auto: write the type"),
    "decltype": ("P002", "MQL5 has no decltype"),
    "goto": ("P002", "MQL5 has no goto"),
    "try": ("P002", "MQL5 has no exceptions (try)"),
    "catch": ("P002", "MQL5 has no exceptions (catch)"),
    "throw": ("P002", "MQL5 has no exceptions (throw)"),
    "friend": ("P002", "MQL5 has no friend"),
    "mutable": ("P002", "MQL5 has no mutable"),
    "volatile": ("P002", "MQL5 has no volatile"),
    "register": ("P002", "MQL5 has no register"),
    "constexpr": ("P002", "MQL5 has no constexpr: use const or #define"),
    "noexcept": ("P002", "MQL5 has no noexcept"),
    "nullptr": ("P002", "MQL5 has no nullptr: write NULL"),
    "static_cast": ("P002", "MQL5 has no static_cast: write (T)x"),
    "reinterpret_cast": ("P002", "MQL5 has no reinterpret_cast: use a union"),
    "const_cast": ("P002", "MQL5 has no const_cast"),
    "static_assert": ("P002", "MQL5 has no static_assert"),
    "unsigned": ("P002", "MQL5 has no unsigned: write uchar, ushort, uint or ulong"),
    "signed": ("P002", "MQL5 has no signed: write char, short, int or long"),
    "size_t": ("P002", "MQL5 has no size_t: write int"),
    "wchar_t": ("P002", "MQL5 has no wchar_t: write ushort"),
    "using": ("P002", "using is not in the subset"),
    "asm": ("P002", "MQL5 has no asm"),
    "explicit": ("P003", "explicit is not in the subset"),
    "inline": ("P003", "inline is ignored by MQL5: leave it out"),
    "extern": ("P003", "extern is not in the subset: write input"),
    "template": ("P003", "templates are not in the subset"),
    "typename": ("P003", "templates are not in the subset (typename)"),
    "namespace": ("P003", "namespaces are not in the subset"),
    "interface": ("P003", "interfaces are not in the subset: write a class with pure methods"),
    "typedef": ("P003", "typedef is not in the subset"),
    "operator": ("P003", "operator overloading is not in the subset"),
    "pack": ("P003", "structs are packed without gaps: pack() is not in the subset"),
    "offsetof": ("P003", "offsetof is not in the subset"),
    "matrix": ("P003", "matrix is not in the subset"),
    "matrixf": ("P003", "matrixf is not in the subset"),
    "matrixc": ("P003", "matrixc is not in the subset"),
    "vector": ("P003", "vector is not in the subset"),
    "vectorf": ("P003", "vectorf is not in the subset"),
    "vectorc": ("P003", "vectorc is not in the subset"),
    "complex": ("P003", "complex is not in the subset"),
    "__FUNCSIG__": ("P003", "__FUNCSIG__ is not in the subset: write __FUNCTION__"),
    "__DATE__": ("P003", "__DATE__ is not in the subset: builds are to repeat"),
    "__DATETIME__": ("P003", "__DATETIME__ is not in the subset: builds are to repeat"),
    "__PATH__": ("P003", "__PATH__ is not in the subset: it tells of the author's computer"),
    "__COUNTER__": ("P003", "__COUNTER__ is not in the subset"),
    "__RANDOM__": ("P003", "__RANDOM__ is not in the subset"),
}

# Legal names in MQL5 that would have to be renamed in C++, or that MetaEditor colours as words.
_AVOIDED: Final = frozenset(
    """
    alignas alignof and and_eq bitand bitor char16_t char32_t compl export group import main not
    not_eq or or_eq std thread_local typeid xor xor_eq
    """.split()  # noqa: SIM905  # a list of words reads better than a wall of quotes
)

#: What nothing may be called.
NEVER_NAMES: Final = BASIC_TYPES | _KEYWORDS | _AVOIDED | frozenset(REASONS)
