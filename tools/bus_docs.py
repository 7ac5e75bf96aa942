"""Write what docs/ has of the bus protocol from the code: tables, schemas, AsyncAPI.

``TABLES`` are the generated parts of ``docs/reference/bus-protocol.md``; ``tools/docs.py``
puts them between their markers. ``files`` are those below ``docs/reference/schema/``.

    python tools/bus_docs.py            write the schemas (make docs writes the tables too)
    python tools/bus_docs.py --check    only tell what differs; exit code 1 if anything does
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from bridge.bus.bodies import TAILS_PER_MESSAGE, StatusEvent
from bridge.bus.codec import DEPTH_MAX
from bridge.bus.requests import PARAMS, ControlMethod, ErrorName, Hop, Method, Request
from bridge.bus.topics import TOPIC_MAX
from bridge.config import Settings
from bridge.model.record import RECORD_SIZE
from bridge.model.tick import TickFlag
from bridge.wire.spec import BusyKind, GapReason, Permission
from tools.bus_examples import CONTROL, ERRORS, EXAMPLES, to_json
from tools.bus_order_docs import ORDER_TABLES, REQUEST_ONLY, SHARED_PARAMS, SHARED_RESULTS
from tools.bus_schema import BODIES, PARTS, RESULTS, asyncapi, schemas, symbol_rows
from tools.bus_tables import json_block, params_table, record_table, rows_table, table

__all__ = ["SCHEMA", "STATUS_DETAILS", "TABLES", "files", "main"]

SCHEMA: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "schema"

_ERROR_MEANINGS: Final = {
    ErrorName.INVALID_REQUEST: "the request is malformed; `field` names the field",
    ErrorName.UNKNOWN_METHOD: "this relay has no such method",
    ErrorName.UNKNOWN_TERMINAL: "no terminal of this alias is configured",
    ErrorName.TERMINAL_UNAVAILABLE: "the terminal is not connected to the relay; it comes back "
    "by itself",
    ErrorName.TERMINAL_ERROR: "the terminal answered with an error of its own",
    ErrorName.UNKNOWN_SYMBOL: "the terminal has no such symbol, or cannot select it",
    ErrorName.DEADLINE_EXCEEDED: "no answer within `valid_for_ms`",
    ErrorName.NOT_AVAILABLE: "not held any more, or not yet",
    ErrorName.TOO_MANY_REQUESTS: "a limit is reached; wait `retry_after_ms` if it is there",
    ErrorName.UNSUPPORTED: "the terminal cannot do this",
    ErrorName.NOT_ALLOWED: "the client may not do this",
    ErrorName.SHUTTING_DOWN: "the relay is stopping",
    ErrorName.INTERNAL: "a defect of the relay; its log has more",
}
_HOP_MEANINGS: Final = {
    Hop.CLIENT: "the request itself is wrong: sending it again changes nothing",
    Hop.RELAY: "the relay refused or failed",
    Hop.TERMINAL: "the terminal is away, refused or failed",
    Hop.TRADE_SERVER: "the trade server refused; in results of orders",
}

#: For each event what it means, and the keys of its details.
STATUS_DETAILS: Final[dict[StatusEvent, tuple[str, str]]] = {
    StatusEvent.LINK_UP: ("a session with the terminal began", "`login`, `server`"),
    StatusEvent.LINK_DOWN: (
        "the session ended; streams go on when it is back",
        "`code` (wire protocol, LogoutCode), `reason`",
    ),
    StatusEvent.LOGON_REFUSED: (
        "a logon for this terminal was refused (reserved: told in the relay's log so far)",
        "`code`, `reason`",
    ),
    StatusEvent.BUSY: (
        "the terminal may not answer for up to `limit_ms`",
        f"`kind` ({', '.join(k.name for k in BusyKind if k)}), `limit_ms`",
    ),
    StatusEvent.READY: ("it answers again", "none"),
    StatusEvent.PERMISSIONS: (
        "the permissions changed",
        ", ".join(f"`{str(flag.name).lower()}`" for flag in Permission),
    ),
    StatusEvent.UTC_OFFSET: (
        "the trade server's clock has another offset from UTC",
        "`utc_offset_min`",
    ),
    StatusEvent.STREAM_STARTED: (
        "a symbol streams; the terminal sends from `first_seq` on, what was published before is not again",
        "`symbol`, `epoch`, `first_seq`",
    ),
    StatusEvent.STREAM_STOPPED: (
        "nobody had listened for the linger time",
        "`symbol`, `epoch`, `seq`",
    ),
    StatusEvent.STREAM_FAILED: (
        "the terminal refused to stream a symbol",
        "`symbol`, `code` (an error code), `reason`",
    ),
    StatusEvent.GAP: (
        "ticks between two places will never be published",
        (
            "`symbol`, `reason` "
            f"({', '.join(reason.name for reason in GapReason)}, SKIPPED), `text`, `epoch`, "
            "`first_seq`; but for SKIPPED also `old_epoch`, `old_seq`, `old_time_msc`, `time_msc`"
        ),
    ),
}

_FLAG_MEANINGS: Final = {
    TickFlag.BID: "the bid changed",
    TickFlag.ASK: "the ask changed",
    TickFlag.LAST: "the last price changed",
    TickFlag.VOLUME: "the volume changed",
    TickFlag.BUY: "the last deal was a buy",
    TickFlag.SELL: "the last deal was a sell",
    TickFlag.BACKLOG: "read after an outage: true history, not a live price",
    TickFlag.LATE: "found in the terminal's history behind ticks sent before: out of order in time",
}


def _body_table(name: str) -> str:
    return table(
        ["#", "Element", "msgpack", "Meaning"],
        [
            [str(place), f"`{row.name}`", row.wire, row.meaning]
            for place, row in enumerate(BODIES[name].fields)
        ],
    )


def _method(method: Method) -> str:
    request, result = EXAMPLES[method]
    params = PARAMS[method].model_json_schema()
    parts = ["Parameters:"]
    if method in SHARED_PARAMS:
        parts[0] = SHARED_PARAMS[method]
    elif params.get("properties"):
        parts.append(params_table(params))
    else:
        parts[0] += " none."
    parts.append("Result:")
    if method in SHARED_RESULTS:
        parts[-1] = SHARED_RESULTS[method]
    elif RESULTS[method]:
        parts.append(rows_table(RESULTS[method]))
    else:
        parts[-1] = "Result: an empty map."
    reply = {"v": 1, "id": request["id"], "ok": True, "result": result}
    parts += ["Example:", json_block(to_json(request))]
    if method not in REQUEST_ONLY:
        parts.append(json_block(to_json(reply)))
    return "\n\n".join(parts)


def _errors() -> str:
    rows = [[f"`{name}`", _ERROR_MEANINGS[name]] for name in ErrorName]
    return table(["Code", "Meaning"], rows)


def _error_example() -> str:
    request, error = ERRORS[0]
    reply = {"v": 1, "id": request["id"], "ok": False, "error": error}
    return json_block(to_json(request)) + "\n\n" + json_block(to_json(reply))


def _control_example() -> str:
    request, result = CONTROL
    reply = {"v": 1, "id": request["id"], "ok": True, "result": result}
    return json_block(to_json(request)) + "\n\n" + json_block(to_json(reply))


def _limits() -> str:
    settings = Settings()
    limits, ticks = settings.limits, settings.ticks
    setting = "setting `{}`".format
    rows = [
        ["topic", f"{TOPIC_MAX} bytes of UTF-8", "it is no topic"],
        ["depth of a request", str(DEPTH_MAX), "INVALID_REQUEST"],
        [
            "size of a request",
            f"{limits.request_max_bytes:,} bytes; {setting('limits.request_max_bytes')}",
            "a larger frame: libzmq closes the connection, **there is no reply**",
        ],
        ["frames of a request", "7, the body included", "INVALID_REQUEST without an id"],
        ["topics in `snapshot`", "256", "INVALID_REQUEST"],
        ["`wait_ms` in `snapshot`", "60,000 ms", "INVALID_REQUEST"],
        ["symbols in a page", "1,000", "INVALID_REQUEST"],
        ["`valid_for_ms`", "1 to 600,000 ms, 5,000 when absent", "INVALID_REQUEST"],
        [
            "page of a replay",
            (
                f"{limits.replay_page_bytes:,} bytes, 1 MiB at most; "
                f"{setting('limits.replay_page_bytes')}"
            ),
            "`next` tells how to go on",
        ],
        [
            "replays of one connection",
            (
                f"{limits.replay_bytes_per_s_per_client:,} bytes/s; "
                f"{setting('limits.replay_bytes_per_s_per_client')}"
            ),
            "TOO_MANY_REQUESTS with `retry_after_ms`",
        ],
        [
            "requests waiting for one terminal",
            (
                f"{limits.pending_requests_per_terminal}; "
                f"{setting('limits.pending_requests_per_terminal')}"
            ),
            "TOO_MANY_REQUESTS",
        ],
        [
            "messages held for replay",
            (
                f"{ticks.ring_bytes_per_topic:,} bytes a tick topic "
                f"(at least {ticks.ring_bytes_per_topic // 4 // RECORD_SIZE:,} ticks), "
                f"{ticks.ring_bytes_total:,} bytes together; 256 messages a status topic"
            ),
            "the oldest are `missing` in a replay",
        ],
        [
            "messages waiting for one subscriber",
            f"{limits.send_hwm:,}; {setting('limits.send_hwm')}",
            "further ones are dropped for this subscriber: a gap",
        ],
        ["a subscription", "1,024 bytes", "libzmq closes the connection"],
        [
            "symbols streamed by one terminal",
            f"{ticks.max_streams_per_terminal:,}; {setting('ticks.max_streams_per_terminal')}",
            "the stream does not start",
        ],
        ["tails in a `relay` message", str(TAILS_PER_MESSAGE), "several messages"],
        [
            "a stream without subscribers",
            (
                f"{ticks.linger_after_last_subscriber_s:g} s; "
                f"{setting('ticks.linger_after_last_subscriber_s')}"
            ),
            "it stops; its messages are not held any more",
        ],
    ]
    return table(["What", "Limit", "Beyond it"], rows)


#: Every generated part of the page: the name in the markers, and what makes the text.
TABLES: Final[dict[str, Callable[[], str]]] = {
    "bus-envelope": lambda: params_table(Request.model_json_schema()),
    "bus-error": partial(rows_table, PARTS["error"]),
    "bus-errors": _errors,
    "bus-error-example": _error_example,
    "bus-hops": lambda: table(
        ["Hop", "Meaning"], [[f"`{hop}`", _HOP_MEANINGS[hop]] for hop in Hop]
    ),
    "bus-control-methods": lambda: ", ".join(f"`{method}`" for method in ControlMethod),
    "bus-control-example": _control_example,
    "bus-status-events": lambda: table(
        ["Event", "Meaning", "Keys of `details`"],
        [[f"`{event}`", *STATUS_DETAILS[event]] for event in StatusEvent],
    ),
    "bus-tick-flags": lambda: table(
        ["Bit", "Name", "Meaning"],
        [[str(int(flag)), f"`{flag.name}`", _FLAG_MEANINGS[flag]] for flag in TickFlag],
    ),
    "bus-limits": _limits,
    "bus-symbol": lambda: record_table(symbol_rows()),
    "bus-terminal": partial(rows_table, PARTS["terminal"]),
    "bus-topic-state": partial(rows_table, PARTS["topic-state"]),
    **ORDER_TABLES,
    **{f"bus-body-{name}": partial(_body_table, name) for name in BODIES},
    **{f"bus-method-{method}": partial(_method, method) for method in Method},
}


def files() -> dict[str, str]:
    """
    Return every file below ``docs/reference/schema/`` by its name.
    """
    documents = {**schemas(), "asyncapi.json": asyncapi()}
    return {
        name: json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        for name, document in documents.items()
    }


def main(arguments: list[str] | None = None) -> int:
    """
    Write or check every schema; return the exit code.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what differs")
    check = parser.parse_args(arguments).check
    wanted = files()
    there = {path.name for path in SCHEMA.glob("*.json")}
    stale = sorted(there - set(wanted))
    for name, text in wanted.items():
        path = SCHEMA / name
        if name not in there or path.read_text(encoding="utf-8") != text:
            stale.append(name)
            if not check:
                SCHEMA.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8", newline="\n")
    for name in stale:
        if not check and name not in wanted:
            (SCHEMA / name).unlink()
        print(f"{'stale' if check else 'written'}: docs/reference/schema/{name}")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
