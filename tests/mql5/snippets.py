"""Small sources for the tests of the front end.

A line that ends with ``//! T001`` is where that finding has to be, and there may be no others.
"""

from __future__ import annotations

import re
from pathlib import Path

from tests.mql5 import manifest, tree
from tests.mql5.findings import Finding, SourceError
from tests.mql5.frontend import compile_unit
from tests.mql5.lexer import lex
from tests.mql5.parser import parse
from tests.mql5.preprocessor import Source, preprocess

__all__ = ["analysed", "expected", "found", "parsed", "places", "preprocessed"]

_MARK = re.compile(r"//! (?P<codes>[A-Z]\d{3}(?: [A-Z]\d{3})*)$")


def expected(text: str) -> list[tuple[int, str]]:
    """
    Return the line and code of each mark.
    """
    marks = []
    for number, line in enumerate(text.splitlines(), start=1):
        mark = _MARK.search(line)
        if mark is not None:
            marks += [(number, code) for code in mark["codes"].split()]
    return sorted(marks)


def places(findings: list[Finding]) -> list[tuple[int, str]]:
    """
    Return line and code of findings in the form of ``expected``.
    """
    return sorted((finding.place.line, finding.code) for finding in findings)


def parsed(text: str) -> tuple[tree.Unit, list[Finding]]:
    """
    Return the tree of a source without directives that read files.
    """
    tokens, findings = lex(text, "a.mq5")
    source = Source("a.mq5", [t for t in tokens if t.kind.name != "COMMENT"], {"a.mq5": tokens})
    api = manifest.load()
    unit, grammar = parse(source, [*api.enums, *api.structs])
    return unit, findings + grammar


def preprocessed(folder: Path, **files: str) -> Source:
    """
    Return what the preprocessor makes of ``main``; a file ``Include__X`` is below Include.
    """
    for name, text in {"main": "", **files}.items():
        suffix = ".mq5" if name == "main" else ".mqh"
        path = folder / (name.replace("__", "/") + suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return preprocess(folder / "main.mq5", folder / "Include")


def found(text: str, folder: Path) -> list[Finding]:
    """
    Return all findings of the front end for a source.
    """
    path = folder / "snippet.mq5"
    path.write_text(text, encoding="utf-8")
    try:
        compile_unit(path, folder)
    except SourceError as error:
        return error.findings
    return []


def analysed(text: str, folder: Path) -> tree.Unit:
    """
    Return the annotated tree of a source that has no findings.
    """
    path = folder / "snippet.mq5"
    path.write_text(text, encoding="utf-8")
    return compile_unit(path, folder)
