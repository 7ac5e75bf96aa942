"""Tokens to statements and declarations of variables."""

from __future__ import annotations

from tests.mql5 import tree
from tests.mql5.lexer import Token, TokenKind
from tests.mql5.parser_expressions import NAME, ExpressionParser, ParseError
from tests.mql5.parser_words import NEVER_NAMES, REASONS

__all__ = ["StatementParser"]


class StatementParser(ExpressionParser):
    """
    Statements of function bodies.
    """

    # --- declarations of variables

    def declarator(self, type_name: tree.TypeName, what: str) -> tree.Declarator:
        """
        Take one name with its size and initial value; ``CFoo::s_count`` too.
        """
        if self.is_operator("&"):
            self.fail(f"{what} cannot be a reference in MQL5", "P002")
        if self.is_operator("*"):
            self.fail("each pointer has a declaration of its own", "P003")
        token = self.identifier(what)
        owner = None
        if self.accept("::"):
            owner = token.text
            token = self.identifier("a static member")
        dimensions = self.dimensions()
        result = tree.Declarator(token.place, token.text, dimensions, owner=owner)
        if self.is_operator("("):
            if self.peek().text == ")":
                self.fail(f"{token.text}() declares a function: leave the brackets out", "P003")
            result.arguments = self.arguments()
        elif self.is_operator("{"):
            self.fail(f"braces after {token.text} need an =", "P002")
        elif self.accept("="):
            result.initial = self.init_list() if self.is_operator("{") else self.expression()
        if type_name.name == "void":
            self.fail(f"{token.text} cannot be void", "P001", token.place)
        return result

    def dimensions(self) -> list[tree.Expression | None]:
        sizes: list[tree.Expression | None] = []
        while self.is_operator("["):
            if sizes:
                self.fail("arrays of several dimensions are not in the subset", "P003")
            self.advance()
            sizes.append(None if self.is_operator("]") else self.expression())
            self.expect("]", "after the size of an array")
        return sizes

    def init_list(self) -> tree.InitList:
        place = self.expect("{", "before initial values").place
        values: list[tree.Expression | tree.InitList] = []
        if self.accept("}"):
            return tree.InitList(place, values)
        while True:
            if self.is_operator("."):
                self.fail("MQL5 has no designated initialisers", "P002")
            values.append(self.init_list() if self.is_operator("{") else self.expression())
            if not self.accept(","):
                break
            if self.is_operator("}"):
                self.fail("a comma behind the last value is not in the subset", "P003")
        self.expect("}", "after initial values")
        return tree.InitList(place, values)

    def declaration(self, type_name: tree.TypeName, storage: str, what: str) -> tree.Declaration:
        """
        Take the declarators and the semicolon after a type.
        """
        declarators = [self.declarator(type_name, what)]
        while self.accept(","):
            declarators.append(self.declarator(type_name, what))
        if self.is_operator(":"):
            self.fail("MQL5 has no range-for and no bit-fields", "P002")
        self.expect(";", "after a declaration")
        return tree.Declaration(type_name.place, type_name, declarators, storage)

    def begins_declaration(self) -> bool:
        token = self.token
        if token.kind is not NAME:
            return False
        following = self.peek()
        if token.text in {"const", "static"}:
            return True
        if token.text in self.types:
            return following.kind is NAME or following.text in {"*", "&", "<"}
        # An unknown type is told as one; other words have reasons of their own.
        return following.kind is NAME and token.text not in NEVER_NAMES

    # --- statements

    def block(self) -> tree.Block:
        place = self.expect("{", "before statements").place
        statements: list[tree.Statement] = []
        while not self.is_operator("}"):
            if self.token.kind is TokenKind.END:
                self.fail("expected '}' after statements")
            statement = self.recovering_statement()
            if statement is not None:
                statements.append(statement)
        end = self.advance().place
        return tree.Block(place, statements, end)

    def recovering_statement(self) -> tree.Statement | None:
        """
        Take a statement; after a ParseError go on behind it.
        """
        start = self.at
        try:
            return self.statement()
        except ParseError as error:
            self.findings.append(error.finding)
            self._skip_statement(start)
            return None

    def _skip_statement(self, start: int) -> None:
        # To behind the next ; of this depth, or to the } of the block.
        depth = self._depth_since(start)
        while self.token.kind is not TokenKind.END:
            text = self.token.text
            if text == "{":
                depth += 1
            elif text == "}":
                if depth <= 0:
                    return
                depth -= 1
                if depth == 0 and self.peek().text != "else":
                    self.advance()
                    return
            elif text == ";" and depth <= 0:
                self.advance()
                return
            self.advance()

    def _depth_since(self, start: int) -> int:
        depth = 0
        for token in self.tokens[start : self.at]:
            if token.kind is TokenKind.OPERATOR:
                depth += {"{": 1, "}": -1}.get(token.text, 0)
        return depth

    def statement(self) -> tree.Statement:
        token = self.token
        if token.kind is NAME:
            maker = _STATEMENTS.get(token.text)
            if maker is not None:
                return maker(self, token)
            if self.begins_declaration():
                return self._declaration_statement(token)
            if token.text in {"class", "struct", "union", "enum"}:
                self.fail(f"a local {token.text} is not in the subset", "P003")
            if token.text in {"input", "sinput"}:
                self.fail(f"{token.text} stands outside of functions", "P001")
            if self.peek().text == ":" and token.text not in NEVER_NAMES:
                self.fail("MQL5 has no labels", "P002")
        elif token.text == "{":
            return self.block()
        elif token.text == ";":
            self.advance()
            return tree.Empty(token.place)
        elif token.text == "#":
            self.fail("directive inside of a function", "D007")
        value = self.statement_expression()
        if self.is_operator(","):
            self.fail("the comma operator is not in MQL5", "P002")
        self.expect(";", "after a statement")
        return tree.ExpressionStatement(value.place, value)

    def _declaration_statement(self, token: Token) -> tree.Statement:
        storage = "static" if self.accept_word("static") else ""
        if self.token.text in REASONS:
            self.fail("")
        type_name = self.type_name()
        declaration = self.declaration(type_name, storage, "a local variable")
        for declarator in declaration.declarators:
            if declarator.owner is not None:
                self.report(token.place, "P001", "a static member is defined outside of functions")
        return tree.DeclarationStatement(token.place, declaration)

    def condition(self, where: str) -> tree.Expression:
        self.expect("(", f"after {where}")
        if self.begins_declaration():
            self.fail("MQL5 has no declaration in a condition", "P002")
        value = self.expression()
        if self.is_operator(";"):
            self.fail("MQL5 has no if with an initialiser", "P002")
        self.expect(")", f"after the condition of {where}")
        return value

    def _if(self, token: Token) -> tree.Statement:
        self.advance()
        if self.is_word("constexpr"):
            self.fail("")
        condition = self.condition("if")
        then = self.body()
        otherwise = self.body() if self.accept_word("else") else None
        return tree.If(token.place, condition, then, otherwise)

    def body(self) -> tree.Statement:
        """
        Take the statement of an if or loop: a declaration alone makes no sense there.
        """
        if self.begins_declaration():
            self.fail("a declaration needs braces here", "P001")
        return self.statement()

    def _while(self, token: Token) -> tree.Statement:
        self.advance()
        condition = self.condition("while")
        return tree.While(token.place, condition, self.body())

    def _do(self, token: Token) -> tree.Statement:
        self.advance()
        body = self.body()
        if not self.accept_word("while"):
            self.fail("expected while after the body of do")
        condition = self.condition("while")
        self.expect(";", "after do ... while")
        return tree.DoWhile(token.place, body, condition)

    def _for(self, token: Token) -> tree.Statement:
        self.advance()
        self.expect("(", "after for")
        first: tree.Statement | None = None
        if self.is_operator(";"):
            self.advance()
        elif self.begins_declaration():
            first = self._declaration_statement(self.token)
        else:
            value = self.statement_expression()
            if self.is_operator(","):
                self.fail("several expressions at the start of for: not in the subset", "P003")
            if self.is_operator(":"):
                self.fail("MQL5 has no range-for", "P002")
            self.expect(";", "after the start of for")
            first = tree.ExpressionStatement(value.place, value)
        condition = None if self.is_operator(";") else self.expression()
        self.expect(";", "after the condition of for")
        step: list[tree.Expression] = []
        if not self.is_operator(")"):
            step.append(self.statement_expression())
            while self.accept(","):
                step.append(self.statement_expression())
        self.expect(")", "after the step of for")
        return tree.For(token.place, first, condition, step, self.body())

    def _switch(self, token: Token) -> tree.Statement:
        self.advance()
        value = self.condition("switch")
        self.expect("{", "after switch (...)")
        cases: list[tree.Case] = []
        while not self.accept("}"):
            cases.append(self._case())
        return tree.Switch(token.place, value, cases)

    def _case(self) -> tree.Case:
        place = self.token.place
        labels: list[tree.Expression | None] = []
        while self.is_word("case") or self.is_word("default"):
            if self.advance().text == "default":
                labels.append(None)
            else:
                labels.append(self.ternary())
            if self.is_operator("..."):
                self.fail("MQL5 has no ranges in case", "P002")
            self.expect(":", "after a case label")
        if not labels:
            self.fail("expected case or default")
        statements: list[tree.Statement] = []
        while not (self.is_word("case") or self.is_word("default") or self.is_operator("}")):
            if self.token.kind is TokenKind.END:
                self.fail("expected '}' after the cases")
            statement = self.recovering_statement()
            if statement is not None:
                statements.append(statement)
        return tree.Case(place, labels, statements)

    def _break(self, token: Token) -> tree.Statement:
        self.advance()
        self.expect(";", "after break")
        return tree.Break(token.place)

    def _continue(self, token: Token) -> tree.Statement:
        self.advance()
        self.expect(";", "after continue")
        return tree.Continue(token.place)

    def _return(self, token: Token) -> tree.Statement:
        self.advance()
        if self.is_operator("{"):
            self.fail("MQL5 has no return of braces", "P002")
        value = None if self.is_operator(";") else self.expression()
        self.expect(";", "after return")
        return tree.Return(token.place, value)

    def _delete(self, token: Token) -> tree.Statement:
        self.advance()
        if self.is_operator("[") and self.peek().text == "]":
            self.fail("MQL5 has no delete of an array", "P002")
        operand = self.expression()
        self.expect(";", "after delete")
        return tree.Delete(token.place, operand)

    def _stray(self, token: Token) -> tree.Statement:
        self.fail(f"{token.text} without its statement")


_STATEMENTS = {
    "if": StatementParser._if,
    "while": StatementParser._while,
    "do": StatementParser._do,
    "for": StatementParser._for,
    "switch": StatementParser._switch,
    "break": StatementParser._break,
    "continue": StatementParser._continue,
    "return": StatementParser._return,
    "delete": StatementParser._delete,
    "else": StatementParser._stray,
    "case": StatementParser._stray,
    "default": StatementParser._stray,
}
