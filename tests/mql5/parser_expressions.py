"""Tokens to expressions."""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterable
from typing import Final, NoReturn

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.lexer import Token, TokenKind
from tests.mql5.parser_words import BASIC_TYPES, NEVER_NAMES, REASONS
from tests.mql5.tree import LiteralKind, Place

__all__ = ["ASSIGNMENTS", "ExpressionParser", "ParseError"]

NAME, OPERATOR, DIRECTIVE = TokenKind.NAME, TokenKind.OPERATOR, TokenKind.DIRECTIVE

ASSIGNMENTS: Final = frozenset({"=", "+=", "-=", "*=", "/=", "%=", "<<=", ">>=", "&=", "|=", "^="})
_BINARY: Final = {
    operator: level
    for level, operators in enumerate(
        ("||", "&&", "|", "^", "&", "== !=", "< > <= >=", "<< >>", "+ -", "* / %"), start=1
    )
    for operator in operators.split()
}
_UNARY: Final = frozenset({"+", "-", "!", "~", "++", "--", "&"})
_LITERALS: Final = frozenset(
    {
        TokenKind.INTEGER,
        TokenKind.REAL,
        TokenKind.STRING,
        TokenKind.CHARACTER,
        TokenKind.DATETIME,
        TokenKind.COLOR,
    }
)
_NAME_MAX: Final = 63
_ULONG_MAX: Final = 2**64 - 1
_ESCAPE: Final = re.compile(r"\\(x[0-9a-fA-F]{1,4}|.)", re.DOTALL)
_ESCAPES: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", '"': '"', "'": "'"}
_DATE: Final = re.compile(r"D'(\d{4})\.(\d\d)\.(\d\d)(?: (\d\d):(\d\d)(?::(\d\d))?)?'\Z", re.ASCII)
_COLOR: Final = re.compile(
    r"C'(0x[0-9a-fA-F]{1,2}|\d+),(0x[0-9a-fA-F]{1,2}|\d+),(0x[0-9a-fA-F]{1,2}|\d+)'\Z", re.ASCII
)


class ParseError(Exception):
    """
    Ends a statement or item; ``finding`` says why.
    """

    def __init__(self, place: Place, code: str, message: str) -> None:
        super().__init__(message)
        self.finding = Finding(place, code, message)


class ExpressionParser:
    """
    A cursor over tokens, and what is an expression.

    ``types``: names that are types here, growing as declarations are read.
    """

    def __init__(self, tokens: list[Token], types: Iterable[str], findings: list[Finding]) -> None:
        self.tokens = tokens
        self.at = 0
        self.token = tokens[0]
        self.types = set(types) | BASIC_TYPES
        self.findings = findings
        self.function_name = ""  # what __FUNCTION__ is here

    # --- the cursor

    def advance(self) -> Token:
        token = self.token
        if token.kind is not TokenKind.END:
            self.at += 1
            self.token = self.tokens[self.at]
        return token

    def peek(self, distance: int = 1) -> Token:
        at = self.at + distance
        return self.tokens[at] if at < len(self.tokens) else self.tokens[-1]

    def is_operator(self, text: str) -> bool:
        return self.token.text == text and self.token.kind is OPERATOR

    def is_word(self, text: str) -> bool:
        return self.token.text == text and self.token.kind is NAME

    def accept(self, text: str) -> bool:
        if self.token.text == text and self.token.kind is OPERATOR:
            self.advance()
            return True
        return False

    def accept_word(self, text: str) -> bool:
        if self.token.text == text and self.token.kind is NAME:
            self.advance()
            return True
        return False

    def expect(self, text: str, where: str) -> Token:
        if self.token.text != text or self.token.kind is not OPERATOR:
            self.fail(f"expected {text!r} {where}")
        return self.advance()

    def fail(self, message: str, code: str = "P001", place: Place | None = None) -> NoReturn:
        """
        Raise a ParseError here; a word or directive that explains itself has precedence.
        """
        token = self.token
        if token.kind is DIRECTIVE:
            raise ParseError(token.place, "D007", f"directive inside of something: {token.text}")
        if token.kind is NAME and token.text in REASONS:
            code, message = REASONS[token.text]
            raise ParseError(token.place, code, message)
        if code == "P001":
            found = token.text if token.kind is not TokenKind.END else "the end of the file"
            message += f", found {found}"
        raise ParseError(place or token.place, code, message)

    def report(self, place: Place, code: str, message: str) -> None:
        self.findings.append(Finding(place, code, message))

    def identifier(self, what: str) -> Token:
        """
        Take a name that is declared here.
        """
        token = self.token
        if token.kind is not NAME:
            self.fail(f"expected the name of {what}")
        if token.text in NEVER_NAMES:
            if token.text in REASONS:
                self.fail("")
            self.fail(f"{token.text} is a reserved word, not the name of {what}", "P004")
        if len(token.text) > _NAME_MAX:
            self.report(token.place, "P005", f"{token.text} has more than {_NAME_MAX} characters")
        return self.advance()

    # --- types

    def is_type(self, token: Token) -> bool:
        return token.kind is NAME and token.text in self.types

    def type_name(self) -> tree.TypeName:
        """
        Take ``const CFoo *``.
        """
        place = self.token.place
        const = self.accept_word("const")
        token = self.token
        if token.kind is not NAME:
            self.fail("expected a type")
        if token.text not in self.types:
            if token.text in NEVER_NAMES:
                self.fail("expected a type")
            self.report(token.place, "N003", f"type {token.text} is not known here")
            self.types.add(token.text)  # said once
        self.advance()
        if self.is_operator("<"):
            self.fail("templates are not in the subset", "P003")
        if self.is_word("const"):
            self.fail("const stands before its type", "P003")
        pointer = self.accept("*")
        if pointer:
            self._check_pointer(token)
        return tree.TypeName(place, token.text, const, pointer)

    def _check_pointer(self, token: Token) -> None:
        if token.text in BASIC_TYPES:
            self.fail(f"MQL5 has no pointers to {token.text}", "P002", token.place)
        if self.is_operator("*"):
            self.fail("MQL5 has no pointers to pointers", "P002")
        if self.is_word("const"):
            self.fail("a constant pointer is not in the subset", "P003")

    # --- expressions

    def expression(self) -> tree.Expression:
        """
        Take an expression that is used: an assignment in it is a finding.
        """
        value = self.ternary()
        if self.token.text in ASSIGNMENTS and self.token.kind is OPERATOR:
            self.report(self.token.place, "S009", f"assignment {self.token.text} as a value")
            place = self.token.place
            operator = self.advance().text
            return tree.Assign(place, operator, value, self.expression())
        return value

    def statement_expression(self) -> tree.Expression:
        """
        Take an expression that is a statement: an assignment is as good as a call.
        """
        target = self.ternary()
        if self.token.text in ASSIGNMENTS and self.token.kind is OPERATOR:
            place = self.token.place
            operator = self.advance().text
            if self.is_operator("{"):
                self.fail("braces only initialise a declaration", "P003")
            return tree.Assign(place, operator, target, self.expression())
        return target

    def ternary(self) -> tree.Expression:
        condition = self.binary(1)
        if not (self.token.text == "?" and self.token.kind is OPERATOR):
            return condition
        place = self.advance().place
        then = self.expression()
        self.expect(":", "between the branches of a ternary")
        return tree.Ternary(place, condition, then, self.expression())

    def binary(self, level: int) -> tree.Expression:
        left = self.unary()
        while True:
            token = self.token
            mine = _BINARY.get(token.text, 0) if token.kind is OPERATOR else 0
            if mine < level or mine == 0:
                return left
            self.advance()
            left = tree.Binary(token.place, token.text, left, self.binary(mine + 1))

    def unary(self) -> tree.Expression:
        token = self.token
        if token.kind is OPERATOR:
            if token.text in _UNARY:
                self.advance()
                return tree.Unary(token.place, token.text, self.unary())
            if token.text == "*":
                self.fail("a pointer is not dereferenced with *: use the dot", "P003")
            if token.text == "(" and self._is_cast():
                self.advance()
                to = self.type_name()
                if self.is_operator("["):
                    self.fail("a cast to an array", "P002")
                self.expect(")", "after the type of a cast")
                return tree.Cast(token.place, to, self.unary())
        elif token.kind is NAME:
            if token.text == "new":
                return self._new()
            if token.text == "delete":
                self.fail("delete is a statement of its own", "P003")
        return self.postfix(self.primary())

    def _is_cast(self) -> bool:
        first = self.peek(1)
        if first.kind is not NAME:
            return False
        if first.text == "const":
            return self.is_type(self.peek(2))
        if first.text not in self.types:
            return False
        second = self.peek(2)
        return second.text == ")" or (second.text == "*" and self.peek(3).text == ")")

    def _new(self) -> tree.Expression:
        place = self.advance().place
        name = self.type_name()
        if name.pointer or name.const or name.name in BASIC_TYPES:
            self.fail("only objects of classes are made with new", "P002", place)
        if self.is_operator("["):
            self.fail("MQL5 has no new of an array", "P002")
        arguments = self.arguments() if self.is_operator("(") else []
        return tree.New(place, name, arguments)

    def arguments(self) -> list[tree.Expression]:
        self.expect("(", "before arguments")
        values: list[tree.Expression] = []
        if self.accept(")"):
            return values
        while True:
            if self.is_operator("{"):
                self.fail("braces as an argument", "P002")
            values.append(self.expression())
            if not self.accept(","):
                break
        self.expect(")", "after the arguments")
        return values

    def postfix(self, value: tree.Expression) -> tree.Expression:
        while self.token.kind is OPERATOR:
            token = self.token
            text = token.text
            if text == ".":
                self.advance()
                name = self.token
                if name.kind is not NAME:
                    self.fail("expected the name of a member")
                self.advance()
                value = tree.Member(name.place, value, name.text)
            elif text == "(":
                if not isinstance(value, tree.Name | tree.Member):
                    self.fail("only a function or method can be called", "P002")
                value = tree.Call(value.place, value, self.arguments())
            elif text == "[":
                self.advance()
                if self.is_operator("]"):
                    self.fail("an index is missing", "P001")
                index = self.expression()
                if self.is_operator(","):
                    self.fail("arrays of several dimensions are not in the subset", "P003")
                self.expect("]", "after an index")
                value = tree.Index(token.place, value, index)
            elif text in {"++", "--"}:
                self.advance()
                value = tree.Unary(token.place, text, value, postfix=True)
            elif text == "->":
                self.fail("MQL5 has no ->: write a dot", "P002")
            else:
                break
        return value

    def primary(self) -> tree.Expression:
        token = self.token
        if token.kind is NAME:
            return self._word(token)
        if token.kind in _LITERALS:
            return self._literal()
        if token.kind is OPERATOR and token.text == "::":
            self.advance()
            name = self.identifier("a global function or variable")
            return tree.Name(token.place, name.text, None, is_global=True)
        if token.kind is not OPERATOR or token.text != "(":
            if token.text == "[":
                self.fail("MQL5 has no lambdas", "P002")
            if token.text == "{":
                self.fail("braces only initialise a declaration", "P003")
            self.fail("expected an expression")
        self.advance()
        value = self.expression()
        if self.is_operator(","):
            self.fail("the comma operator is not in MQL5", "P002")
        self.expect(")", "after an expression in brackets")
        return value

    def _word(self, token: Token) -> tree.Expression:
        special = self._special_word(token)
        if special is not None:
            return special
        following = self.peek()
        if token.text in self.types:
            if following.text == "::":
                return self._scoped(token)
            return self._function_style_cast(token)
        if token.text in NEVER_NAMES:
            self.fail(f"{token.text} is a reserved word, not an expression", "P001")
        self.advance()
        if self.is_operator("::"):
            self.fail(f"{token.text} is no class that is known here", "N003", token.place)
        return tree.Name(token.place, token.text)

    def _scoped(self, token: Token) -> tree.Expression:
        self.advance()
        self.advance()
        if self.is_operator("~"):
            self.fail("a destructor is not called", "P002")
        name = self.identifier("a member")
        if self.is_operator("::"):
            self.fail("nested scopes are not in the subset", "P003")
        return tree.Name(token.place, name.text, token.text)

    def _function_style_cast(self, token: Token) -> tree.Expression:
        to = self.type_name()
        if to.pointer or not self.is_operator("("):
            self.fail("a type is no expression")
        self.advance()
        if self.is_operator(")"):
            self.fail(f"{token.text}() makes no object in MQL5: declare a variable", "P002")
        value = self.expression()
        if self.is_operator(","):
            self.fail(f"{token.text}(...) makes no object in MQL5: declare a variable", "P002")
        self.expect(")", "after the operand of a cast")
        return tree.Cast(token.place, to, value)

    def _special_word(self, token: Token) -> tree.Expression | None:
        text, place = token.text, token.place
        if text in {"true", "false"}:
            self.advance()
            return tree.Literal(place, LiteralKind.BOOL, text == "true", text)
        if text == "NULL":
            self.advance()
            return tree.Literal(place, LiteralKind.NULL, None, text)
        if text == "this":
            self.advance()
            return tree.This(place)
        if text == "sizeof":
            return self._sizeof()
        if text == "dynamic_cast":
            return self._dynamic_cast()
        if text == "__LINE__":
            self.advance()
            return tree.Literal(place, LiteralKind.INTEGER, place.line, str(place.line))
        if text in {"__FILE__", "__FUNCTION__"}:
            self.advance()
            value = place.path.replace("\\", "/").rpartition("/")[2]
            if text == "__FUNCTION__":
                value = self.function_name
            return tree.Literal(place, LiteralKind.STRING, value, text)
        return None

    def _sizeof(self) -> tree.Expression:
        place = self.advance().place
        self.expect("(", "after sizeof")
        if self.is_type(self.token) and self.peek().text != "::":
            of: tree.TypeName | tree.Expression = self.type_name()
        else:
            of = self.expression()
        self.expect(")", "after the operand of sizeof")
        return tree.SizeOf(place, of)

    def _dynamic_cast(self) -> tree.Expression:
        place = self.advance().place
        self.expect("<", "after dynamic_cast")
        to = self.type_name()
        self.expect(">", "after the type of dynamic_cast")
        self.expect("(", "before the operand of dynamic_cast")
        value = self.expression()
        self.expect(")", "after the operand of dynamic_cast")
        return tree.Cast(place, to, value, dynamic=True)

    # --- literals

    def _literal(self) -> tree.Expression:
        token = self.advance()
        place, text, kind = token.place, token.text, token.kind
        if kind is TokenKind.INTEGER:
            base = {"x": 16, "X": 16, "b": 2, "B": 2}.get(text[1:2], 10)
            number = int(text[2:] if base != 10 else text, base)
            if number > _ULONG_MAX:
                self.report(place, "L009", f"{text} fits into no integer type")
            return tree.Literal(place, LiteralKind.INTEGER, number, text)
        if kind is TokenKind.REAL:
            return tree.Literal(place, LiteralKind.REAL, float(text), text)
        if kind is TokenKind.STRING:
            value = self._unescaped(text, place)
            while self.token.kind is TokenKind.STRING:  # adjacent strings are one
                part = self.advance()
                value += self._unescaped(part.text, part.place)
                text = f"{text} {part.text}"
            return tree.Literal(place, LiteralKind.STRING, value, text)
        if kind is TokenKind.CHARACTER:
            character = self._unescaped(text, place)
            if len(character) != 1:
                self.report(place, "L006", f"{text} is not one character")
                character = "?"
            return tree.Literal(place, LiteralKind.CHARACTER, ord(character), text)
        if kind is TokenKind.DATETIME:
            return tree.Literal(place, LiteralKind.DATETIME, self._date(text, place), text)
        return tree.Literal(place, LiteralKind.COLOR, self._color(text, place), text)

    def _unescaped(self, text: str, place: Place) -> str:
        body = text[1:-1]
        if "\\" not in body:
            return body

        def replaced(match: re.Match[str]) -> str:
            escape = match.group(1)
            if escape[0] == "x" and len(escape) > 1:
                return chr(int(escape[1:], 16))
            if escape not in _ESCAPES:
                self.report(place, "L006", f"escape \\{escape} in {text}")
            return _ESCAPES.get(escape, "?")

        return _ESCAPE.sub(replaced, body)

    def _date(self, text: str, place: Place) -> int:
        match = _DATE.match(text)
        if match is None:
            self.report(place, "L008", f"{text}: write D'yyyy.mm.dd' or D'yyyy.mm.dd hh:mm:ss'")
            return 0
        year, month, day, hour, minute, second = (int(part or 0) for part in match.groups())
        in_range = 1970 <= year <= 3000 and 1 <= month <= 12
        if not in_range or not 1 <= day <= calendar.monthrange(year, month)[1]:
            self.report(place, "L008", f"{text} is no day of the calendar")
            return 0
        if hour > 23 or minute > 59 or second > 59:
            self.report(place, "L008", f"{text} is no time of the day")
            return 0
        return calendar.timegm((year, month, day, hour, minute, second))

    def _color(self, text: str, place: Place) -> int:
        match = _COLOR.match(text)
        parts = (
            [int(part, 16 if part[:2] == "0x" else 10) for part in match.groups()]
            if match
            else [256]
        )
        if max(parts) > 255:
            self.report(place, "L008", f"{text}: write C'red,green,blue' with 0 to 255 each")
            return 0
        red, green, blue = parts
        return red | green << 8 | blue << 16
