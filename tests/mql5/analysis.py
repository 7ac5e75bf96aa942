"""Names and types of a unit: fills the annotations of the tree, reports what does not fit.

First all types, signatures and constants (``analysis_declarations``), then every initial value and
body in the order of the source, each seeing the global variables that stand before it.
"""

from __future__ import annotations

from tests.mql5 import tree
from tests.mql5.analysis_declarations import DeclarationAnalysis
from tests.mql5.conversions import is_text
from tests.mql5.findings import Finding
from tests.mql5.manifest import Manifest
from tests.mql5.scope import Scope, api_of
from tests.mql5.symbols import ClassSymbol, FunctionSymbol, VariableSymbol
from tests.mql5.types import ERROR, ArrayType, ClassType

__all__ = ["analyse"]


def analyse(unit: tree.Unit, manifest: Manifest) -> list[Finding]:
    """
    Annotate a tree and return what is wrong with its names and types.

    After it, ``unit.scope`` has all that the unit declares.
    """
    scope = Scope(api_of(manifest))
    unit.scope = scope
    analysis = _Analysis(scope)
    analysis.collect(unit)
    analysis.look_into(unit)
    return sorted(set(scope.findings))


class _Analysis(DeclarationAnalysis):
    def look_into(self, unit: tree.Unit) -> None:
        scope = self.scope
        constants = scope.values
        scope.values = {}
        self.announced = {item.name for item in unit.items if isinstance(item, tree.ForwardClass)}
        for item in unit.items:
            if isinstance(item, tree.Define):
                if item.symbol is not None:
                    scope.values[item.name] = item.symbol
            elif isinstance(item, tree.Enumeration):
                for name, _, _ in item.members:
                    if name in constants:
                        scope.values[name] = constants[name]
            elif isinstance(item, tree.Declaration):
                self._globals(item)
            elif isinstance(item, tree.Class):
                self.announced.discard(item.name)
                self._class_bodies(item)
            elif isinstance(item, tree.Function):
                self._function_body(item)
        self._check_definitions()

    # --- global variables

    def _globals(self, declaration: tree.Declaration) -> None:
        element = self.object_type(declaration.type_name)
        const = declaration.type_name.const and not declaration.type_name.pointer
        is_input = declaration.storage in {"input", "sinput"}
        for declarator in declaration.declarators:
            if declarator.owner is not None:
                self._static_field(declaration, declarator)
                continue
            of = self.variable_type(element, declarator)
            kind = "input" if is_input else "global"
            symbol = VariableSymbol(declarator.name, of, kind, const or is_input, node=declarator)
            declarator.symbol = symbol
            self.initialise(declarator, of, static=True, const=const)
            if is_input:
                self._check_input(declarator, symbol)
            if self.scope.claim(declarator.name, declarator.place):
                self.scope.values[declarator.name] = symbol

    def _check_input(self, declarator: tree.Declarator, symbol: VariableSymbol) -> None:
        place = declarator.place
        if not is_text(symbol.type) and symbol.type is not ERROR:
            self.report(place, "T003", f"an input cannot be of the type {symbol.type}")
        elif declarator.initial is None:
            self.report(place, "T011", f"the input {symbol.name} has no value")

    def _static_field(self, declaration: tree.Declaration, declarator: tree.Declarator) -> None:
        owner = self.scope.classes.get(declarator.owner or "")
        field = owner.fields.get(declarator.name) if owner is not None else None
        full_name = f"{declarator.owner}::{declarator.name}"
        if owner is None or field is None or field.kind != "static field":
            self.report(declarator.place, "N009", f"{full_name} is not declared as static")
            return
        declarator.symbol = field
        of = self.array_type(self.object_type(declaration.type_name), declarator)
        declared = field.type
        if of is not declared and of is not ERROR and declared is not ERROR:
            self.report(declarator.place, "N009", f"{full_name} is declared as {declared}")
        if declaration.type_name.const != field.const and not declaration.type_name.pointer:
            self.report(declarator.place, "N009", f"const of {full_name} differs from its class")
        if field.definition is not None:
            self.report(declarator.place, "N004", f"{full_name} is already defined")
        field.definition = declarator
        self.owner = owner
        self.initialise(declarator, declared, static=True, const=field.const)
        self.owner = None

    # --- bodies

    def _class_bodies(self, node: tree.Class) -> None:
        symbol = node.symbol
        if symbol is None:
            return
        for member in node.members:
            if isinstance(member.declaration, tree.Function):
                self._body(member.declaration, symbol)
        if not symbol.constructors and node.kind != "union":
            self._check_members(symbol, set(), node.place)

    def _function_body(self, node: tree.Function) -> None:
        owner = None
        if node.owner is not None:
            owner = self.scope.classes.get(node.owner)
            if owner is None:
                return
        self._body(node, owner)

    def _body(self, node: tree.Function, owner: ClassSymbol | None) -> None:
        symbol = node.symbol
        for parameter in node.parameters:
            if parameter.default is not None:
                self.typed(parameter.default, parameter.symbol.type, parameter.name)
                self.check_constant(parameter.default, parameter.name)
        if symbol is None or node.body is None:
            return
        self.owner, self.function = owner, symbol
        self.blocks = [{}]
        for parameter in node.parameters:
            self.declare(parameter.symbol, parameter.place)
        if node.returns is None and not node.name.startswith("~"):
            self._initialisers(node, owner)
        self.body(node)
        self.owner = self.function = None
        self.blocks = []

    def _initialisers(self, node: tree.Function, owner: ClassSymbol | None) -> None:
        assert owner is not None
        done: set[str] = set()
        for initialiser in node.initialisers:
            place, name = initialiser.place, initialiser.name
            for argument in initialiser.arguments:
                self.type_of(argument)
            if name in done:
                self.report(place, "N004", f"{name} is initialised twice")
            done.add(name)
            field = owner.fields.get(name)
            if owner.base is not None and name == owner.base.name:
                initialiser.symbol = owner.base
                initialiser.constructor = self.constructor(owner.base, initialiser.arguments, place)
            elif name == owner.name:
                self.report(place, "P002", "MQL5 has no delegating constructors")
            elif field is None or field.kind != "field":
                self.report(place, "C006", f"{name} is no member of {owner.name} itself")
            else:
                initialiser.symbol = field
                self._initialise_field(initialiser, field)
        self._check_members(owner, done, node.place)

    def _initialise_field(self, initialiser: tree.Initialiser, field: VariableSymbol) -> None:
        place, arguments = initialiser.place, initialiser.arguments
        if isinstance(field.type, ArrayType):
            self.report(place, "C006", f"the array {field.name} is initialised in the body")
        elif isinstance(field.type, ClassType) and field.type.symbol.constructors:
            initialiser.constructor = self.construct(field.type.symbol, arguments, place)
        elif len(arguments) != 1:
            self.report(place, "C006", f"{field.name} takes one value")
        else:
            self.convert(arguments[0], field.type, field.name)

    def _check_members(self, owner: ClassSymbol, done: set[str], place: tree.Place) -> None:
        # What is not in the list of a constructor is made without arguments.
        base = owner.base
        if base is not None and base.name not in done and _needs_arguments(base):
            self.report(place, "C006", f"the base {base.name} of {owner.name} needs arguments")
        for field in owner.fields.values():
            if field.kind != "field" or field.name in done:
                continue
            if field.const:
                self.report(place, "C006", f"the constant {owner.name}::{field.name} has no value")
            of = field.type.element if isinstance(field.type, ArrayType) else field.type
            if isinstance(of, ClassType):
                if _needs_arguments(of.symbol):
                    self.report(place, "C006", f"{owner.name}::{field.name} needs arguments")
                if of.symbol.pure_methods():
                    self.report(field.node.place, "C001", f"{of} is abstract")

    # --- what has to be there at the end

    def _check_definitions(self) -> None:
        scope = self.scope
        for overloads in scope.functions.values():
            for function in overloads:
                self._check_defined(function)
        for symbol in scope.classes.values():
            if symbol.node is None:
                if symbol.place is not None:
                    self.report(symbol.place, "N008", f"{symbol.name} is announced, never defined")
                continue
            for methods in (*symbol.methods.values(), symbol.constructors):
                for method in methods:
                    self._check_defined(method)
            if symbol.destructor is not None:
                self._check_defined(symbol.destructor)
            for field in symbol.fields.values():
                if field.kind == "static field" and field.definition is None:
                    message = f"{symbol.name}::{field.name} is static: define it outside"
                    self.report(field.node.place, "C009", message)

    def _check_defined(self, function: FunctionSymbol) -> None:
        if function.definition is None and not function.pure and function.declaration is not None:
            place = function.declaration.place
            self.report(place, "N008", f"{function.full_name} is declared, never defined")


def _needs_arguments(symbol: ClassSymbol) -> bool:
    return bool(symbol.constructors) and all(
        constructor.required > 0 for constructor in symbol.constructors
    )
