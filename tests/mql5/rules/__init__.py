"""Rules for what compiles as C++ but goes wrong in MetaTrader.

The front end rejects what is not MQL5 of the subset; the rules know the API's habits. Every rule
is a function of a ``Program`` that yields findings; its codes stand in ``CODES`` and begin with R.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from tests.mql5.findings import Finding
from tests.mql5.lexer import Token
from tests.mql5.manifest import Manifest
from tests.mql5.rules import (
    acceptance,
    calls,
    effects,
    initialisation,
    numbers,
    program,
    results,
    texts,
)
from tests.mql5.rules.walking import Program
from tests.mql5.tree import Unit

__all__ = ["CODES", "run"]

CODES: Final[dict[str, str]] = {
    "R101": "the result of a function that can fail is not looked at",
    "R102": "the result of a function that can fail is kept and never looked at",
    "R103": "a handle compared with anything but INVALID_HANDLE",
    "R104": "_LastError is read without ResetLastError() before the call",
    "R201": "text is converted with the computer's code page",
    "R202": "a format with too many or too few arguments",
    "R203": "a format specification that does not fit its argument",
    "R204": "a format that is not known before the program runs",
    "R301": "a side effect in an argument: MQL5 evaluates them from right to left",
    "R302": "two side effects in one expression, whose order MQL5 leaves open",
    "R303": "a function that this type of program may not call",
    "R304": "SocketRead without asking SocketIsReadable: it blocks",
    "R305": "port 443, on which the terminal starts TLS by itself",
    "R306": "sockets outside of Net/, or trading outside of Trade/",
    "R401": "an event handler with a signature that is never called",
    "R402": "a name that looks like an event handler and is none",
    "R403": "an event handler that this type of program does not have",
    "R404": "a #property that is missing or does nothing",
    "R405": "an input without a label that a user can read",
    "R406": "an input with a name or text that is too long",
    "R407": "a source outside of the folder Include",
    "R501": "a variable is read before it has a value",
    "R502": "a struct without ={}: it begins with what the memory held",
    "R503": "a field that its constructor leaves without a value",
    "R601": "a number that MetaQuotes publishes nowhere",
    "R602": "={} for a struct with a dynamic array, a pointer, or a text further inside",
    "R603": "a static member that cannot be given a value",
    "R604": "pointers to const and to changeable objects compared",
    "R605": "a hexadecimal number of 32 bits that may be negative beside 64 bits",
    "R606": "a variable with the name of a function of MQL5",
}


def run(
    unit: Unit, tokens_by_file: Mapping[str, Sequence[Token]], manifest: Manifest
) -> list[Finding]:
    """
    Return what the rules find in a unit that the analysis has been through, sorted.
    """
    looked_at = Program(unit, tokens_by_file, manifest)
    findings: set[Finding] = set()
    for rule in _rules():
        findings.update(rule(looked_at))
    return sorted(findings)


def _rules() -> Iterator[Callable[[Program], Iterator[Finding]]]:
    for module in (results, texts, calls, effects, program, initialisation, numbers, acceptance):
        yield from module.RULES
