"""What a client is told of a command: the result map, made from the journal's entry.

One function for replies, ``order_status`` and the events of ``trade/<alias>``, so that they
never say different things of the same command.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from bridge.bus.orders import Outcome, Reason, order_result
from bridge.bus.requests import Hop
from bridge.exceptions import JournalError
from bridge.journal import EXECUTED, Entry, Verdict
from bridge.model.retcodes import RETCODES, retcode_name
from bridge.policy import Denial
from bridge.wire.fields import printable
from bridge.wire.spec import Evidence, OrderOutcome

__all__ = [
    "ANOTHER_LEDGER",
    "LEDGER_FORGOT",
    "aggregate",
    "denied_result",
    "diverged",
    "evidence_name",
    "no_journal",
    "not_sent",
    "outcome_of",
    "result_of",
    "unknown",
]

ANOTHER_LEDGER: Final = "the terminal has another ledger than the one that it was sent to"
LEDGER_FORGOT: Final = "the terminal's ledger has forgotten it: what became of it cannot be told"
_OUTCOMES: Final = {
    OrderOutcome.EXPIRED_NOT_SENT: Outcome.DENIED,
    OrderOutcome.DENIED: Outcome.DENIED,
    OrderOutcome.REJECTED: Outcome.REJECTED,
    OrderOutcome.PLACED: Outcome.PLACED,
    OrderOutcome.PARTIAL: Outcome.PARTIAL,
    OrderOutcome.DONE: Outcome.DONE,
    OrderOutcome.NOT_FOUND: Outcome.REJECTED,
}
_UNKNOWN_MESSAGE: Final = "it may have been executed; the relay is finding out"
_UNKNOWN_HINT: Final = (
    "never send it under another id: ask order_status, or send the same again with the same ids"
)
_NOT_EXECUTED_MESSAGE: Final = "the settle time is over and the broker has no trace of it"


def outcome_of(entry: Entry) -> Outcome:
    """
    Return what a client is told of a command now.
    """
    verdict = entry.verdict
    if verdict is None:
        return Outcome.UNKNOWN
    return _OUTCOMES.get(_known(verdict.outcome), Outcome.UNKNOWN)


def not_sent(reason: Reason, text: str, utc_msc: int) -> Verdict:
    """
    Return the verdict of a command that was journalled and then not sent after all.
    """
    expired = reason is Reason.EXPIRED
    return Verdict(
        outcome=int(OrderOutcome.EXPIRED_NOT_SENT if expired else OrderOutcome.DENIED),
        reason=reason.value,
        hop=Hop.RELAY.value,
        text=text,
        utc_msc=utc_msc,
    )


def unknown(text: str, utc_msc: int) -> Verdict:
    """
    Return the verdict that a person has to look into, if nothing else turns up.
    """
    return Verdict(
        outcome=int(OrderOutcome.UNKNOWN), hop=Hop.TERMINAL.value, text=text, utc_msc=utc_msc
    )


def aggregate(children: Sequence[Entry], utc_msc: int) -> Verdict | None:
    """
    Return the verdict of a ``close_all`` from its parts, ``None`` while one is not known.

    DONE: every part is; PARTIAL: some are; else what the first part is.
    """
    verdicts = [child.verdict for child in children if child.final and child.verdict is not None]
    if len(verdicts) < len(children) or not verdicts:
        return None
    done = [verdict for verdict in verdicts if verdict.outcome == OrderOutcome.DONE]
    executed = [verdict for verdict in verdicts if verdict.outcome in EXECUTED]
    text = f"{len(done)} of {len(verdicts)} done"
    if executed:
        outcome = OrderOutcome.DONE if len(done) == len(verdicts) else OrderOutcome.PARTIAL
        return Verdict(outcome=int(outcome), text=text, utc_msc=utc_msc)
    first = verdicts[0]
    return Verdict(
        outcome=first.outcome,
        reason=first.reason,
        hop=first.hop,
        retcode=first.retcode,
        text=f"{text}; {first.text}"[:256],
        utc_msc=utc_msc,
    )


def denied_result(
    command_id: str, denial: Denial, *, comment: str = "", replayed: bool = False
) -> dict[str, Any]:
    """
    Return the result of a command that the relay denies; nothing was sent for it.
    """
    return order_result(
        outcome=Outcome.DENIED.value,
        final=True,
        reason=str(denial.reason),
        hop=str(denial.hop),
        message=denial.message,
        field=denial.field,
        hint=denial.hint,
        command_id=command_id,
        client_order_id=_client_order_id(command_id),
        replayed=replayed,
        comment=comment,
    )


def result_of(
    entry: Entry, *, replayed: bool = False, children: Sequence[Entry] = ()
) -> dict[str, Any]:
    """
    Return the result of a command as the journal has it.

    ``replayed``: nothing was sent for this request. ``children``: the parts of a ``close_all``.
    """
    known: dict[str, Any] = {
        "command_id": entry.command_id,
        "client_order_id": _client_order_id(entry.command_id),
        "replayed": replayed,
        "comment": entry.comment,
        "tag": entry.tag,
        "outcome": outcome_of(entry).value,
        "children": [result_of(child, replayed=replayed) for child in children],
    }
    verdict = entry.verdict
    if verdict is None:
        known.update(hop=Hop.TERMINAL.value, message=_UNKNOWN_MESSAGE, hint=_UNKNOWN_HINT)
        return order_result(**known)
    known.update(
        final=entry.final,
        retcode=verdict.retcode,
        retcode_name=retcode_name(verdict.retcode),
        retcode_external=verdict.retcode_external,
        order=verdict.order,
        deal=verdict.deal,
        position=verdict.position,
        deals=verdict.deals,
        volume=verdict.volume,
        price=verdict.price,
        bid=verdict.bid,
        ask=verdict.ask,
        broker_comment=printable(verdict.comment),
        request_id=verdict.request_id,
        time_msc=verdict.time_msc,
        utc_offset_min=verdict.utc_offset_min,
        evidence=evidence_name(verdict.evidence),
        corrected=verdict.corrected,
        error=verdict.error,
        message=printable(verdict.text),
    )
    known.update(_explained(verdict))
    return order_result(**known)


def evidence_name(number: int) -> str:
    """
    Return the name of an ``Evidence``, ``""`` for none.
    """
    try:
        return "" if number == Evidence.NONE else Evidence(number).name
    except ValueError:
        return str(number)


def diverged() -> Denial:
    """
    Return the denial of an id that comes with other content than before.
    """
    return Denial(
        Reason.DIVERGED,
        "this id was used for an order with other content",
        hint="an id names one order for ever: take a new one for a new order",
        field="client_order_id",
        hop=Hop.CLIENT,
    )


def no_journal(error: JournalError) -> Denial:
    """
    Return the denial of a command that could not be written down; nothing was sent.
    """
    return Denial(
        Reason.JOURNAL,
        f"the journal cannot be written: {error.problem}",
        hint=error.hint or "'bridge status' says what to do, 'bridge journal check' what is wrong",
    )


# --- inside ------------------------------------------------------------------------------


def _explained(verdict: Verdict) -> dict[str, Any]:
    # Reason, hop, message and hint of what is not simply done.
    text = printable(verdict.text)
    told: dict[str, Any] = {}
    match _known(verdict.outcome):
        case OrderOutcome.EXPIRED_NOT_SENT:
            told = {
                "reason": Reason.EXPIRED.value,
                "hop": Hop.TERMINAL.value,
                "message": text or "its time was over before it could be sent",
                "hint": "a new order if it is still wanted; a longer valid_for_ms if this is often",
            }
        case OrderOutcome.DENIED:
            reason = verdict.reason or Reason.OTHER.value
            told = {
                "reason": reason,
                "hop": Hop.TERMINAL.value,
                "message": text or f"the terminal denied it: {reason}",
            }
        case OrderOutcome.NOT_FOUND:
            told = {
                "reason": Reason.NOT_EXECUTED.value,
                "hop": Hop.TRADE_SERVER.value,
                "message": text or _NOT_EXECUTED_MESSAGE,
                "hint": "a new order if it is still wanted",
            }
        case OrderOutcome.REJECTED:
            checked = verdict.evidence == Evidence.ORDER_CHECK
            retcode = RETCODES.get(verdict.retcode)
            told = {
                "reason": verdict.reason,
                "hop": (Hop.TERMINAL if checked else Hop.TRADE_SERVER).value,
                "message": text or ("" if retcode is None else retcode.meaning),
                "hint": "" if retcode is None else retcode.advice,
            }
        case OrderOutcome.DONE | OrderOutcome.PARTIAL | OrderOutcome.PLACED:
            pass
        case _:
            told = {
                "hop": Hop.TERMINAL.value,
                "message": text or _UNKNOWN_MESSAGE,
                "hint": _UNKNOWN_HINT,
            }
    # What the verdict itself says is closer to what happened.
    for name in ("hop", "field", "hint"):
        if getattr(verdict, name):
            told[name] = getattr(verdict, name)
    return told


def _known(outcome: int) -> OrderOutcome:
    # An outcome of a later version is no more than UNKNOWN (wire protocol, "QUERY").
    try:
        return OrderOutcome(outcome)
    except ValueError:
        return OrderOutcome.UNKNOWN


def _client_order_id(command_id: str) -> str:
    return command_id.split("/")[1]
