"""Requests as frames, and what replies say. Pure.

A reply comes from the relay and is read with care all the same: whatever is not as the bus
protocol has it ends in ``MalformedReply``, never in a ``KeyError`` somewhere else.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

import msgpack

from bridge.bus.requests import ErrorName, Method
from bridge.exceptions import (
    DeadlineExceeded,
    InvalidRequest,
    NotAvailable,
    RequestError,
    RequestRefused,
    TerminalUnavailable,
    UnknownSymbol,
)

__all__ = [
    "MalformedReply",
    "RateLimited",
    "ReplayPage",
    "Reply",
    "TopicEntry",
    "error_from",
    "fields_of",
    "pack_request",
    "publish_endpoint",
    "read_replay",
    "read_reply",
    "read_snapshot",
]

_CLASSES: Final[dict[str, type[RequestError]]] = {
    ErrorName.INVALID_REQUEST: InvalidRequest,
    ErrorName.TERMINAL_UNAVAILABLE: TerminalUnavailable,
    ErrorName.UNKNOWN_SYMBOL: UnknownSymbol,
    ErrorName.DEADLINE_EXCEEDED: DeadlineExceeded,
    ErrorName.NOT_AVAILABLE: NotAvailable,
}
_VALID_FOR_MAX_MS: Final = 600_000
_ENDPOINT: Final = re.compile(
    r"tcp://(?P<host>\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9][A-Za-z0-9._-]*):(?P<port>[0-9]{1,5})"
)


class RateLimited(RequestRefused):
    """
    The relay asks for patience: ask again after ``retry_after_s``.
    """

    code = "TOO_MANY_REQUESTS"
    retry_after_s: float = 1.0


class MalformedReply(RequestRefused):
    """
    The relay's reply is not what the bus protocol says.
    """

    code = "MALFORMED_REPLY"


class Reply(NamedTuple):
    """
    A reply: exactly one of ``result`` and ``error`` is there.
    """

    id: int
    result: dict[str, Any] | None
    error: RequestError | None


class TopicEntry(NamedTuple):
    """
    What ``snapshot`` says of a topic; ``epoch`` ``None``: the relay knows nothing of it.
    """

    topic: str
    status: str
    epoch: int | None
    seq: int
    body: list[Any] | None
    oldest_seq: int | None
    error: RequestError | None


class ReplayPage(NamedTuple):
    """
    One page of a replay; ``next_seq`` ``None``: it was the last one.
    """

    bodies: list[list[Any]]
    missing: list[tuple[int, int]]
    next_seq: int | None


def pack_request(
    request_id: int,
    client_id: str,
    method: Method,
    params: dict[str, Any],
    *,
    terminal: str | None,
    timeout_s: float,
    client_order_id: str | None = None,
) -> bytes:
    """
    Return a request as the frame that is sent.

    The relay is told to give up a little before we do, because its answer names the hop
    that did not answer in turn.

    Raises:
        InvalidRequest: a parameter cannot be packed, as text with half a surrogate pair.
    """
    valid_for_ms = int((timeout_s - min(timeout_s * 0.1, 0.25)) * 1000)
    request: dict[str, Any] = {
        "id": request_id,
        "client_id": client_id,
        "method": str(method),
        "params": params,
        "valid_for_ms": min(max(valid_for_ms, 1), _VALID_FOR_MAX_MS),
    }
    if terminal is not None:
        request["terminal"] = terminal
    if client_order_id is not None:
        request["client_order_id"] = client_order_id
    try:
        frame: bytes = msgpack.packb(request)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidRequest(str(error)[:200], field="params") from None
    return frame


def read_reply(frame: bytes) -> Reply:
    """
    Return the reply in a frame.

    Raises:
        ValueError: it is not one, so there is nobody to give it to.
    """
    try:
        values = msgpack.unpackb(frame, raw=False, strict_map_key=True, max_ext_len=0)
    except RecursionError:
        raise ValueError("a reply that is nested too deep") from None
    if not isinstance(values, dict) or type(values.get("id")) is not int:
        raise ValueError("a reply is a map with an id")
    if values.get("ok") is True and isinstance(values.get("result"), dict):
        return Reply(values["id"], values["result"], None)
    if values.get("ok") is False and isinstance(values.get("error"), dict):
        return Reply(values["id"], None, error_from(values["error"]))
    return Reply(values["id"], None, MalformedReply("neither a result nor an error in the reply"))


def error_from(error: dict[str, Any]) -> RequestError:
    """
    Return the exception for the ``error`` of a reply.
    """
    code = _text(error.get("code")) or "ERROR"
    facts = {
        "code": code,
        "hop": _text(error.get("hop")) or "relay",
        "field": _text(error.get("field")),
        "hint": _text(error.get("hint")),
    }
    message = _text(error.get("message")) or "no message"
    if code == ErrorName.TOO_MANY_REQUESTS:
        limited = RateLimited(message, **facts)
        wait_ms = error.get("retry_after_ms")
        if isinstance(wait_ms, int | float) and 0 <= wait_ms <= _VALID_FOR_MAX_MS:
            limited.retry_after_s = wait_ms / 1000
        return limited
    return _CLASSES.get(code, RequestRefused)(message, **facts)


def fields_of(result: dict[str, Any], name: str) -> dict[str, Any]:
    """
    Return the map ``name`` of a result.

    Raises:
        MalformedReply: there is no such map.
    """
    value = result.get(name)
    if not isinstance(value, dict):
        raise MalformedReply("expected a map", field=name)
    return value


def read_snapshot(result: dict[str, Any]) -> list[TopicEntry]:
    """
    Return the entries of a snapshot.

    Raises:
        MalformedReply: it is not one.
    """
    entries = result.get("topics")
    if not isinstance(entries, list):
        raise MalformedReply("expected an array", field="topics")
    return [_entry(entry) for entry in entries]


def read_replay(result: dict[str, Any]) -> ReplayPage:
    """
    Return one page of a replay.

    Raises:
        MalformedReply: it is not one.
    """
    bodies, missing, next_seq = result.get("messages"), result.get("missing"), result.get("next")
    if not isinstance(bodies, list) or not all(isinstance(body, list) for body in bodies):
        raise MalformedReply("expected an array of arrays", field="messages")
    if not isinstance(missing, list) or not all(_is_range(part) for part in missing):
        raise MalformedReply("expected an array of [first, last]", field="missing")
    if next_seq is not None and type(next_seq) is not int:
        raise MalformedReply("expected a sequence number or null", field="next")
    return ReplayPage(bodies, [(part[0], part[1]) for part in missing], next_seq)


def publish_endpoint(request_endpoint: str, publish: str) -> str:
    """
    Return where to subscribe: the relay's publish port on the host the client was given.

    The relay tells the address it is bound to, which means nothing on another machine or
    behind a tunnel; only its port does.

    Raises:
        MalformedReply: ``publish`` is not a ``tcp://`` endpoint.
        InvalidRequest: ``request_endpoint`` is not one.
    """
    told = _ENDPOINT.fullmatch(publish)
    if told is None or not _is_port(told["port"]):
        raise MalformedReply(f"{publish[:80]!r} is not a tcp:// endpoint", field="publish")
    return f"tcp://{host_of(request_endpoint)}:{told['port']}"


def host_of(endpoint: str) -> str:
    """
    Return the host of an endpoint.

    Raises:
        InvalidRequest: it does not look like ``tcp://127.0.0.1:5556``.
    """
    given = _ENDPOINT.fullmatch(endpoint)
    if given is None or not _is_port(given["port"]):
        raise InvalidRequest(
            f"{endpoint[:80]!r} is not an endpoint",
            field="endpoint",
            hint="it looks like tcp://127.0.0.1:5556",
        )
    return given["host"]


def _is_port(text: str) -> bool:
    return 0 < int(text) < 65_536


def _entry(entry: Any) -> TopicEntry:
    if not isinstance(entry, dict) or not isinstance(entry.get("topic"), str):
        raise MalformedReply("an entry without its topic", field="topics")
    error, body, oldest = entry.get("error"), entry.get("body"), entry.get("oldest_seq")
    epoch, seq = entry.get("epoch"), entry.get("seq")
    if type(epoch) is not int or type(seq) is not int or epoch <= 0:
        epoch, seq, body = None, 0, None
    return TopicEntry(
        entry["topic"],
        _text(entry.get("status")),
        epoch,
        seq,
        body if isinstance(body, list) else None,
        oldest if type(oldest) is int else None,
        error_from(error) if isinstance(error, dict) else None,
    )


def _is_range(part: Any) -> bool:
    return (
        isinstance(part, list)
        and len(part) == 2
        and type(part[0]) is int
        and type(part[1]) is int
        and part[0] <= part[1]
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
