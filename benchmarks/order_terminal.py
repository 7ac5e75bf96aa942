"""A terminal that executes every order at once: what is left is what the relay takes.

It speaks the wire protocol with the project's own session, has no ledger, no broker and no
ticks, and answers each NEW with a RESULT in the same turn. It ends when stdin does.
"""

from __future__ import annotations

import argparse
import json
import secrets
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Final

from bridge.wire.messages import Hello, Message, New, Query, Result, TerminalState
from bridge.wire.protocol import LoggedOn, TerminalSession
from bridge.wire.spec import (
    CAPABILITIES,
    VERSION,
    VERSION_MIN,
    Capability,
    Evidence,
    OrderOutcome,
    Permission,
    Role,
    TradingState,
)

__all__ = ["main"]

_INCARNATION: Final = bytes(range(16))
_LOGIN: Final = 2002
_PERMISSIONS: Final = sum(int(flag) for flag in Permission)
_READ_MAX: Final = 65_536
_DONE: Final = 10_009


def say(**fields: object) -> None:
    """
    Answer with one JSON document on a line of its own.
    """
    print(json.dumps(fields), flush=True)


class OrderTerminal:
    """
    One session, until the relay ends it.
    """

    def __init__(self, key: bytes, alias: str, port: int) -> None:
        self._deals = 0
        self._session = TerminalSession(key, _hello(alias), _now_us())
        self._session.terminal_state = TerminalState(
            _PERMISSIONS, int(TradingState.ACTIVE), 0, 0, time.time_ns() // 1_000_000, 0, 0, 0, 0
        )
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._socket, selectors.EVENT_READ)
        self._selector.register(sys.stdin, selectors.EVENT_READ)

    def run(self) -> None:
        """
        Answer until stdin ends.
        """
        session = self._session
        while True:
            self._flush()
            wait_s = max(session.next_deadline() - _now_us(), 0) / 1e6
            for key, _ in self._selector.select(min(wait_s, 1.0)):
                if key.fileobj is not self._socket:
                    return
                data = self._socket.recv(_READ_MAX)
                if not data:
                    raise SystemExit("the relay ended the session")
                session.receive_data(data, _now_us())
                for event in session.events_received():
                    if isinstance(event, LoggedOn):
                        say(event="ready")
                    elif isinstance(event, Message):
                        self._answer(event)
            session.handle_timer(_now_us())

    def _answer(self, message: Message) -> None:
        if isinstance(message, New):
            self._deals += 1
            self._session.send(_executed(message, self._deals))
        elif isinstance(message, Query):
            raise SystemExit(f"the relay asks for {message.command_ids}: an answer was late")

    def _flush(self) -> None:
        while data := self._session.data_to_send():
            self._socket.sendall(data)


def _executed(new: New, number: int) -> Result:
    volume = new.request.volume or 0.0
    return Result(
        new.command_id,
        int(OrderOutcome.DONE),
        _INCARNATION,
        False,
        int(Evidence.TRADE_SERVER),
        _DONE,
        0,
        number,
        number,
        number,
        volume,
        1.1,
        1.1,
        1.1,
        "Request executed",
        number,
        time.time_ns() // 1_000_000,
        0,
        0,
        "",
        (number,),
        0,
    )


def _hello(alias: str) -> Hello:
    return Hello(
        VERSION_MIN,
        VERSION,
        # No reads: what is asked of positions behind each order is not a part of the order.
        int((CAPABILITIES | Capability.TRADE) & ~Capability.READS),
        alias,
        _LOGIN,
        "Bench",
        "Bench",
        "EUR",
        100,
        int(Role.BOTH),
        2,
        0,
        5000,
        "order terminal",
        _INCARNATION,
        1,
        0,
        secrets.token_bytes(32),
    )


def _now_us() -> int:
    return time.monotonic_ns() // 1000


def main() -> None:
    """
    Log on and answer.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--alias", required=True)
    parser.add_argument("--key-file", type=Path, required=True)
    options = parser.parse_args()
    key = bytes.fromhex(options.key_file.read_text("ascii").strip())
    OrderTerminal(key, options.alias, options.port).run()


if __name__ == "__main__":
    main()
