"""What names refer to. The analysis makes these and hangs them into the tree.

* ``Name.symbol``: VariableSymbol, ConstantSymbol, FunctionSymbol (of a callee).
  A bare name of a member inside of a method (``m_port``, ``Send()``) refers to the field or method
  itself: ``symbol.owner`` is its class, and ``this.`` is meant unless it is static.
* ``Member.symbol``: VariableSymbol (a field) or FunctionSymbol (a method);
  ``Member.through_pointer``: the object is a pointer (``this`` too).
* ``Call.target``: the FunctionSymbol chosen; the same as ``callee.symbol``.
  A call ``CBase::Run()`` from a derived class is not virtual (``Name.scope`` is set).
* ``TypeName.type``: its type (a PointerType when ``pointer``; the const of a value is not in it).
* ``New.type`` is the PointerType; ``New.constructor`` and ``Declarator.constructor`` the
  FunctionSymbol (None: the class declares no constructor).
* ``Declarator.symbol``, ``Parameter.symbol``: VariableSymbol with the type, arrays included.
* ``Function.symbol``, ``Class.symbol``, ``Enumeration.symbol``, ``Define.symbol``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from tests.mql5 import tree
from tests.mql5.types import STRING, ArrayType, ClassType, EnumType, PointerType, Type

__all__ = [
    "ClassSymbol",
    "ConstantSymbol",
    "EnumSymbol",
    "FunctionSymbol",
    "ParameterSymbol",
    "Symbol",
    "VariableSymbol",
    "is_plain",
]


@dataclass(eq=False, slots=True)
class VariableSymbol:
    """
    A variable, parameter, field or input.

    ``kind``: global, local, static (a local one), parameter, field, static field, input,
    predefined (``_LastError`` and the like).
    ``reference``: a parameter with ``&``. ``const``: cannot be changed (inputs too).
    ``owner``: the class of a field. ``access``: of a field, public protected private.
    ``node``: the Declarator or Parameter, None when from the API.
    """

    name: str
    type: Type
    kind: str
    const: bool = False
    reference: bool = False
    owner: ClassSymbol | None = None
    access: str = "public"
    node: Any = None
    definition: Any = None  # of a static field: the Declarator outside of the class


@dataclass(eq=False, slots=True)
class ConstantSymbol:
    """
    ``kind``: define, enum or api. ``value``: int, float or str.
    ``enum``: of an enum member, the EnumSymbol.
    """

    name: str
    type: Type
    value: Any
    kind: str
    enum: EnumSymbol | None = None
    node: Any = None


@dataclass(eq=False, slots=True)
class EnumSymbol:
    """
    ``members``: in order. ``node``: None when from the API.
    """

    name: str
    members: dict[str, int] = field(default_factory=dict)
    node: tree.Enumeration | None = None
    type: EnumType = field(init=False)

    def __post_init__(self) -> None:
        self.type = EnumType(self.name, self)


@dataclass(eq=False, slots=True)
class ParameterSymbol:
    """
    ``type`` is ``types.ANY`` (or an array of it) where the API takes everything;
    ``any_number``: only numbers. ``pointer``: a pointer to anything.
    ``default``: the expression, or for the API its text.
    """

    name: str
    type: Type
    const: bool = False
    reference: bool = False
    default: Any = None
    any_number: bool = False
    any_pointer: bool = False


@dataclass(eq=False, slots=True)
class FunctionSymbol:
    """
    ``kind``: function, method, constructor, destructor or api.

    ``declaration``: the Function node inside of the class, or the prototype if there is one;
    ``definition``: the node with the body. They are the same node when there is only one.
    ``const``: a method that leaves its object alone. ``signature``: of the API, as in the manifest.
    ``overrides``: the method of a base class.
    """

    name: str
    returns: Type
    parameters: list[ParameterSymbol]
    kind: str
    owner: ClassSymbol | None = None
    access: str = "public"
    static: bool = False
    virtual: bool = False
    const: bool = False
    pure: bool = False
    variadic: bool = False
    declaration: tree.Function | None = None
    definition: tree.Function | None = None
    signature: Any = None
    overrides: FunctionSymbol | None = None

    @property
    def required(self) -> int:
        """
        How many arguments a call has at least.
        """
        return sum(parameter.default is None for parameter in self.parameters)

    @property
    def full_name(self) -> str:
        return f"{self.owner.name}::{self.name}" if self.owner else self.name


@dataclass(eq=False, slots=True)
class ClassSymbol:
    """
    ``kind``: class, struct or union. ``node``: None when from the API or only announced.
    ``fields`` and ``methods``: its own, without those of ``base``.
    """

    name: str
    kind: str
    base: ClassSymbol | None = None
    fields: dict[str, VariableSymbol] = field(default_factory=dict)
    methods: dict[str, list[FunctionSymbol]] = field(default_factory=dict)
    constructors: list[FunctionSymbol] = field(default_factory=list)
    destructor: FunctionSymbol | None = None
    node: tree.Class | None = None
    from_api: bool = False
    place: tree.Place | None = None
    type: ClassType = field(init=False)

    def __post_init__(self) -> None:
        self.type = ClassType(self.name, self)

    def derives_from(self, other: ClassSymbol) -> bool:
        """
        Whether ``other`` is this class or one of its bases.
        """
        current: ClassSymbol | None = self
        while current is not None:
            if current is other:
                return True
            current = current.base
        return False

    def find_field(self, name: str) -> VariableSymbol | None:
        current: ClassSymbol | None = self
        while current is not None:
            if name in current.fields:
                return current.fields[name]
            current = current.base
        return None

    def find_methods(self, name: str) -> list[FunctionSymbol]:
        """
        The overloads of the nearest class that has the name: it hides those of its bases.
        """
        current: ClassSymbol | None = self
        while current is not None:
            if name in current.methods:
                return current.methods[name]
            current = current.base
        return []

    def pure_methods(self) -> list[FunctionSymbol]:
        """
        Pure methods that nothing overrides: with one of them the class is abstract.
        """
        chain: list[ClassSymbol] = []
        current: ClassSymbol | None = self
        while current is not None:
            chain.append(current)
            current = current.base
        overridden: set[int] = set()
        pure: list[FunctionSymbol] = []
        for owner in chain:
            for overloads in owner.methods.values():
                for method in overloads:
                    if method.pure and id(method) not in overridden:
                        pure.append(method)
                    root = method.overrides
                    while root is not None:
                        overridden.add(id(root))
                        root = root.overrides
        return pure


Symbol = VariableSymbol | ConstantSymbol | FunctionSymbol | ClassSymbol | EnumSymbol


def is_plain(symbol: ClassSymbol) -> bool:
    """
    Whether a struct is only numbers: what a union and StructToCharArray take.
    """
    if symbol.kind == "class" or symbol.constructors or symbol.destructor:
        return False
    if symbol.base is not None and not is_plain(symbol.base):
        return False
    for member in symbol.fields.values():
        of = member.type
        if isinstance(of, ArrayType):
            if of.size is None:
                return False
            of = of.element
        if of is STRING or isinstance(of, PointerType):
            return False
        if isinstance(of, ClassType) and not is_plain(of.symbol):
            return False
    return True
