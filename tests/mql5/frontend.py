"""From a path to an annotated tree, or to findings."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tests.mql5 import manifest, tree
from tests.mql5.analysis import analyse
from tests.mql5.findings import Finding, SourceError
from tests.mql5.parser import parse
from tests.mql5.preprocessor import preprocess

__all__ = ["check", "compile_unit", "include_root_of"]

#: The folder that is ``MQL5/Include`` in a terminal.
INCLUDE: Final = Path(__file__).resolve().parents[2] / "mql5" / "Include"


def compile_unit(path: str | Path, include_root: str | Path | None = None) -> tree.Unit:
    """
    Return the tree of a program with all types and names found.

    ``include_root``: the folder of ``#include <...>``; the folder ``Include`` beside one of those
    that ``path`` is in, or else that of this project.

    Raises:
        SourceError: the front end has findings.
        OSError: the file cannot be read.

    """
    unit, findings = _read(Path(path), include_root)
    if findings:
        raise SourceError(findings)
    return unit


def check(paths: list[Path], include_root: str | Path | None = None) -> list[Finding]:
    """
    Return what is wrong with programs and headers, sorted, each finding once.

    Programs come first; a header that one of them includes is not read again on its own.
    The rules look at a unit only when the front end has nothing to say.
    """
    from tests.mql5 import rules  # they import the front end's modules: not at the top

    findings: set[Finding] = set()
    seen: set[Path] = set()
    for path in sorted(paths, key=lambda path: (path.suffix != ".mq5", str(path))):
        if path.resolve() in seen:
            continue
        try:
            unit, found = _read(path, include_root)
        except SourceError as error:
            findings.update(error.findings)
            continue
        seen.update(Path(name).resolve() for name in unit.files)
        findings.update(found)
        if not found:
            findings.update(rules.run(unit, unit.tokens_by_file, manifest.load()))
    return sorted(findings)


def include_root_of(path: Path) -> Path:
    """
    Return the folder of ``#include <...>`` for a source.
    """
    root = INCLUDE
    for folder in path.resolve().parents:
        if folder.name == "Include":
            root = folder
            break
        if (folder / "Include").is_dir():
            root = folder / "Include"
            break
    # Places are told as the user wrote the path.
    here = Path.cwd()
    return root.relative_to(here) if not path.is_absolute() and here in root.parents else root


def _read(path: Path, include_root: str | Path | None) -> tuple[tree.Unit, list[Finding]]:
    root = include_root_of(path) if include_root is None else Path(include_root)
    source = preprocess(path, root)
    api = manifest.load()
    unit, grammar = parse(source, [*api.enums, *api.structs])
    findings = source.findings + grammar
    # A tree with holes would only give findings that follow from the first ones.
    if not findings:
        findings = analyse(unit, api)
    return unit, findings
