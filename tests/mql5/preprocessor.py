"""A main file with all it includes, as one sequence of tokens.

Each file is included once. Constants keep their names: ``#define`` becomes a declaration that the
parser reads, nothing is replaced in the text. So a macro is a constant expression without
parameters, and an include guard around a whole file is the only conditional.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.mql5.findings import Finding, SourceError
from tests.mql5.lexer import Token, TokenKind, lex, read_source
from tests.mql5.tree import Place

__all__ = ["Source", "preprocess"]

_DIRECTIVE: Final = re.compile(r"#[ \t]*([A-Za-z_]*)[ \t]*(.*)", re.DOTALL)
_DEFINE: Final = re.compile(r"([A-Za-z_]\w*)(\(?)")
_INCLUDE: Final = re.compile(r"(?:<([^>\"]+)>|\"([^\"]+)\")\s*\Z")
_GUARD_NAME: Final = re.compile(r"[A-Za-z_]\w*\Z")
_COMMENT: Final = re.compile(r"//.*|/\*.*?\*/")
_REASONS: Final = {
    "import": "DLLs and libraries are not used",
    "resource": "resources are not used",
    "if": "MQL5 has no #if with an expression",
    "elif": "MQL5 has no #elif",
    "ifdef": "conditional code is not used; only include guards with #ifndef",
    "else": "conditional code is not used; only include guards with #ifndef",
    "undef": "a constant keeps its value",
    "pragma": "MQL5 has no #pragma; write an include guard",
    "error": "MQL5 has no #error",
    "warning": "MQL5 has no #warning",
    "line": "MQL5 has no #line",
}


@dataclass(eq=False, slots=True)
class Source:
    """
    What the preprocessor makes.

    ``tokens``: of all files in the order of inclusion, without comments, END at last; left of
    the directives are ``#define`` and ``#property``, each one token.
    ``tokens_by_file``: every token of each file, comments and directives too, main file first.
    """

    main: str
    tokens: list[Token] = field(default_factory=list)
    tokens_by_file: dict[str, list[Token]] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


def preprocess(path: str | Path, include_root: str | Path) -> Source:
    """
    Return the tokens of ``path`` and of all that it includes.

    ``include_root``: the folder of ``#include <...>``, in a terminal ``MQL5/Include``.

    Raises:
        SourceError: the main file cannot be read.

    """
    source = Source(str(path))
    reader = _Reader(source, Path(include_root))
    reader.read(Path(path))
    return source


class _Reader:
    def __init__(self, source: Source, include_root: Path) -> None:
        self._source = source
        self._include_root = include_root
        self._seen: set[Path] = set()

    def read(self, path: Path) -> None:
        self._seen.add(path.resolve())
        name = str(path)
        tokens, findings = lex(read_source(name), name)
        self._source.findings += findings
        self._source.tokens_by_file[name] = tokens
        self._splice(path, self._unguarded([t for t in tokens if t.kind is not TokenKind.COMMENT]))
        if name == self._source.main:
            self._source.tokens.append(tokens[-1])

    def _report(self, place: Place, code: str, message: str) -> None:
        self._source.findings.append(Finding(place, code, message))

    def _unguarded(self, tokens: list[Token]) -> list[Token]:
        # Without END, and without #ifndef X / #define X / #endif around the whole.
        tokens = tokens[:-1]
        if not tokens or _parts(tokens[0])[0] != "ifndef":
            return tokens
        name = _parts(tokens[0])[1]
        problem = None
        if not _GUARD_NAME.match(name):
            problem = "#ifndef needs one name"
        elif len(tokens) < 3 or _parts(tokens[1]) != ("define", name):
            problem = f"#ifndef {name} is not followed by #define {name}"
        elif _parts(tokens[-1])[0] != "endif":
            problem = f"the #endif of #ifndef {name} does not end the file"
        if problem is not None:
            self._report(tokens[0].place, "D004", problem)
            guard = {"ifndef", "endif"}
            return [
                token
                for token in tokens
                if _parts(token)[0] not in guard and _parts(token) != ("define", name)
            ]
        return tokens[2:-1]

    def _splice(self, path: Path, tokens: list[Token]) -> None:
        output = self._source.tokens
        for token in tokens:
            if token.kind is not TokenKind.DIRECTIVE:
                output.append(token)
                continue
            name, rest = _parts(token)
            if token.text.endswith("\\"):
                self._report(token.place, "D006", "a directive stands on one line")
            elif name == "include":
                self._include(path, rest, token.place)
            elif name == "define":
                self._define(rest, token)
            elif name == "property":
                output.append(token)
            elif name in {"ifndef", "endif"}:
                self._report(token.place, "D004", f"#{name} that is no guard of the whole file")
            else:
                reason = _REASONS.get(name, "MQL5 has no such directive")
                self._report(token.place, "D001", f"#{name}: {reason}")

    def _define(self, rest: str, token: Token) -> None:
        match = _DEFINE.match(rest)
        if match is None:
            self._report(token.place, "D006", "#define without a name")
        elif match.group(2):
            self._report(token.place, "D005", f"macro {match.group(1)} with parameters")
        elif match.end() == len(rest):
            self._report(token.place, "D005", f"macro {match.group(1)} without a value")
        else:
            self._source.tokens.append(token)

    def _include(self, path: Path, rest: str, place: Place) -> None:
        match = _INCLUDE.match(rest)
        if match is None:
            self._report(place, "D006", '#include needs <file> or "file"')
            return
        below, beside = match.groups()
        written = (below or beside).strip()
        if written.startswith(("/", "\\")) or ":" in written:
            self._report(place, "D003", f"#include of the absolute path {written}")
            return
        parts = written.replace("\\", "/").split("/")
        if below is not None and ".." in parts:
            self._report(place, "D003", f"#include <{written}> leaves the folder Include")
            return
        target = self._include_root if below is not None else path.parent
        for part in parts:
            target = (
                target.parent if part == ".." and target.name not in {"", ".."} else target / part
            )
        if not target.is_file():
            self._report(place, "D002", f"no file {target}")
            return
        if target.resolve() in self._seen:
            return
        try:
            self.read(target)
        except SourceError as error:
            self._source.findings += error.findings


def _parts(token: Token) -> tuple[str, str]:
    # The name of a directive and what follows it, without comments.
    if token.kind is not TokenKind.DIRECTIVE:
        return "", ""
    match = _DIRECTIVE.match(token.text)
    if match is None:  # pragma: no cover  # the lexer made it begin with #
        return "", ""
    return match.group(1), _without_comment(match.group(2)).strip()


def _without_comment(text: str) -> str:
    # A // inside of a string is no comment.
    if "/" not in text:
        return text
    pieces: list[str] = []
    for part in re.split(r'("(?:[^"\\]|\\.)*")', text):
        if part.startswith('"'):
            pieces.append(part)
            continue
        bare = _COMMENT.sub(" ", part)
        pieces.append(bare)
        if "//" in part:
            break
    return "".join(pieces)
