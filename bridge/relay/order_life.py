"""The whole life of a command for whoever asks: its steps, what it waits for, what to do.

What of it is on disk is the journal's (``bridge.journal.life``); what is waited for now is the order
path's, and told from what it looks at itself.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bridge.bus.orders import STEP_DEFAULTS, LifeStep
from bridge.journal import EXECUTED, Entry, Step
from bridge.model.retcodes import retcode_name
from bridge.relay.order_commands import OpenCommand, PendingCommand, Stage
from bridge.relay.order_desk import Desk
from bridge.relay.order_results import ANOTHER_LEDGER, LEDGER_FORGOT, evidence_name
from bridge.wire.fields import printable
from bridge.wire.spec import OrderOutcome

__all__ = ["Waiting", "life_of", "waiting_of", "waiting_of_end", "waiting_of_pending"]

_ASK_AGAIN: Final = "never send it under another id; the same id again is safe"
_DISK: Final = "the relay's disk"
_SHORTLY: Final = "wait: this takes a moment"


class Waiting(NamedTuple):
    """
    What a command waits for, and what whoever wants to know can do; both may be empty.
    """

    waiting_for: str = ""
    advice: str = ""


def life_of(entry: Entry) -> list[dict[str, Any]]:
    """
    Return the steps of a command, oldest first, as they are told.

    Of a command that an earlier version kept only the first and the last are known.
    """
    life = entry.life
    if not life:
        life = (Step(LifeStep.RESERVED.value, entry.reserved_utc_msc, 0, entry.relay_epoch),)
        verdict = entry.verdict
        if verdict is not None:
            kind = LifeStep.RESOLVED if verdict.resolved_by else LifeStep.RESULT
            life += (
                Step(
                    kind.value,
                    verdict.utc_msc,
                    0,
                    0,
                    said=verdict.outcome,
                    evidence=verdict.evidence,
                    retcode=verdict.retcode,
                    order=verdict.order,
                    deal=verdict.deal,
                    volume=verdict.volume,
                    text=verdict.evidence_text or verdict.text,
                    who=verdict.resolved_by,
                    changed=True,
                    corrected=verdict.corrected,
                ),
            )
    return [_told(step) for step in life]


def _told(step: Step) -> dict[str, Any]:
    known = {name: value for name, value in step._asdict().items() if name in STEP_DEFAULTS}
    known.update(
        step=step.kind,
        time_utc_msc=step.utc_msc,
        relay_us=step.us,
        said=_outcome_name(step.said),
        evidence=evidence_name(step.evidence),
        retcode_name=retcode_name(step.retcode),
        text=printable(step.text),
        who=printable(step.who),
        last_utc_msc=step.last_utc_msc or step.utc_msc,
    )
    return {**STEP_DEFAULTS, **known}


def waiting_of_pending(pending: PendingCommand) -> Waiting:
    """
    Return what a command waits for of which nothing is in the journal.
    """
    held = pending.held
    what = "its turn at the relay" if held is None else held.message
    return Waiting(what, "nothing was sent; if it may not go on in its time, it is denied")


def waiting_of_end(entry: Entry) -> Waiting:
    """
    Return what is left to say of a command that has its end.
    """
    verdict = entry.verdict
    if verdict is None:
        return Waiting()
    if verdict.corrected:
        return Waiting(
            advice="an earlier end said that it was not executed, and trading was halted for it: "
            "see to what your strategy did on that word, then 'bridge resume'"
        )
    if verdict.outcome == OrderOutcome.PLACED:
        return Waiting(advice="it was placed: 'bridge orders' and trade/ tell what became of it")
    return Waiting()


def waiting_of(desk: Desk, command: OpenCommand, open_parts: int, *, questioned: bool) -> Waiting:
    """
    Return what a command in the journal waits for.

    ``open_parts``: parts of a ``close_all`` without an end; ``questioned``: the terminal is asked
    for earlier orders before anything is sent.
    """
    match command.stage:
        case Stage.RESERVING | Stage.CONCLUDING:
            return Waiting(_DISK, _SHORTLY)
        case Stage.PARTS:
            what = f"the end of {open_parts} of its {len(command.children)} parts"
            return Waiting(what if open_parts else _DISK, "ask for each part by its own id")
        case Stage.READY:
            what = "the terminal's answers about earlier orders" if questioned else "its turn"
            return Waiting(what, f"nothing was sent; {_SHORTLY}")
        case Stage.SENT:
            return Waiting("the terminal's answer", f"{_SHORTLY}; {_ASK_AGAIN}")
        case _:
            return _waiting_of_asked(desk, command)


def _waiting_of_asked(desk: Desk, command: OpenCommand) -> Waiting:
    entry, session, verdict = command.entry, desk.session, command.entry.verdict
    person = _for_a_person(entry)
    if session is None:
        what = "the terminal: it is not connected to the relay"
        advice = f"start MetaTrader with the EA; it is asked at once. {_ASK_AGAIN}"
        return Waiting(what, advice)
    if not session.may_trade:
        return Waiting("a session of the terminal that trades", _ASK_AGAIN)
    if desk.account != entry.account:
        what = f"account {entry.login} at {printable(entry.server)}, which is not logged in"
        return Waiting(what, f"log in to it in this terminal; or, if it is gone for good, {person}")
    if desk.view.busy_until_us():
        return Waiting("the terminal, which said that it is busy", f"{_SHORTLY}; {_ASK_AGAIN}")
    if verdict is not None and verdict.text in (ANOTHER_LEDGER, LEDGER_FORGOT):
        what = "evidence: without its ledger the terminal cannot say that it was not executed"
        return Waiting(what, person)
    if command.unanswered:
        return Waiting("the terminal's answer to a question", f"{_SHORTLY}; {_ASK_AGAIN}")
    if verdict is not None and verdict.outcome in EXECUTED:
        return Waiting("its deals at the broker", "wait; closes of its symbol may wait with it")
    return Waiting(
        "evidence at the broker, or the end of the settle time; the terminal is asked again",
        f"wait; {_ASK_AGAIN}. If it stays so for minutes, {person}",
    )


def _for_a_person(entry: Entry) -> str:
    return (
        f"look for the comment {entry.tag} in the account's history, then tell what you found: "
        f"'bridge order resolve {entry.command_id} --executed (or --not-executed) --evidence ...'"
    )


def _outcome_name(number: int) -> str:
    if number < 0:
        return ""
    try:
        return OrderOutcome(number).name
    except ValueError:
        return str(number)
