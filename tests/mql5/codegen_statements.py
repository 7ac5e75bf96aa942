"""Statements of MQL5 as C++.

Static locals that are more than plain bytes live at file scope: the terminal ends them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.mql5 import tree
from tests.mql5.codegen_expressions import (
    arguments,
    condition,
    converted,
    expression,
    init_list,
)
from tests.mql5.codegen_types import (
    SOURCE,
    TranslationError,
    cpp_type,
    declared,
    identifier,
    mark,
    needs_storage,
)
from tests.mql5.types import VOID, ArrayType, ClassType, PointerType, Type

__all__ = ["Globals", "StatementWriter", "initialised"]


@dataclass(slots=True)
class Globals:
    """
    Variables that live as long as the program: what has to be done for them.

    ``construct``: statements in order; ``destroy``: in the order to be run;
    ``hoisted``: definitions of static locals, at file scope before all functions.
    """

    construct: list[str] = field(default_factory=list)
    destroy: list[str] = field(default_factory=list)
    hoisted: list[str] = field(default_factory=list)

    def store(self, name: str, declarator: tree.Declarator) -> str:
        """
        Return the definition of a variable's storage; it begins and ends with the others.
        """
        of: Type = declarator.symbol.type
        storage = f"{name}_storage"
        place = mark(declarator.place)
        self.construct.append(f"{storage}.poison();")
        self.construct.append(f"{place}{self._construction(storage, declarator)}")
        self.destroy.insert(0, f"{storage}.end();")
        return f"static mql::storage<{_stored(of)}> {storage};"

    def _construction(self, storage: str, declarator: tree.Declarator) -> str:
        of: Type = declarator.symbol.type
        at = f"static_cast<void *>(&{storage}.value)"
        initial = declarator.initial
        if isinstance(of, ArrayType) and of.size is not None:
            if initial is None:
                # Placement new of an array may want more room than the array has.
                return (
                    f"for (auto &cell : {storage}.value) "
                    f"new (static_cast<void *>(&cell)) {cpp_type(of.element)};"
                )
            if not isinstance(initial, tree.InitList):
                raise TranslationError(declarator.place, "an array without a list of values")
            values = init_list(initial, of)
            element = cpp_type(of.element)
            copy = f"{element} (&to)[{of.size}] = {storage}.value; {element} from[{of.size}] = "
            loop = f"new (static_cast<void *>(&to[i])) {element}(from[i]);"
            return f"{{ {copy}{values}; for (int i = 0; i < {of.size}; ++i) {loop} }}"
        made = _stored(of)
        if isinstance(of, ArrayType):
            values = init_list(initial, of) if isinstance(initial, tree.InitList) else ""
            return f"new ({at}) {made}{values};"
        if declarator.arguments:
            parameters = declarator.constructor.parameters
            return f"new ({at}) {made}({arguments(parameters, declarator.arguments, fill=False)});"
        if isinstance(initial, tree.InitList):
            return f"new ({at}) {made}{init_list(initial, of)};"
        if initial is not None:
            return f"new ({at}) {made}({converted(initial, of)});"
        return f"new ({at}) {made};"


def _stored(of: Type) -> str:
    if isinstance(of, ArrayType):
        element = cpp_type(of.element)
        return f"mql::darr<{element}>" if of.size is None else f"{element}[{of.size}]"
    return cpp_type(of)


def initialised(declarator: tree.Declarator) -> str:
    """
    Return what follows the name of a variable: arguments, an initial value, or nothing.
    """
    of: Type = declarator.symbol.type
    if declarator.arguments:
        if declarator.constructor is None:
            raise TranslationError(declarator.place, f"{of} has no constructor")
        values = arguments(declarator.constructor.parameters, declarator.arguments, fill=False)
        return f"({values})"
    if declarator.initial is None:
        return ""
    if isinstance(declarator.initial, tree.InitList):
        listed = init_list(declarator.initial, of)
        # T{x} of a dynamic array is a list of cells; T a[3] = {x} is one too.
        return f" = {listed}" if isinstance(of, ArrayType) and of.size is not None else listed
    return f" = {converted(declarator.initial, of)}"


class StatementWriter:
    """
    Writes the bodies of functions.

    ``returns``: of the function that is being written.
    """

    def __init__(self, variables: Globals) -> None:
        self.globals = variables
        self.returns: Type = VOID

    def body(self, block: tree.Block, returns: Type) -> str:
        """
        Return the body of a function, braces included.
        """
        self.returns = returns
        return self.block(block)

    def block(self, block: tree.Block) -> str:
        # The marks break the lines where the source does.
        inner = " ".join(self.statement(statement) for statement in block.statements)
        return f"{{ {inner} {mark(block.end)}}}"

    def statement(self, node: tree.Statement) -> str:  # one branch for each kind
        place = mark(node.place)
        if isinstance(node, tree.Block):
            return f"{place}{self.block(node)}"
        if isinstance(node, tree.DeclarationStatement):
            return self.declaration(node.declaration)
        if isinstance(node, tree.ExpressionStatement):
            return f"{place}{_bare(expression(node.expression))};"
        if isinstance(node, tree.If):
            return self._if(node)
        if isinstance(node, tree.While):
            return f"{place}while ({condition(node.condition)}) {self._inner(node.body)}"
        if isinstance(node, tree.DoWhile):
            inner = self._inner(node.body)
            until = f"{mark(node.condition.place)}{condition(node.condition)}"
            return f"{place}do {inner} while ({until});"
        if isinstance(node, tree.For):
            return self._for(node)
        if isinstance(node, tree.Switch):
            return self._switch(node)
        if isinstance(node, tree.Return):
            return f"{place}{self._return(node)}"
        if isinstance(node, tree.Delete):
            return f"{place}mql::destroy({expression(node.operand)});"
        words = {tree.Break: "break;", tree.Continue: "continue;", tree.Empty: ";"}
        return f"{place}{words[type(node)]}"

    def declaration(self, node: tree.Declaration) -> str:
        return " ".join(self._local(node, declarator) for declarator in node.declarators)

    def _local(self, node: tree.Declaration, declarator: tree.Declarator) -> str:
        symbol = declarator.symbol
        name = identifier(declarator.name)
        place = mark(declarator.place)
        if node.storage == "static" and needs_storage(symbol.type):
            hoisted = f"mql_static_{len(self.globals.hoisted)}_{declarator.name}"
            self.globals.hoisted.append(self.globals.store(hoisted, declarator))
            return f"{place}auto &{name} = {SOURCE}::{hoisted}_storage.value;"
        front = "static " if node.storage == "static" else ""
        written = declared(symbol.type, name, const=node.type_name.const)
        return f"{place}{front}{written}{initialised(declarator)};"

    def _inner(self, node: tree.Statement) -> str:
        # Always in braces: a statement may become several in C++.
        written = self.statement(node)
        return written if isinstance(node, tree.Block) else f"{{ {written} }}"

    def _if(self, node: tree.If) -> str:
        text = f"{mark(node.place)}if ({condition(node.condition)}) {self._inner(node.then)}"
        if node.otherwise is None:
            return text
        return f"{text} else {self._inner(node.otherwise)}"

    def _for(self, node: tree.For) -> str:
        place = mark(node.place)
        until = "" if node.condition is None else condition(node.condition)
        step = ", ".join(_bare(expression(part)) for part in node.step)
        inner = self._inner(node.body)
        first = "" if node.first is None else self.statement(node.first)
        # The first part stands before the loop, in braces: it may be several declarations.
        return f"{place}{{ {first} for (; {until}; {step}) {inner} }}"

    def _switch(self, node: tree.Switch) -> str:
        of: Type = node.value.type
        lines = [f"{mark(node.place)}switch ({expression(node.value)}) {{"]
        for case in node.cases:
            for label in case.labels:
                where = mark(case.place)
                lines.append(
                    f"{where}default:" if label is None else f"{where}case {converted(label, of)}:"
                )
            lines += [self.statement(statement) for statement in case.statements]
            if not case.statements:
                lines.append(";")
        return " ".join([*lines, "}"])

    def _return(self, node: tree.Return) -> str:
        if node.value is None:
            return "return;"
        if self.returns is VOID:
            raise TranslationError(node.place, "a value from a function without one")
        if isinstance(self.returns, ClassType) and isinstance(node.value.type, PointerType):
            raise TranslationError(node.place, "a pointer returned as an object")
        return f"return {converted(node.value, self.returns)};"


def _bare(text: str) -> str:
    # An assignment that is a statement needs no brackets.
    if text.startswith("(") and text.endswith(")"):
        depth = 0
        for at, character in enumerate(text):
            depth += {"(": 1, ")": -1}.get(character, 0)
            if depth == 0:
                return text[1:-1] if at == len(text) - 1 else text
    return text
