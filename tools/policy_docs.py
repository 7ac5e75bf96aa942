"""The tables of docs/reference/policy.md and docs/reference/retcodes.md.

``tools/docs.py`` puts them between their markers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from bridge.model.retcodes import RETCODES, RetcodeClass
from bridge.policy import PERMISSIONS, RULES

__all__ = ["OUTCOMES", "TABLES"]

#: What an answer has as ``outcome`` for each class of return codes.
OUTCOMES: Final[dict[RetcodeClass, str]] = {
    RetcodeClass.DEFINITIVE_REJECT: "REJECTED",
    RetcodeClass.DONE: "DONE",
    RetcodeClass.PARTIAL: "PARTIAL",
    RetcodeClass.PLACED: "PLACED",
    RetcodeClass.AMBIGUOUS: "UNKNOWN",
}


def _table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    head = list(head)
    lines = [head, ["---"] * len(head), *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def _rules() -> str:
    return _table(
        ("", "Reason", "Looks at", "Denies when", "Setting"),
        (
            (number, f"`{rule.reason}`", rule.scope, rule.denies, _code(rule.setting))
            for number, rule in enumerate(RULES, 1)
        ),
    )


def _permissions() -> str:
    return _table(
        ("Flag", "Off means", "Where it is switched on"),
        ((f"`{flag.name}`", help_.meaning, help_.where) for flag, help_ in PERMISSIONS.items()),
    )


def _retcodes() -> str:
    return _table(
        ("Code", "Name", "Outcome", "Meaning", "What to do", "May pass later"),
        (
            (
                int(entry.code),
                f"`{entry.code.name}`",
                OUTCOMES[entry.verdict],
                entry.meaning,
                entry.advice,
                "yes" if entry.retryable else "",
            )
            for entry in RETCODES.values()
        ),
    )


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


TABLES: Final[dict[str, Callable[[], str]]] = {
    "policy-permissions": _permissions,
    "policy-rules": _rules,
    "retcodes": _retcodes,
}
