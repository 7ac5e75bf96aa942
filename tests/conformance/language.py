"""The language of conformance scripts: one event a line. ``docs/reference/conformance-scripts.md``.

A script is read and checked as a whole before anything runs: an unknown sign, message, field,
name or command, a value that is used before it has one, is an error with file and line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.conformance.values import (
    Assignment,
    Clock,
    SyntaxProblem,
    Value,
    make,
    names_in,
    read_words,
)
from tests.conformance.vocabulary import (
    DAMAGES,
    FROM_RELAY,
    FROM_TERMINAL,
    QUIET,
    SPOKEN,
    number_of,
)

__all__ = ["COMMANDS", "QUESTIONS", "Script", "ScriptError", "Step", "read_script"]

_LINE: Final = re.compile(r"(=\?|[-ICx<>!@=?:+*%])([0-9]?)(?:\s+(.*))?")
_HOLDS: Final = re.compile(r"fault ([0-9]+)|wire ([0-9]+)(?: (.+))?")
_DURATION: Final = re.compile(r"\+([0-9]+(?:\.[0-9]+)?)(ms|s|min|h)")
_SECONDS: Final = {"ms": 0.001, "s": 1, "min": 60, "h": 3600}
_SIDES: Final = ("terminal", "relay")
#: Habits of the script's own side, and the values of each.
_HABITS: Final = ("heartbeats", "acks", "pass")

#: Commands to what is around the side under test (``=``), with the names they take;
#: ``None``: any. Words are in front of the names.
COMMANDS: Final[dict[str, dict[str, tuple[str, ...] | None]]] = {
    "terminal": {
        "account": ("login", "server", "margin_mode", "trade_mode"),
        "answer": ("retcode", "executed"),
        "broker": None,
        "history": ("symbol", "bid", "time_msc", "lost", "late", "loading", "first_call_ms"),
        "kill": (),
        "ledger": ("durable", "new"),
        "limits": (
            "read_only",
            "demo_only",
            "symbols",
            "max_volume",
            "max_positions",
            "max_per_minute",
        ),
        "permissions": ("off",),
        "settings": ("role", "login", "server", "margin_mode", "trade_mode"),
        "start": (),
        "tick": ("symbol", "bid", "ask", "time_msc", "count"),
        "user": ("buy", "sell", "symbol", "close"),
    },
    "relay": {
        "disk": ("fails", "full", "slow"),
        "kill": (),
        "settings": None,
        "start": (),
        "stop": (),
    },
}
#: What ``=?`` asks of the broker, the only judge of what was executed.
QUESTIONS: Final[dict[str, tuple[str, ...]]] = {
    "executed": ("command_id", "times"),
    "position": ("symbol", "volume"),
    "orders": ("count",),
}


class ScriptError(Exception):
    """
    A script is wrong, or its expectation failed: the text begins with file and line.
    """

    def __init__(self, path: Path, line: int, problem: str) -> None:
        super().__init__(f"{path}:{line}: {problem}")
        self.problem = problem
        self.line = line


@dataclass(frozen=True, slots=True)
class Step:
    """
    One line: its sign, the connection it is about (0: the one made last), words, assignments.

    ``more`` are the assignments behind the ``/`` of a ``!`` line; ``us`` is the time of ``@``.
    """

    line: int
    sign: str
    connection: int
    words: tuple[str, ...]
    fields: tuple[Assignment, ...]
    more: tuple[Assignment, ...] = ()
    us: int = 0
    text: str = ""


@dataclass(frozen=True, slots=True)
class Script:
    """
    One scenario, for one side.

    ``holds``: faults by number and sections of the wire protocol, as they stand in the script.
    """

    path: Path
    side: str
    title: str
    holds: tuple[str, ...]
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        """
        Group and file name.
        """
        return f"{self.path.parent.name}/{self.path.stem}"


def read_script(path: Path, text: str | None = None) -> Script:
    """
    Return the script of a file.

    Raises:
        ScriptError: it is not of the language.
    """
    if text is None:
        text = path.read_text(encoding="utf-8")
    lines = _joined(text)
    title, holds = _heading(path, text)
    side = ""
    steps: list[Step] = []
    known: set[str] = set()
    for number, line in lines:
        try:
            if not side:
                side = _side(line)
                continue
            step = _step(number, line, side)
            _check(step, side, known)
        except SyntaxProblem as problem:
            raise ScriptError(path, number, str(problem)) from None
        steps.append(step)
    if not steps:
        raise ScriptError(path, 1, "nothing happens in it")
    return Script(path, side, title, holds, tuple(steps))


def _joined(text: str) -> list[tuple[int, str]]:
    # Lines without comments and blank ones; what is indented goes on with the line before.
    found: list[tuple[int, str]] = []
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.rstrip()
        if not line or line.lstrip().startswith("#"):
            continue
        if line[0].isspace() and found:
            first, before = found[-1]
            found[-1] = (first, f"{before} {line.strip()}")
        else:
            found.append((number, line))
    return found


def _heading(path: Path, text: str) -> tuple[str, tuple[str, ...]]:
    comments = []
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comments.append(line[1:].strip())
    holds = [line for line in comments if line.startswith("Holds:")]
    if not comments or comments[0].startswith("Holds:") or not comments[0].endswith("."):
        raise ScriptError(path, 1, "expected a comment that says in a sentence what is shown")
    if len(holds) != 1:
        raise ScriptError(path, 1, "expected one comment '# Holds: fault 7; wire 13 NEW'")
    parts = tuple(part.strip() for part in holds[0].removeprefix("Holds:").split(";"))
    for part in parts:
        if not _HOLDS.fullmatch(part):
            raise ScriptError(path, 1, f"{part!r}: expected 'fault N' or 'wire SECTION Heading'")
    return comments[0], parts


def _side(line: str) -> str:
    words = line.split()
    if len(words) != 2 or words[0] != "for" or words[1] not in _SIDES:
        raise SyntaxProblem("expected 'for terminal' or 'for relay' before everything else")
    return words[1]


def _step(number: int, line: str, side: str) -> Step:
    found = _LINE.fullmatch(line)
    if found is None:
        raise SyntaxProblem(f"{line!r} begins with no sign of this language")
    sign, connection, rest = found[1], int(found[2] or 0), found[3] or ""
    if sign in "?:+-*" and side != "relay":
        raise SyntaxProblem(f"{sign!r}: only a relay has clients")
    if sign == "=?" and side != "terminal":
        raise SyntaxProblem("'=?': only a terminal has a broker")
    if sign == "@":
        return _time(number, rest)
    more: tuple[Assignment, ...] = ()
    if sign == "!" and " / " in f" {rest} ":
        rest, _, damage = f" {rest} ".partition(" / ")
        words = read_words(damage)
        if not all(isinstance(word, Assignment) for word in words):
            raise SyntaxProblem(f"{damage.strip()!r}: expected name=value")
        more = tuple(word for word in words if isinstance(word, Assignment))
    parts = read_words(rest.strip())
    return Step(
        number,
        sign,
        connection,
        tuple(part for part in parts if isinstance(part, str)),
        tuple(part for part in parts if isinstance(part, Assignment)),
        more,
        text=line,
    )


def _time(number: int, rest: str) -> Step:
    words = rest.split()
    found = _DURATION.fullmatch(words[0]) if words else None
    if found is None or words[1:] not in ([], ["silent"]):
        raise SyntaxProblem("expected '@ +2s', '@ +150ms' or '@ +5s silent'")
    us = round(float(found[1]) * _SECONDS[found[2]] * 1_000_000)
    return Step(number, "@", 1, tuple(words[1:]), (), us=us, text=f"@ {rest}")


# --- checks that need no run --------------------------------------------------------------------


def _check(step: Step, side: str, known: set[str]) -> None:
    match step.sign:
        case "I" | "C":
            _check_logon(step, side)
        case ">" | "!" | "<":
            _check_message(step, side)
        case "x":
            _expect(not step.words and not step.fields, "nothing stands behind x")
        case "=":
            _check_command(step, COMMANDS[side])
        case "=?":
            _check_command(step, QUESTIONS)
        case "?":
            _expect(len(step.words) == 2, "expected '? label method name=value'")
        case ":":
            _expect(len(step.words) in {1, 2}, "expected ': label name=value'")
            _expect(
                step.words[1:] in {(), ("error",), ("nothing",)},
                "behind a label: 'error', 'nothing' or name=value",
            )
        case "+" | "-":
            _expect(len(step.words) == 1, "expected a topic")
        case "*":
            _expect(
                len(step.words) == 1 or step.words[1:] == ("nothing",),
                "expected a topic and fields",
            )
        case "%":
            _expect(bool(step.words) and step.words[0] in _HABITS, f"one of {_HABITS}")
    _check_variables(step, known)


def _expect(good: bool, problem: str) -> None:
    if not good:
        raise SyntaxProblem(problem)


def _check_logon(step: Step, side: str) -> None:
    waits = step.sign == "C" and side == "terminal" and step.words in {("nothing",), ("soon",)}
    _expect(waits or not step.words, "expected name=value")
    ours = ("HELLO",) if side == "relay" else ("CHALLENGE", "WELCOME")
    allowed = {name for message in ours for name in SPOKEN[message]}
    for one in step.fields:
        if one.name == "key":
            continue
        _expect(step.sign == "I" and one.name in allowed, f"{one.name}: there is no such field")
        for message in ours:
            if one.name in SPOKEN[message]:
                _check_value(one, message)


def _check_message(step: Step, side: str) -> None:
    _expect(bool(step.words), "expected a message")
    name = step.words[0]
    if step.sign == "<" and name in {"nothing", "END"}:
        of_quiet = name == "nothing" and set(step.words[1:]) <= QUIET
        good = of_quiet or not step.words[1:]
        _expect(good and not step.fields, f"behind 'nothing' may stand: {', '.join(sorted(QUIET))}")
        return
    if step.sign == "!" and name in {"bytes", "again"}:
        _expect(len(step.words) == 2, f"expected one word behind {name}")
        return
    _expect(len(step.words) == 1, f"{step.words[1:]}: expected name=value")
    _expect(name in SPOKEN, f"{name}: there is no such message")
    _expect(name != "TICK" or step.sign == "<", "TICK: a run is sent as TICKS")
    _expect(name != "TICKS" or step.sign != "<", "TICKS: records are expected as TICK")
    of_terminal = (side == "terminal") == (step.sign == "<")
    if step.sign != "!":
        of_side = FROM_TERMINAL if of_terminal else FROM_RELAY
        _expect(name in of_side, f"{name} does not go this way: only ! sends it")
    for one in step.fields:
        _expect(one.name in SPOKEN[name], f"{one.name}: {name} has no such field")
        _expect(step.sign == "<" or one.operator == "=", f"{one.name}: sent with =")
        _expect(step.sign == "<" or one.value.kind != "any", f"{one.name}: * cannot be sent")
        if step.sign != "!":
            _check_value(one, name)
    for one in step.more:
        _expect(one.name in DAMAGES, f"{one.name}: one of {sorted(DAMAGES)}")


def _check_value(one: Assignment, message: str) -> None:
    # Made once to see that its names are there; a variable counts as 0.
    field = SPOKEN[message][one.name]
    value = _without_variables(one.value)
    make(
        value,
        field,
        one.name,
        lambda field, word: number_of(message, field, word),
        {},
        Clock(0, 0, 0),
    )


def _without_variables(value: Value) -> Value:
    if value.kind in {"variable", "any"}:
        return Value("number", 0, value.text)
    if value.kind == "map":
        parts = (
            Assignment(one.name, one.operator, _without_variables(one.value))
            for one in value.content
        )
        return Value("map", tuple(parts), value.text)
    if value.kind == "list":
        return Value("list", tuple(map(_without_variables, value.content)), value.text)
    return value


def _check_command(step: Step, commands: dict[str, tuple[str, ...] | None]) -> None:
    name = step.words[0] if step.words else ""
    _expect(name in commands, f"{name!r}: expected one of {', '.join(sorted(commands))}")
    _expect(len(step.words) == 1, f"{step.words[1:]}: expected name=value")
    allowed = commands[name]
    for one in step.fields:
        _expect(allowed is None or one.name in allowed, f"{one.name}: {name} takes {allowed}")


def _check_variables(step: Step, known: set[str]) -> None:
    used = {name for one in (*step.fields, *step.more) for name in names_in(one.value)}
    if step.sign in {"<", ":", "*", "I"}:
        known |= used
    elif not used <= known:
        raise SyntaxProblem(f"${min(used - known)} has no value yet")
