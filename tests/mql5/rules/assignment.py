"""Definite assignment: which locals have a value where.

As the Java language defines it, without its finer points: a state is the set of variables that
have a value on every path; ``None`` is the state behind a jump, where no path leads.
"""

from __future__ import annotations

from tests.mql5 import tree, types
from tests.mql5.rules.walking import children, symbol_of

__all__ = ["unassigned_reads"]

_State = frozenset[int] | None


def unassigned_reads(function: tree.Function) -> list[tree.Name]:
    """
    Return the uses of a function's locals on a path on which they have no value yet.

    Locals of numbers, enums and pointers; each is told of once.
    """
    flow = _Flow()
    if function.body is not None:
        flow.statement(function.body, frozenset())
    return flow.found


def _both(first: _State, second: _State) -> _State:
    if first is None:
        return second
    return first if second is None else first & second


class _Flow:
    def __init__(self) -> None:
        self.found: list[tree.Name] = []
        self._tracked: set[int] = set()
        self._breaks: list[_State] = []
        self._continues: list[_State] = []

    # --- statements: the state behind them

    def statement(self, node: tree.Statement | None, state: _State) -> _State:
        match node:
            case None | tree.Empty():
                return state
            case tree.Block():
                for inner in node.statements:
                    state = self.statement(inner, state)
                return state
            case tree.DeclarationStatement():
                for declarator in node.declaration.declarators:
                    state = self._declarator(node.declaration, declarator, state)
                return state
            case tree.If():
                state = self.expression(node.condition, state)
                then = self.statement(node.then, state)
                return _both(then, self.statement(node.otherwise, state))
            case tree.While() | tree.DoWhile() | tree.For():
                return self._loop(node, state)
            case tree.Switch():
                return self._switch(node, state)
            case tree.Break():
                self._breaks[-1] = _both(self._breaks[-1], state)
                return None
            case tree.Continue():
                self._continues[-1] = _both(self._continues[-1], state)
                return None
        for child in children(node):
            state = self.expression(child, state)
        return None if isinstance(node, tree.Return) else state

    def _declarator(
        self, declaration: tree.Declaration, node: tree.Declarator, state: _State
    ) -> _State:
        for child in children(node):
            state = self.expression(child, state)
        symbol = node.symbol
        if symbol is None or declaration.storage == "static" or not _is_plain(symbol.type):
            return state
        self._tracked.add(id(symbol))
        if node.initial is not None and state is not None:
            return state | {id(symbol)}
        return state

    def _loop(self, node: tree.While | tree.DoWhile | tree.For, state: _State) -> _State:
        if isinstance(node, tree.For):
            state = self.statement(node.first, state)
        endless = node.condition is None or (
            isinstance(node.condition, tree.Literal) and bool(node.condition.value)
        )
        self._breaks.append(None)
        self._continues.append(None)
        behind = state if isinstance(node, tree.DoWhile) else self.expression(node.condition, state)
        inside = self.statement(node.body, behind)
        inside = _both(inside, self._continues.pop())
        if isinstance(node, tree.DoWhile):
            behind = self.expression(node.condition, inside)
        elif isinstance(node, tree.For):
            for step in node.step:
                inside = self.expression(step, inside)
        broken = self._breaks.pop()
        return broken if endless else _both(behind, broken)

    def _switch(self, node: tree.Switch, state: _State) -> _State:
        state = self.expression(node.value, state)
        self._breaks.append(None)
        behind: _State = None
        complete = False
        for case in node.cases:
            complete = complete or None in case.labels
            # Fallen through from the case before, or come here directly.
            inside: _State = _both(behind, state)
            for inner in case.statements:
                inside = self.statement(inner, inside)
            behind = inside
        broken = self._breaks.pop()
        behind = _both(behind, broken)
        return behind if complete else _both(behind, state)

    # --- expressions: the state when they are evaluated

    def expression(self, node: tree.Node | None, state: _State) -> _State:
        match node:
            case None:
                return state
            case tree.Name():
                self._read(node, state)
                return state
            case tree.Assign():
                return self._assign(node, state)
            case tree.Binary(op="&&" | "||"):
                state = self.expression(node.left, state)
                self.expression(node.right, state)
                return state
            case tree.Ternary():
                state = self.expression(node.condition, state)
                then = self.expression(node.then, state)
                return _both(then, self.expression(node.otherwise, state))
            case tree.Call():
                return self._call(node, state)
            case tree.SizeOf():
                return state
        for child in children(node):
            state = self.expression(child, state)
        return state

    def _read(self, node: tree.Name, state: _State) -> None:
        symbol = id(node.symbol)
        if state is not None and symbol in self._tracked and symbol not in state:
            self.found.append(node)
            self._tracked.discard(symbol)

    def _assign(self, node: tree.Assign, state: _State) -> _State:
        state = self.expression(node.value, state)
        if node.op == "=" and isinstance(node.target, tree.Name):
            return state if state is None else state | {id(node.target.symbol)}
        return self.expression(node.target, state)

    def _call(self, node: tree.Call, state: _State) -> _State:
        if isinstance(node.callee, tree.Member):
            state = self.expression(node.callee.object, state)
        parameters = node.target.parameters if node.target is not None else []
        given: set[int] = set()
        for at, argument in enumerate(node.arguments):
            parameter = parameters[at] if at < len(parameters) else None
            symbol = symbol_of(argument)
            filled = parameter is not None and parameter.reference and not parameter.const
            if filled and symbol is not None and isinstance(argument, tree.Name):
                given.add(id(symbol))
            else:
                state = self.expression(argument, state)
        return state if state is None else state | given


def _is_plain(of: types.Type) -> bool:
    if isinstance(of, types.EnumType | types.PointerType):
        return True
    return isinstance(of, types.Scalar) and of is not types.STRING
