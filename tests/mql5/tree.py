"""The syntax tree of the MQL5 subset: what the parser makes, what the checker types.

Every node knows its place in the source. Expressions carry what the analysis finds out:
their type, what a name refers to, how a member is reached. Nothing here decides anything.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Place(NamedTuple):
    """
    Where something stands: path as it was given or included, line and column from 1.
    """

    path: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.path}:{self.line}"


@dataclass(eq=False, slots=True)
class Node:
    """
    Anything with a place.
    """

    place: Place


# --- types as they are written ---------------------------------------------------------------


@dataclass(eq=False, slots=True)
class TypeName(Node):
    """
    ``const CFoo *``: a name, whether const, whether a pointer (to a class).
    ``type`` is set by the analysis, without the const of a value.
    """

    name: str
    const: bool = False
    pointer: bool = False
    type: Any = field(default=None, init=False)


# --- expressions -------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Expression(Node):
    """
    ``type`` is set by the analysis (``tests.mql5.types``); None before it.
    """

    type: Any = field(default=None, init=False)


class LiteralKind(enum.Enum):
    """
    What a literal is.
    """

    INTEGER = "integer"
    REAL = "real"
    STRING = "string"
    CHARACTER = "character"
    BOOL = "bool"
    DATETIME = "datetime"
    COLOR = "color"
    NULL = "NULL"


@dataclass(eq=False, slots=True)
class Literal(Expression):
    """
    ``value``: int, float, str, bool or None; ``text``: as it stands in the source.
    """

    kind: LiteralKind
    value: Any
    text: str


@dataclass(eq=False, slots=True)
class Name(Expression):
    """
    ``foo``, ``::foo`` (``is_global``) or ``CFoo::foo`` (``scope``). ``symbol``: what it refers to.
    """

    name: str
    scope: str | None = None
    is_global: bool = False
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class This(Expression):
    """
    ``this``: a pointer, used with a dot.
    """


@dataclass(eq=False, slots=True)
class Unary(Expression):
    """
    ``op``: ``+ - ! ~ ++ -- &`` (the address of an object); ``postfix`` for ``i++``.
    """

    op: str
    operand: Expression
    postfix: bool = False


@dataclass(eq=False, slots=True)
class Binary(Expression):
    """
    Arithmetic, comparison, shift, bitwise, ``&&`` and ``||``.
    """

    op: str
    left: Expression
    right: Expression


@dataclass(eq=False, slots=True)
class Assign(Expression):
    """
    ``op``: ``= += -= *= /= %= <<= >>= &= |= ^=``.
    """

    op: str
    target: Expression
    value: Expression


@dataclass(eq=False, slots=True)
class Ternary(Expression):
    condition: Expression
    then: Expression
    otherwise: Expression


@dataclass(eq=False, slots=True)
class Call(Expression):
    """
    ``callee`` is a Name or a Member. ``target``: the function symbol that the analysis chose.
    """

    callee: Expression
    arguments: list[Expression]
    target: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Index(Expression):
    array: Expression
    index: Expression


@dataclass(eq=False, slots=True)
class Member(Expression):
    """
    ``object.name``; ``through_pointer`` and ``symbol`` are set by the analysis.
    """

    object: Expression
    name: str
    through_pointer: bool = field(default=False, init=False)
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Cast(Expression):
    """
    ``(int)x`` or ``int(x)``; ``dynamic`` for ``dynamic_cast<CFoo *>(x)``.
    """

    to: TypeName
    operand: Expression
    dynamic: bool = False


@dataclass(eq=False, slots=True)
class New(Expression):
    """
    ``constructor``: the function symbol, None when the class declares none.
    """

    class_name: TypeName
    arguments: list[Expression]
    constructor: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class SizeOf(Expression):
    """
    ``sizeof(T)`` or ``sizeof(expression)``.
    """

    of: TypeName | Expression


# --- initialisers ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class InitList(Node):
    """
    ``{}``, ``{0}``, ``{1, 2}``: only behind a declarator.
    """

    values: list[Expression | InitList]


# --- declarations ------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Declarator(Node):
    """
    One name of a declaration. ``dimensions``: empty for no array, None for ``[]``.
    ``arguments``: of ``CFoo foo(1, 2);``. ``owner``: of a static member that is defined,
    ``int CFoo::s_count=0;``. ``symbol`` is set by the analysis, and ``constructor`` for an object
    of a class that declares one.
    """

    name: str
    dimensions: list[Expression | None]
    initial: Expression | InitList | None = None
    arguments: list[Expression] | None = None
    owner: str | None = None
    constructor: Any = field(default=None, init=False)
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Declaration(Node):
    """
    Variables of one type. ``storage``: "", "static", "input" or "sinput".
    """

    type_name: TypeName
    declarators: list[Declarator]
    storage: str = ""


@dataclass(eq=False, slots=True)
class Parameter(Node):
    """
    ``dimensions`` as in Declarator; ``reference`` for ``&``, which arrays always have.
    """

    type_name: TypeName
    name: str
    reference: bool
    dimensions: list[Expression | None]
    default: Expression | None = None
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Function(Node):
    """
    A function, method, constructor (``returns`` is None, name as the class) or destructor
    (name ``~CFoo``). ``owner``: the class of ``void CFoo::Bar()``, or of a method inside.
    ``initialisers``: of a constructor, in the order written.
    """

    returns: TypeName | None
    name: str
    parameters: list[Parameter]
    body: Block | None
    owner: str | None = None
    specifiers: frozenset[str] = frozenset()  # static virtual override final const pure
    initialisers: list[Initialiser] = field(default_factory=list)
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Initialiser(Node):
    """
    ``m_port(port)`` of a constructor. ``symbol``: the field, or the ClassSymbol of the base;
    ``constructor``: what is called for an object of a class.
    """

    name: str
    arguments: list[Expression]
    symbol: Any = field(default=None, init=False)
    constructor: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class ClassMember(Node):
    """
    A member of a class, struct or union with its access.
    """

    access: str  # public protected private
    declaration: Declaration | Function


@dataclass(eq=False, slots=True)
class Class(Node):
    """
    ``kind``: class, struct or union.
    """

    kind: str
    name: str
    base: str | None
    members: list[ClassMember]
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class ForwardClass(Node):
    """
    ``class CFoo;``: from here on a pointer to it can be declared.
    """

    kind: str
    name: str


@dataclass(eq=False, slots=True)
class Enumeration(Node):
    name: str
    members: list[tuple[str, Expression | None, Place]]
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Define(Node):
    """
    ``#define NAME expression``: an object-like macro that is a constant expression.
    """

    name: str
    value: Expression
    symbol: Any = field(default=None, init=False)


@dataclass(eq=False, slots=True)
class Property(Node):
    """
    ``#property name value``.
    """

    name: str
    value: str


@dataclass(eq=False, slots=True)
class InputGroup(Node):
    """
    ``input group "title"``.
    """

    title: str


# --- statements ----------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Statement(Node):
    pass


@dataclass(eq=False, slots=True)
class Block(Statement):
    statements: list[Statement]
    end: Place


@dataclass(eq=False, slots=True)
class DeclarationStatement(Statement):
    declaration: Declaration


@dataclass(eq=False, slots=True)
class ExpressionStatement(Statement):
    expression: Expression


@dataclass(eq=False, slots=True)
class If(Statement):
    condition: Expression
    then: Statement
    otherwise: Statement | None


@dataclass(eq=False, slots=True)
class While(Statement):
    condition: Expression
    body: Statement


@dataclass(eq=False, slots=True)
class DoWhile(Statement):
    body: Statement
    condition: Expression


@dataclass(eq=False, slots=True)
class For(Statement):
    first: Statement | None  # a DeclarationStatement or an ExpressionStatement
    condition: Expression | None
    step: list[Expression]
    body: Statement


@dataclass(eq=False, slots=True)
class Case(Node):
    """
    ``labels``: constant expressions, None for ``default``.
    """

    labels: list[Expression | None]
    statements: list[Statement]


@dataclass(eq=False, slots=True)
class Switch(Statement):
    value: Expression
    cases: list[Case]


@dataclass(eq=False, slots=True)
class Break(Statement):
    pass


@dataclass(eq=False, slots=True)
class Continue(Statement):
    pass


@dataclass(eq=False, slots=True)
class Return(Statement):
    value: Expression | None


@dataclass(eq=False, slots=True)
class Delete(Statement):
    """
    ``delete p;``: does not null it.
    """

    operand: Expression


@dataclass(eq=False, slots=True)
class Empty(Statement):
    pass


# --- the whole -----------------------------------------------------------------------------------


@dataclass(eq=False, slots=True)
class Unit(Node):
    """
    A main file with everything it includes, each file once, in order.

    ``files``: paths of all sources, the main file first. ``items``: Declaration, Function, Class,
    ForwardClass, Enumeration, Define, Property and InputGroup. ``tokens_by_file``: with comments
    and directives, for the rules. ``scope``: of the analysis, what the names of the unit mean.
    """

    files: list[str]
    items: list[Node]
    tokens_by_file: dict[str, list[Any]] = field(default_factory=dict, init=False)
    scope: Any = field(default=None, init=False)
