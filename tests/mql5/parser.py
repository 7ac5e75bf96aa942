"""Tokens to the syntax tree of a unit.

A recursive descent. Whatever is not in the subset is a finding that names the construct. After a
finding the parser goes on behind the statement, member or item, so that one run tells of all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tests.mql5 import tree
from tests.mql5.findings import Finding
from tests.mql5.lexer import Token, TokenKind, lex
from tests.mql5.parser_expressions import DIRECTIVE, NAME, ParseError
from tests.mql5.parser_statements import StatementParser
from tests.mql5.parser_words import NEVER_NAMES, REASONS
from tests.mql5.preprocessor import Source

__all__ = ["parse"]

_CLASS_KINDS: Final = frozenset({"class", "struct", "union"})
_PARAMETERS_MAX: Final = 64


def parse(source: Source, types: Iterable[str] = ()) -> tuple[tree.Unit, list[Finding]]:
    """
    Return the tree of a source and what does not follow the grammar of the subset.

    ``types``: names of types that are there without a declaration: enums and structs of the API.
    """
    findings: list[Finding] = []
    parser = _Parser(source.tokens, types, findings)
    place = tree.Place(source.main, 1, 1)
    unit = tree.Unit(place, list(source.tokens_by_file), parser.items())
    unit.tokens_by_file = source.tokens_by_file
    return unit, findings


class _Parser(StatementParser):
    # Items of a file: declarations, functions, classes, enums, directives.

    def items(self) -> list[tree.Node]:
        items: list[tree.Node] = []
        while self.token.kind is not TokenKind.END:
            start = self.at
            try:
                item = self._item()
            except ParseError as error:
                self.findings.append(error.finding)
                self._skip_item(start)
                continue
            if item is not None:
                items.append(item)
        return items

    def _skip_item(self, start: int) -> None:
        # Items begin in the first column, as everybody writes them; if not, the ; and } help.
        depth = self._depth_since(start)
        if self.at == start:
            self.advance()
        while self.token.kind is not TokenKind.END:
            token = self.token
            if token.kind is DIRECTIVE:
                return
            if token.place.column == 1 and token.kind is NAME:
                return
            depth += {"{": 1, "}": -1}.get(token.text, 0)
            self.advance()
            if depth <= 0 and token.text in {";", "}"}:
                if token.text == "}":
                    self.accept(";")
                return

    def _item(self) -> tree.Node | None:
        token = self.token
        if token.kind is DIRECTIVE:
            self.advance()
            return self._directive(token)
        if token.text == ";":
            self.fail("a semicolon too many")
        if token.kind is not NAME:
            self.fail("expected a declaration")
        if token.text in _CLASS_KINDS:
            return self._class()
        if token.text == "enum":
            return self._enumeration()
        if token.text in {"input", "sinput"}:
            return self._input()
        following = self.peek()
        if following.text == "::" and token.text not in NEVER_NAMES:
            return self._constructor_definition()
        storage = "static" if self.accept_word("static") else ""
        if self.token.text in NEVER_NAMES and self.token.text in REASONS:
            self.fail("")
        type_name = self.type_name()
        return self._function_or_variables(type_name, storage)

    # --- directives

    def _directive(self, token: Token) -> tree.Node | None:
        word, _, rest = token.text[1:].strip().partition(" ")
        if word == "property":
            return self._property(token, rest)
        if word != "define" or not rest.strip():
            raise ParseError(token.place, "D006", f"{token.text} is incomplete")
        name = rest.split(None, 1)[0]
        if name in NEVER_NAMES:
            raise ParseError(token.place, "P004", f"{name} is a reserved word")
        value_at = token.text.index(name, token.text.index("define") + 6) + len(name)
        place = token.place
        inner, findings = lex(token.text[value_at:], place.path)
        self.findings += findings
        shift = place.column - 1 + value_at
        moved = [
            part._replace(place=tree.Place(place.path, place.line, part.place.column + shift))
            for part in inner
            if part.kind is not TokenKind.COMMENT
        ]
        parser = StatementParser(moved, self.types, self.findings)
        value = parser.ternary()
        if parser.token.kind is not TokenKind.END:
            raise ParseError(parser.token.place, "D005", f"macro {name} is not one expression")
        return tree.Define(place, name, value)

    def _property(self, token: Token, rest: str) -> tree.Node:
        name, _, value = rest.strip().partition(" ")
        if not name:
            raise ParseError(token.place, "D006", "#property without a name")
        value = value.split("//")[0].strip() if '"' not in value else value.strip()
        return tree.Property(token.place, name, value.strip('"'))

    # --- variables and functions

    def _input(self) -> tree.Node:
        token = self.advance()
        if self.is_word("group"):
            self.advance()
            title = self.token
            if title.kind is not TokenKind.STRING:
                self.fail("expected the title of an input group")
            self.advance()
            self.accept(";")
            return tree.InputGroup(token.place, title.text[1:-1])
        type_name = self.type_name()
        declaration = self.declaration(type_name, token.text, "an input")
        declaration.place = token.place
        return declaration

    def _function_or_variables(self, type_name: tree.TypeName, storage: str) -> tree.Node:
        if self.is_operator("&"):
            self.fail("a function cannot return a reference in MQL5", "P002")
        if self.is_word("operator"):
            self.fail("")
        if self.is_operator("("):
            self.fail("expected a name behind the type")
        distance = 3 if self.peek().text == "::" else 1
        if self.peek(distance).text == "(" and self._is_parameter_list(distance):
            if storage:
                self.fail("a static function outside of a class is not in the subset", "P003")
            return self._function(type_name, frozenset())
        return self.declaration(type_name, storage, "a variable")

    def _is_parameter_list(self, distance: int) -> bool:
        # Types and names follow, unless they are the arguments of a constructor.
        first, second = self.peek(distance + 1), self.peek(distance + 2)
        if first.text in {")", "const"}:
            return True
        if first.kind is not NAME:
            return False
        if self.is_type(first):
            return second.text not in {"(", "::"}
        return second.kind is NAME or second.text in {"&", "*"}

    def _function(
        self, returns: tree.TypeName | None, specifiers: frozenset[str], inside: str | None = None
    ) -> tree.Function:
        # From the name on. ``inside``: the class around it.
        token = self.advance() if self.accept("~") else self.identifier("a function")
        name, owner = token.text, inside
        if self.is_operator("::"):
            if inside is not None:
                self.fail("a qualified name inside of a class", "P001")
            self.advance()
            owner = name
            if self.is_word("operator"):
                self.fail("")
            destructor = self.accept("~")
            token = self.identifier("a method")
            name = f"~{token.text}" if destructor else token.text
        parameters = self._parameters()
        if self.accept_word("const"):
            specifiers |= {"const"}
        return self._rest_of_function(token, returns, name, parameters, owner, specifiers)

    def _rest_of_function(
        self,
        token: Token,
        returns: tree.TypeName | None,
        name: str,
        parameters: list[tree.Parameter],
        owner: str | None,
        specifiers: frozenset[str],
    ) -> tree.Function:
        while self.token.text in {"override", "final"}:
            specifiers |= {self.advance().text}
        if self.is_operator("->"):
            self.fail("MQL5 has no trailing return type (->)", "P002")
        result = tree.Function(
            token.place, returns, name, parameters, None, owner, frozenset(specifiers)
        )
        if self.accept("="):
            return self._pure(result)
        if self.is_operator(":"):
            result.initialisers = self._initialisers(result)
        if self.accept(";"):
            return result
        if self.is_word("try"):
            self.fail("")
        previous = self.function_name
        self.function_name = f"{owner}::{name}" if owner else name
        result.body = self.block()
        self.function_name = previous
        if self.is_operator(";") and owner is None:
            self.fail("a semicolon too many after a function")
        self.accept(";")
        return result

    def _pure(self, result: tree.Function) -> tree.Function:
        value = self.advance()
        if value.text in {"delete", "default"}:
            raise ParseError(value.place, "P003", f"= {value.text} is not in the subset")
        if value.text not in {"0", "NULL"}:
            raise ParseError(value.place, "P001", "only = 0 makes a method pure")
        self.expect(";", "after a pure method")
        result.specifiers |= {"pure"}
        return result

    def _initialisers(self, function: tree.Function) -> list[tree.Initialiser]:
        if function.returns is not None or function.name.startswith("~"):
            self.fail("only a constructor initialises members")
        self.advance()
        values: list[tree.Initialiser] = []
        while True:
            token = self.identifier("a member")
            if self.is_operator("{"):
                self.fail("MQL5 initialises members with round brackets", "P002")
            values.append(tree.Initialiser(token.place, token.text, self.arguments()))
            if not self.accept(","):
                return values

    def _parameters(self) -> list[tree.Parameter]:
        self.expect("(", "before parameters")
        if self.is_word("void") and self.peek().text == ")":
            self.advance()
        parameters: list[tree.Parameter] = []
        while not self.is_operator(")"):
            if parameters:
                self.expect(",", "between parameters")
            parameters.append(self._parameter())
        if len(parameters) > _PARAMETERS_MAX:
            self.fail(f"more than {_PARAMETERS_MAX} parameters", "P002")
        self.advance()
        return parameters

    def _parameter(self) -> tree.Parameter:
        if self.is_operator("..."):
            self.fail("MQL5 has no functions with any number of arguments (...)", "P002")
        type_name = self.type_name()
        reference = self.accept("&")
        if self.is_operator("&") or self.is_operator("&&"):
            self.fail("MQL5 has no rvalue references", "P002")
        if self.is_operator("("):
            self.fail("function pointers are not in the subset", "P003")
        if self.is_operator(",") or self.is_operator(")"):
            self.fail("a parameter without a name is not in the subset", "P003")
        token = self.identifier("a parameter")
        dimensions = self.dimensions()
        if type_name.name == "void":
            self.fail(f"parameter {token.text} cannot be void", "P001", token.place)
        default = None
        if self.accept("="):
            default = self.expression()
        return tree.Parameter(token.place, type_name, token.text, reference, dimensions, default)

    def _constructor_definition(self) -> tree.Function:
        # CFoo::CFoo( or CFoo::~CFoo(
        owner = self.advance()
        if owner.text not in self.types:
            self.report(owner.place, "N003", f"class {owner.text} is not known here")
        self.advance()
        destructor = self.accept("~")
        token = self.identifier("a constructor")
        if token.text != owner.text:
            self.fail(f"{owner.text}::{token.text} has no type", "P001", token.place)
        if not self.is_operator("("):
            self.fail("expected the parameters of a constructor")
        name = f"~{token.text}" if destructor else token.text
        parameters = self._parameters()
        return self._rest_of_function(token, None, name, parameters, owner.text, frozenset())

    # --- enums

    def _enumeration(self) -> tree.Enumeration:
        place = self.advance().place
        if self.is_word("class") or self.is_word("struct"):
            self.fail(f"MQL5 has no enum {self.token.text}", "P002")
        if self.is_operator("{"):
            self.fail("MQL5 has no anonymous enum", "P002")
        name = self.identifier("an enum")
        if self.is_operator(":"):
            self.fail("MQL5 has no enum with a base type", "P002")
        self.types.add(name.text)
        self.expect("{", "after the name of an enum")
        members: list[tuple[str, tree.Expression | None, tree.Place]] = []
        while True:
            if self.is_operator("}") and members:
                self.fail("a comma behind the last value is not in the subset", "P003")
            member = self.identifier("an enum value")
            value = self.ternary() if self.accept("=") else None
            members.append((member.text, value, member.place))
            if not self.accept(","):
                break
        self.expect("}", "after the values of an enum")
        self._nothing_behind("an enum")
        self.expect(";", "after an enum")
        return tree.Enumeration(place, name.text, members)

    def _nothing_behind(self, what: str) -> None:
        # On a line of its own a name begins something else: then the semicolon is missing.
        closing = self.tokens[self.at - 1]
        if self.token.kind is NAME and self.token.place.line == closing.place.line:
            self.fail(f"a variable behind {what} is not in the subset", "P003")

    # --- classes

    def _class(self) -> tree.Node:
        kind = self.advance()
        if self.is_operator("{"):
            self.fail(f"MQL5 has no anonymous {kind.text}", "P002")
        name = self.identifier(f"a {kind.text}")
        self.types.add(name.text)
        if self.accept(";"):
            return tree.ForwardClass(kind.place, kind.text, name.text)
        if self.is_word("final"):
            self.fail("final classes are not in the subset", "P003")
        if self.is_operator("<"):
            self.fail("MQL5 has no specialised classes", "P002")
        base = self._base(kind) if self.accept(":") else None
        self.expect("{", f"after the name of a {kind.text}")
        result = tree.Class(kind.place, kind.text, name.text, base, [])
        access = "private" if kind.text == "class" else "public"
        while not self.accept("}"):
            if self.token.kind is TokenKind.END:
                self.fail(f"expected '}}' after the members of {name.text}")
            access = self._recovering_member(result, access)
        self._nothing_behind(f"a {kind.text}")
        self.expect(";", f"after a {kind.text}")
        return result

    def _base(self, kind: Token) -> str:
        if kind.text == "union":
            self.fail("a union has no base", "P002")
        if self.is_word("virtual"):
            self.fail("MQL5 has no virtual inheritance", "P002")
        if self.is_word("private") or self.is_word("protected"):
            self.fail(f"{self.token.text} inheritance is not in the subset", "P003")
        explicit = self.accept_word("public")
        if kind.text == "class" and not explicit:
            self.fail("write : public before the base class", "P003")
        token = self.identifier("a base class")
        if token.text not in self.types:
            self.report(token.place, "N003", f"base class {token.text} is not known here")
        if self.is_operator(","):
            self.fail("MQL5 has no multiple inheritance", "P002")
        return token.text

    def _recovering_member(self, owner: tree.Class, access: str) -> str:
        start = self.at
        try:
            if self.token.text in {"public", "protected", "private"}:
                access = self.advance().text
                self.expect(":", f"after {access}")
                return access
            place = self.token.place
            owner.members.append(tree.ClassMember(place, access, self._member(owner)))
        except ParseError as error:
            self.findings.append(error.finding)
            self._skip_statement(start)
            self.accept(";")
        return access

    def _member(self, owner: tree.Class) -> tree.Declaration | tree.Function:
        specifiers = self._specifiers()
        token = self.token
        if token.text in _CLASS_KINDS or token.text == "enum":
            self.fail(f"a {token.text} inside of a {owner.kind} is not in the subset", "P003")
        if token.text == "~":
            return self._destructor(owner, specifiers)
        if token.text == owner.name and self.peek().text == "(":
            if specifiers:
                self.fail(f"a constructor cannot be {', '.join(sorted(specifiers))}", "P002")
            return self._function(None, specifiers, owner.name)
        if token.text in REASONS:
            self.fail("")
        type_name = self.type_name()
        if self.is_operator("&"):
            self.fail("members and results cannot be references in MQL5", "P002")
        if self.is_operator("("):
            self.fail("function pointers are not in the subset", "P003")
        if self.peek().text == "(":
            if self.token.text == owner.name:
                self.fail("a constructor has no type", "P003")
            return self._function(type_name, specifiers, owner.name)
        return self._field(type_name, specifiers, owner.kind)

    def _field(
        self, type_name: tree.TypeName, specifiers: frozenset[str], kind: str
    ) -> tree.Declaration:
        if specifiers - {"static"}:
            self.fail("only a method is virtual")
        storage = "static" if specifiers else ""
        declaration = self.declaration(type_name, storage, "a member")
        for declarator in declaration.declarators:
            if declarator.initial is not None or declarator.arguments is not None:
                self.report(
                    declarator.place,
                    "P002",
                    f"MQL5 has no initial value of {declarator.name} inside of a {kind}",
                )
        return declaration

    def _specifiers(self) -> frozenset[str]:
        words: set[str] = set()
        while self.token.text in {"static", "virtual"} and self.token.kind is NAME:
            words.add(self.advance().text)
        return frozenset(words)

    def _destructor(self, owner: tree.Class, specifiers: frozenset[str]) -> tree.Function:
        self.advance()
        token = self.identifier("a destructor")
        if token.text != owner.name:
            self.fail(f"the destructor is called ~{owner.name}", "P001", token.place)
        parameters = self._parameters()
        if parameters:
            self.fail("a destructor has no parameters", "P001", token.place)
        return self._rest_of_function(
            token, None, f"~{owner.name}", parameters, owner.name, specifiers
        )
