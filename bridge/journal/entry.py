"""What the journal holds of a command: the entry, its verdict, and which verdict wins.

An **entry** is written before anything of the command leaves the relay; what it asks for is never
changed. Its **verdict** is what is known of the end, its **life** how that came to be known. ``successor`` is the wire protocol's rule of which
RESULT replaces which ("NEW", step 5).
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import msgpack

from bridge.journal.life import Step, steps_of
from bridge.model.enums import TradeRequestActions
from bridge.wire.messages import Result
from bridge.wire.spec import DenyReason, Evidence, OrderOutcome, TradingState
from bridge.wire.structures import OrderRequest

__all__ = [
    "EXECUTED",
    "NOT_EXECUTED",
    "Account",
    "AliasState",
    "Audit",
    "Entry",
    "EventKey",
    "Verdict",
    "content_hash",
    "is_final",
    "pack_entry",
    "pack_verdict",
    "successor",
    "unpack_entry",
    "unpack_verdict",
]

#: Outcomes that say that the trade server carried the request out, wholly or in part.
EXECUTED: Final = frozenset({OrderOutcome.PLACED, OrderOutcome.PARTIAL, OrderOutcome.DONE})
#: Outcomes that say that it never will: only evidence of an execution corrects them.
NOT_EXECUTED: Final = frozenset(
    {
        OrderOutcome.EXPIRED_NOT_SENT,
        OrderOutcome.DENIED,
        OrderOutcome.REJECTED,
        OrderOutcome.NOT_FOUND,
    }
)

#: Part of every content hash: a changed canonical form must not look like changed content.
_HASH_FORMAT: Final = b"zb-content-1\0"
#: Beyond the nesting of any request; a deeper one is no request of ours.
_DEPTH_MAX: Final = 16


class Account(NamedTuple):
    """
    An account: a login is unique only at its trade server.
    """

    login: int
    server: str


class EventKey(NamedTuple):
    """
    By what a repeated event is known: deals and orders have ticket numbers of their own.

    ``state`` is what else tells two events of a ticket apart, or ``""``.
    """

    account: Account
    kind: int
    ticket: int
    state: str = ""


class AliasState(NamedTuple):
    """
    Whether orders may pass to a terminal, why, and who said so; ``utc_msc`` is when.
    """

    state: TradingState = TradingState.ACTIVE
    reason: str = ""
    who: str = ""
    utc_msc: int = 0


class Audit(NamedTuple):
    """
    What a person did: resolved a command, halted or resumed a terminal.
    """

    utc_msc: int
    who: str
    action: str
    subject: str
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """
    What is known of a command's end: the fields of RESULT, and how the relay came to it.

    ``outcome`` is an ``OrderOutcome``; ``reason`` the name of a bus ``Reason`` or ``""``; ``hop``,
    ``text``, ``field`` and ``hint`` are for a person; ``comment`` is the broker's. ``deals`` are
    all known deals of the command. ``time_msc`` is the server's clock, ``utc_msc`` when the
    relay recorded it. ``evidence`` is an ``Evidence``; ``evidence_text`` what a person gave for
    one, and ``resolved_by`` who. ``corrected``: an earlier verdict said that the command was not
    executed, and it was.
    """

    outcome: int
    retcode: int = 0
    retcode_external: int = 0
    deal: int = 0
    order: int = 0
    position: int = 0
    volume: float = 0.0
    price: float = 0.0
    bid: float = 0.0
    ask: float = 0.0
    comment: str = ""
    request_id: int = 0
    time_msc: int = 0
    utc_offset_min: int = 0
    error: int = 0
    text: str = ""
    deals: tuple[int, ...] = ()
    reason: str = ""
    hop: str = ""
    field: str = ""
    hint: str = ""
    evidence: int = Evidence.NONE
    incarnation: bytes = b""
    utc_msc: int = 0
    evidence_text: str = ""
    resolved_by: str = ""
    corrected: bool = False

    @classmethod
    def from_result(cls, result: Result, now_utc_msc: int, *, hop: str = "") -> Verdict:
        """
        Return the verdict of a terminal's RESULT. An outcome that is not known is UNKNOWN.
        """
        return cls(
            outcome=_known_outcome(result.outcome),
            retcode=result.retcode,
            retcode_external=result.retcode_external,
            deal=result.deal,
            order=result.order,
            position=result.position,
            volume=result.volume,
            price=result.price,
            bid=result.bid,
            ask=result.ask,
            comment=result.comment,
            request_id=result.request_id,
            time_msc=result.time_msc,
            utc_offset_min=result.utc_offset_min,
            error=result.error,
            text=result.text,
            deals=tuple(result.deals),
            reason=_reason_name(result.reason),
            hop=hop,
            evidence=result.evidence,
            incarnation=result.incarnation,
            utc_msc=now_utc_msc,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """
    A command as it was reserved: on disk before NEW leaves the relay. Only ``life`` grows.

    ``flags`` are ``NewFlag`` bits, ``tag`` the order's comment at the broker, ``comment`` the
    user's. ``request`` is ``None`` for a command that is not itself sent (``close_all``), whose
    parts have it as ``parent``. ``deadline_utc_msc`` is the client's. ``relay_epoch`` and
    ``incarnation`` are those of the NEW: with them the relay knows what NEVER_SEEN means.
    """

    command_id: str
    alias: str
    login: int
    server: str
    incarnation: bytes
    method: str
    content_hash: bytes
    request: OrderRequest | None
    flags: int = 0
    tag: str = ""
    comment: str = ""
    parent: str = ""
    reserved_utc_msc: int = 0
    deadline_utc_msc: int = 0
    relay_epoch: int = 0
    life: tuple[Step, ...] = ()
    verdict: Verdict | None = None

    @property
    def account(self) -> Account:
        return Account(self.login, self.server)

    @property
    def touched_utc_msc(self) -> int:
        """
        When the entry or its verdict was written: retention counts from here.
        """
        return max(self.reserved_utc_msc, self.verdict.utc_msc if self.verdict is not None else 0)

    @property
    def final(self) -> bool:
        """
        Whether the command needs no more finding out.
        """
        action = self.request.action if self.request is not None else None
        return self.verdict is not None and is_final(self.verdict.outcome, action)


def content_hash(method: str, alias: str, params: Mapping[str, Any]) -> bytes:
    """
    Return the SHA-256 of what a command asks for: the same for the same content.

    ``params`` are the validated parameters. A key with ``None`` is as good as no key, the order
    of keys does not count, and ``1`` is ``1.0``. What may differ when a client asks again under
    the same id (its deadline, the request's own id) does not belong in here.

    Raises:
        ValueError: a number is not finite, or a value is not one of a request.
    """
    content = _canonical([method, alias, dict(params)], 0)
    try:
        packed: bytes = msgpack.packb(content)
    except (OverflowError, UnicodeEncodeError) as error:
        raise ValueError(f"not part of a request: {error}") from None
    return hashlib.sha256(_HASH_FORMAT + packed).digest()


def _canonical(value: Any, depth: int) -> Any:
    if depth > _DEPTH_MAX:
        raise ValueError("nested too deeply to be a request")
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if value.is_integer():
            return _integral(value)
        if value - value != 0.0:
            raise ValueError(f"{value} is not a finite number")
        return float(value)
    if isinstance(value, Mapping):
        # An array of pairs: a map has no order, and the bytes must have one.
        pairs = [(str(key), _canonical(item, depth + 1)) for key, item in value.items()]
        return {"map": sorted((pair for pair in pairs if pair[1] is not None), key=_key_of)}
    if isinstance(value, list | tuple):
        return [_canonical(item, depth + 1) for item in value]
    raise ValueError(f"a {type(value).__name__} is not part of a request")


def _key_of(pair: tuple[str, Any]) -> str:
    return pair[0]


def _integral(value: float) -> int | float:
    # Beyond 64 bits msgpack has no integers; -0.0 becomes 0.
    return int(value) if -(2.0**63) <= value < 2.0**64 else value


def is_final(outcome: int, action: int | None = None) -> bool:
    """
    Return whether nothing more is to be found out about a command with this outcome.

    INTENT, UNKNOWN and NEVER_SEEN are open. PLACED is the end of every request but a DEAL,
    whose deals are still to come. PARTIAL is an end: what more becomes known replaces it.
    """
    if outcome == OrderOutcome.PLACED:
        return action != TradeRequestActions.DEAL
    return outcome in NOT_EXECUTED or outcome in EXECUTED


def successor(old: Verdict | None, new: Verdict) -> Verdict | None:
    """
    Return the verdict after ``new`` came behind ``old``, or ``None`` when ``old`` stands.

    A later one replaces an earlier one, except that

    - NEVER_SEEN is no verdict: what it means depends on the ledger's incarnation, and the
      relay says that with another outcome;
    - an end without a trade (EXPIRED_NOT_SENT, DENIED, REJECTED, NOT_FOUND) is replaced by
      nothing but evidence of an execution, and that is then a correction;
    - an execution is not forgotten: PLACED may become REJECTED (the order was taken back without
      a deal), but nothing becomes UNKNOWN or NOT_FOUND again; PARTIAL becomes PARTIAL or
      DONE; DONE stays DONE. Deals once known stay known.

    The same verdict again, for example replayed from the terminal's ledger, changes nothing.
    """
    outcome = _known_outcome(new.outcome)
    if outcome == OrderOutcome.NEVER_SEEN:
        return None
    if outcome != new.outcome:
        new = dataclasses.replace(new, outcome=outcome)
    if old is None:
        return new
    if outcome in EXECUTED:
        merged = _merge(old, new)
    elif _is_open(old.outcome) or (
        outcome == OrderOutcome.REJECTED and old.outcome == OrderOutcome.PLACED and not old.deals
    ):
        merged = dataclasses.replace(
            new,
            corrected=old.corrected or new.corrected,
            resolved_by=new.resolved_by or old.resolved_by,
            evidence_text=new.evidence_text or old.evidence_text,
        )
    else:
        return None
    return None if _same(old, merged) else merged


def _merge(old: Verdict, new: Verdict) -> Verdict:
    """
    Return ``new``, an execution, with what ``old`` knew and ``new`` does not.
    """
    deals = tuple(dict.fromkeys((*old.deals, *new.deals)))
    if old.outcome in EXECUTED and _RANK[old.outcome] > _RANK[new.outcome]:
        # A replay of less: of it only deals can be news.
        return dataclasses.replace(old, deals=deals, utc_msc=new.utc_msc)
    was_executed = old.outcome in EXECUTED
    return dataclasses.replace(
        new,
        deals=deals,
        deal=new.deal or (old.deal if was_executed else 0),
        order=new.order or (old.order if was_executed else 0),
        position=new.position or (old.position if was_executed else 0),
        request_id=new.request_id or old.request_id,
        corrected=old.corrected or new.corrected or old.outcome in NOT_EXECUTED,
        resolved_by=new.resolved_by or old.resolved_by,
        evidence_text=new.evidence_text or old.evidence_text,
    )


_RANK: Final[dict[int, int]] = {
    OrderOutcome.PLACED: 1,
    OrderOutcome.PARTIAL: 2,
    OrderOutcome.DONE: 3,
}
#: Differs between an answer and its replay, and says nothing else about the command.
_NOT_CONTENT: Final = frozenset(
    {"bid", "ask", "text", "evidence", "utc_msc", "error", "incarnation", "hint", "request_id"}
)
_CONTENT: Final = tuple(
    field.name for field in dataclasses.fields(Verdict) if field.name not in _NOT_CONTENT
)


def _same(old: Verdict, new: Verdict) -> bool:
    return all(getattr(old, name) == getattr(new, name) for name in _CONTENT)


def _is_open(outcome: int) -> bool:
    return outcome not in EXECUTED and outcome not in NOT_EXECUTED


def _known_outcome(outcome: int) -> int:
    """
    Return the outcome, UNKNOWN for one that this version does not know.
    """
    try:
        return OrderOutcome(outcome)
    except ValueError:
        return OrderOutcome.UNKNOWN


def _reason_name(reason: int) -> str:
    if reason == DenyReason.NONE:
        return ""
    try:
        return DenyReason(reason).name
    except ValueError:
        return DenyReason.OTHER.name


# On disk: arrays of the fields in their order. A later version appends fields with a default,
# so that an older record is read with them.

_ENTRY_FIELDS: Final = tuple(
    field.name for field in dataclasses.fields(Entry) if field.name != "verdict"
)
_VERDICT_FIELDS: Final = tuple(field.name for field in dataclasses.fields(Verdict))


def pack_entry(entry: Entry) -> bytes:
    """
    Return the entry without its verdict, as it is kept.
    """
    packed: bytes = msgpack.packb([getattr(entry, name) for name in _ENTRY_FIELDS])
    return packed


def unpack_entry(data: bytes, verdict: Verdict | None) -> Entry:
    """
    Return the entry that was packed, with its verdict.

    Raises:
        ValueError: the data is not an entry.
    """
    values = _fields(data, _ENTRY_FIELDS)
    request = values.get("request")
    if request is not None:
        values["request"] = OrderRequest(*request)
    values["life"] = steps_of(values.get("life", ()))
    try:
        return Entry(**values, verdict=verdict)
    except TypeError as error:
        raise ValueError(f"not an entry: {error}") from None


def pack_verdict(verdict: Verdict) -> bytes:
    """
    Return the verdict as it is kept.
    """
    packed: bytes = msgpack.packb([getattr(verdict, name) for name in _VERDICT_FIELDS])
    return packed


def unpack_verdict(data: bytes) -> Verdict:
    """
    Return the verdict that was packed.

    Raises:
        ValueError: the data is not a verdict.
    """
    values = _fields(data, _VERDICT_FIELDS)
    values["deals"] = tuple(values.get("deals", ()))
    try:
        return Verdict(**values)
    except TypeError as error:
        raise ValueError(f"not a verdict: {error}") from None


def _fields(data: bytes, names: tuple[str, ...]) -> dict[str, Any]:
    values: Any = msgpack.unpackb(data, raw=False)
    if not isinstance(values, list):
        raise ValueError("not an array of fields")  # noqa: TRY004 - damaged data, not a wrong call
    return dict(zip(names, values, strict=False))
