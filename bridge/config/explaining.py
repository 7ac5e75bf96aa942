"""From pydantic's findings to errors that say what to change, and where."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from bridge.config.fields import FIELDS, SECTIONS, TERMINALS, dotted, section_of
from bridge.config.settings import ALIAS_PATTERN
from bridge.exceptions import ConfigError

__all__ = ["explained", "suggestion"]

_MAX_SHOWN = 60


def explained(
    error: ValidationError, sources: Mapping[tuple[str, ...], str], file: str
) -> Iterator[ConfigError]:
    """
    Yield one ``ConfigError`` for each finding.

    ``sources`` has the origin of the values that were given; ``file`` is named for
    what concerns a section as a whole.
    """
    for finding in error.errors():
        # pydantic marks an error of a mapping's key with "[key]" behind it, and names the
        # element of a list by its number: the setting is the list.
        loc = finding["loc"]
        key = tuple(part for part in loc if isinstance(part, str) and part != "[key]")
        problem, hint = _worded(key, finding, is_alias="[key]" in loc)
        yield ConfigError(problem, source=_source(key, sources, file), key=dotted(key), hint=hint)


def suggestion(name: str, known: Iterable[str]) -> str:
    """
    Return the nearest known name, or all when none is near.
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"


def _source(key: tuple[str, ...], sources: Mapping[tuple[str, ...], str], file: str) -> str:
    if key in sources:
        return sources[key]
    # A finding about a section has no value of its own: its members tell who set it.
    named = {source for given, source in sources.items() if given[: len(key)] == key}
    return " or ".join(sorted(named)) or file


def _worded(key: tuple[str, ...], finding: Any, *, is_alias: bool) -> tuple[str, str]:
    kind: str = finding["type"]
    if is_alias:
        return "this is no alias", f"an alias matches {ALIAS_PATTERN}"
    if kind == "extra_forbidden":
        return "unknown setting", _known_beside(key)
    if kind == "value_error":
        return str(finding["ctx"]["error"]), ""
    if kind in {"model_type", "dict_type"}:
        return f"must be a table, as in [{dotted(key)}]", ""
    if kind == "tuple_type":
        return f'must be a list, as in {key[-1]} = ["EURUSD", "GBPUSD"]', ""
    problem = finding["msg"].replace("Input should", "must", 1)
    # A key in the wrong place is still a secret.
    shown = re.sub(r"[0-9a-fA-F]{64}", "<redacted>", repr(finding["input"]))
    if len(shown) > _MAX_SHOWN:
        shown = shown[:_MAX_SHOWN] + "..."
    return f"{problem[:1].lower()}{problem[1:]}, not {shown}", ""


def _known_beside(key: tuple[str, ...]) -> str:
    # Both are said: the likely name, and what else there is.
    if len(key) == 1:
        known = [section for section in SECTIONS if "." not in section]
    else:
        beside = section_of(key) or key[0]
        known = [name for section, name in FIELDS if section == beside]
        if beside == TERMINALS:
            known.append("trading")
    near = difflib.get_close_matches(key[-1], known, n=1)
    meant = f"did you mean {dotted((*key[:-1], near[0]))}? " if near else ""
    return f"{meant}known: {', '.join(known)}"
