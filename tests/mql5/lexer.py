"""Characters to tokens.

Every token is kept, comments too: the rules look at them. A directive is one token, the whole
line. MQL5 has fewer forms of literals than C++ has: the others are findings, not tokens.
"""

from __future__ import annotations

import enum
import re
from typing import Final, NamedTuple

from tests.mql5.findings import Finding, SourceError
from tests.mql5.tree import Place

__all__ = ["Token", "TokenKind", "lex", "read_source"]


class TokenKind(enum.Enum):
    """
    What a token is.
    """

    NAME = "name"
    INTEGER = "integer"
    REAL = "real"
    STRING = "string"
    CHARACTER = "character"
    DATETIME = "datetime"
    COLOR = "color"
    OPERATOR = "operator"
    DIRECTIVE = "directive"
    COMMENT = "comment"
    END = "end of file"


class Token(NamedTuple):
    """
    ``text`` as it stands in the source, with its quotes; of a directive the whole line.
    """

    kind: TokenKind
    text: str
    place: Place


# What is looked for, in this order. The names of groups are those of TokenKind, or of a fault.
_TOKEN: Final = re.compile(
    r"""
      (?P<SPACE>[ \t\f]+)
    | (?P<NEWLINE>\r?\n)
    | (?P<COMMENT>//[^\n]*|/\*.*?\*/)
    | (?P<OPEN_COMMENT>/\*.*)
    | (?P<DATETIME>D'[^'\n]*')
    | (?P<COLOR>C'[^'\n]*')
    | (?P<PREFIXED>[A-Za-z_]\w*(?=["']))
    | (?P<NAME>[A-Za-z_]\w*)
    | (?P<REAL>(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+)(?![\w']))
    | (?P<OCTAL>0[0-9]+(?![\w']))
    | (?P<INTEGER>(?:0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+)(?![\w']))
    | (?P<BAD_NUMBER>\.?[0-9][\w'.]*)
    | (?P<STRING>"(?:[^"\\\n]|\\.)*")
    | (?P<CHARACTER>'(?:[^'\\\n]|\\.)*')
    | (?P<OPEN_LITERAL>["'][^\n]*)
    | (?P<DIRECTIVE>\#[^\n]*)
    | (?P<OPERATOR><<=|>>=|\.\.\.|->|\+\+|--|<<|>>|<=|>=|==|!=|&&|\|\||[-+*/%&|^]=|::
                  |[-+*/%&|^~!<>=?:;,.(){}\[\]])
    | (?P<STRANGE>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_KINDS: Final = {kind.name: kind for kind in TokenKind}
#: Fault -> code, message, and what stands for it so that parsing goes on.
_FAULTS: Final = {
    "OPEN_COMMENT": ("L004", "comment without its end */", None),
    "OPEN_LITERAL": ("L004", "no closing quote on the same line", None),
    "PREFIXED": ("L007", "string or character with the prefix {}", None),
    "OCTAL": ("L005", "{} looks octal, MQL5 reads it as decimal", TokenKind.INTEGER),
    "BAD_NUMBER": ("L005", "{}: no suffixes and separators, write a cast", TokenKind.INTEGER),
}


def read_source(path: str) -> str:
    """
    Return the text of a source.

    Raises:
        SourceError: it is not UTF-8, or begins with a byte order mark.

    """
    with open(path, "rb") as file:  # noqa: PTH123  # a path is text here, as it was included
        data = file.read()
    start = Place(path, 1, 1)
    if data.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise SourceError([Finding(start, "L001", "byte order mark: save as UTF-8 without it")])
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError([Finding(Place(path, line, 1), "L001", "not UTF-8")]) from None


def lex(text: str, path: str) -> tuple[list[Token], list[Finding]]:
    """
    Return the tokens of a source, END at last, and what was wrong with its characters.
    """
    tokens: list[Token] = []
    findings: list[Finding] = []
    append = tokens.append
    new_token = Token._make
    new_place = Place._make
    line, line_start = 1, 0
    fresh_line = True  # nothing but space so far
    for match in _TOKEN.finditer(text):
        name = match.lastgroup or ""
        if name == "SPACE":
            continue
        if name == "NEWLINE":
            line += 1
            line_start = match.end()
            fresh_line = True
            continue
        piece = match.group()
        place = new_place((path, line, match.start() - line_start + 1))
        kind = _KINDS.get(name)
        if kind is None:
            findings.append(_fault(name, piece, place))
            if name in _FAULTS and _FAULTS[name][2] is not None:
                append(Token(TokenKind.INTEGER, "0", place))
        elif kind is TokenKind.COMMENT:
            append(new_token((kind, piece, place)))
            if "\n" in piece:
                line += piece.count("\n")
                line_start = match.start() + piece.rindex("\n") + 1
            continue
        else:
            if kind is TokenKind.DIRECTIVE:
                piece = piece.rstrip()
                if not fresh_line:
                    findings.append(Finding(place, "D006", "a directive begins its line"))
            append(new_token((kind, piece, place)))
            if not piece.isascii():
                message = "only ASCII outside of comments: write \\x escapes"
                findings.append(Finding(place, "L002", message))
        fresh_line = False
    append(Token(TokenKind.END, "", Place(path, line, len(text) - line_start + 1)))
    return tokens, findings


def _fault(name: str, piece: str, place: Place) -> Finding:
    if name in _FAULTS:
        code, message, _ = _FAULTS[name]
        return Finding(place, code, message.format(piece))
    if not piece.isascii():
        return Finding(place, "L002", f"character U+{ord(piece):04X} outside of a comment")
    return Finding(place, "L003", f"character {piece!r} has no meaning in MQL5")
