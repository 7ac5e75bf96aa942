"""What is wrong with a source: findings with a place, a code and a sentence.

The codes of the front end. ``L`` is for characters and literals, ``D`` for directives, ``P`` for
the grammar, ``N`` for names, ``T`` for types and conversions, ``C`` for classes, ``S`` for
statements. The rules of ``tests/mql5/rules`` have codes of their own.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from tests.mql5.tree import Place

__all__ = ["CODES", "Finding", "SourceError"]

CODES: Final[dict[str, str]] = {
    "L001": "the file is not plain UTF-8",
    "L002": "a character outside ASCII in code",
    "L003": "a character that MQL5 does not have",
    "L004": "a literal or comment without an end",
    "L005": "a form of number that MQL5 does not have",
    "L006": "an escape sequence that MQL5 does not have",
    "L007": "a string with a prefix",
    "L008": "a date or colour that is none",
    "L009": "a number that fits into no type",
    "D001": "a directive outside of the subset",
    "D002": "an included file that is not there",
    "D003": "an include that leaves its folder",
    "D004": "a conditional that is no include guard",
    "D005": "a macro that is not a constant",
    "D006": "a directive that is malformed",
    "D007": "a directive in the middle of a declaration",
    "P001": "the source does not follow the grammar",
    "P002": "a construct of C++ that MQL5 does not have",
    "P003": "a construct of MQL5 outside of the subset",
    "P004": "a reserved word as a name",
    "P005": "a name that is too long",
    "N001": "an unknown name",
    "N002": "an unknown function",
    "N003": "an unknown type",
    "N004": "a name declared twice",
    "N005": "a name that hides another",
    "N006": "an unknown member",
    "N007": "a member that is not accessible from here",
    "N008": "a function that is declared and never defined",
    "N009": "a definition that was not declared",
    "T001": "a conversion between numbers that may lose something",
    "T002": "a conversion between strings and other values",
    "T003": "a value of the wrong type",
    "T004": "an operator on types that it does not have",
    "T005": "a reference to something that is no variable",
    "T006": "a struct, class or array by value",
    "T007": "an assignment to an array",
    "T008": "a change of something constant",
    "T009": "a call with the wrong number of arguments",
    "T010": "a call that fits several functions",
    "T011": "an initialiser that is not constant",
    "T012": "a size or label that is not constant",
    "T013": "branches of a ternary with different types",
    "T014": "a comparison of different enums",
    "T015": "a comparison of signed and unsigned",
    "T016": "something used as a pointer that is none",
    "T017": "a condition that is no truth value",
    "T018": "too many or too few values in braces",
    "T019": "a cast between types that have none",
    "C001": "an object of an abstract class",
    "C002": "an override that does not fit its base",
    "C003": "an override without the word",
    "C004": "a base class that cannot be one",
    "C005": "a change of a constant object",
    "C006": "a constructor that does not fit",
    "C007": "a member that its kind of class cannot have",
    "C008": "this where there is none",
    "C009": "a static member that is not defined",
    "S001": "a function that may end without its value",
    "S002": "a return that does not fit its function",
    "S003": "a switch on something that is no integer",
    "S004": "a case label twice",
    "S005": "a declaration in a case without braces",
    "S006": "break or continue outside of a loop",
    "S007": "delete of something that is no pointer",
    "S008": "a statement without effect",
    "S009": "an assignment inside of an expression",
}


class Finding(NamedTuple):
    """
    One thing that is wrong. Findings sort by path, line, column and code.
    """

    place: Place
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.code} {self.message}"


class SourceError(Exception):
    """
    A source that cannot be translated. ``findings``: why, sorted, at least one.
    """

    def __init__(self, findings: list[Finding]) -> None:
        super().__init__(findings)
        self.findings = sorted(findings)

    def __str__(self) -> str:
        return "\n".join(str(finding) for finding in self.findings)
