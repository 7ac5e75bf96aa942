"""What a line leaves out: the values that the player gives to fields that a script does not name."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Final

from bridge.model.enums import TradeRetcode
from bridge.wire.spec import Capability, Evidence, OrderOutcome
from tests.conformance.ports import Peer
from tests.conformance.speech import Conversation, hello_nonce, tag_of

__all__ = ["Defaults"]

_SECOND: Final = 1_000_000
#: relay_epoch of a script that plays the relay, until it says another
_EPOCH: Final = 7
_INCARNATION: Final = bytes(range(16))
_OFFSET_MIN: Final = 120
_TERMINAL_HAS: Final = Capability.TICKS | Capability.TRADE | Capability.EVENTS
_RELAY_HAS: Final = Capability.TICKS | Capability.READS | Capability.TRADE | Capability.REFILL
_ALL_PERMISSIONS: Final = 31
_RETCODES: Final = {
    OrderOutcome.DONE: TradeRetcode.DONE,
    OrderOutcome.PARTIAL: TradeRetcode.DONE_PARTIAL,
    OrderOutcome.PLACED: TradeRetcode.PLACED,
    OrderOutcome.REJECTED: TradeRetcode.REJECT,
}

Values = dict[str, Any]


class Defaults:
    """
    One script's. What is not here is nil, zero or empty.
    """

    def __init__(self, peer: Peer, *, plays_relay: bool) -> None:
        self._peer = peer
        self._plays_relay = plays_relay
        self._nonces = itertools.count(1)
        self._counters = itertools.count(1)
        #: what the last CHALLENGE said: NEW and HALT carry it
        self._epoch = _EPOCH
        #: what the last HELLO said: RESULT carries it
        self._incarnation = _INCARNATION
        self._of: dict[str, Callable[[Conversation, Values], Values]] = {
            "HELLO": self._hello,
            "CHALLENGE": self._challenge,
            "WELCOME": self._welcome,
            "HEARTBEAT": self._heartbeat,
            "NEW": self._new,
            "HALT": self._halt,
            "QUERY": self._query,
            "SUBSCRIBE": self._subscribe,
            "REQUEST": self._read,
            "REFILL": self._read,
            "STREAM": self._stream,
            "TICKS": self._ticks,
            "PAGE": lambda _, __: {"last": True},
            "RESULT": self._result,
            "EVENT": self._event,
        }

    def of(self, message: str, talk: Conversation, given: Values) -> Values:
        """
        Return the values of fields that may be left out of a message.
        """
        make = self._of.get(message)
        return {} if make is None else make(talk, given)

    def said(self, message: str, given: Values) -> None:
        """
        A message was sent: later ones refer to it.
        """
        if message == "CHALLENGE":
            self._epoch = given.get("relay_epoch", self._epoch)
        elif message == "HELLO":
            self._incarnation = given.get("incarnation", _INCARNATION)

    # --- of a terminal ------------------------------------------------------------------------

    def _hello(self, _: Conversation, __: Values) -> Values:
        return {
            "version_min": 1,
            "version_max": 1,
            "capabilities": int(_TERMINAL_HAS),
            "key_id": "demo",
            "login": 1001,
            "server": "Demo-Server",
            "company": "Company",
            "currency": "USD",
            "leverage": 100,
            "role": 3,
            "margin_mode": 2,
            "build": 5000,
            "program": "script",
            "incarnation": _INCARNATION,
            "connection_counter": next(self._counters),
            "nonce": hello_nonce(next(self._nonces)),
        }

    def _result(self, _: Conversation, given: Values) -> Values:
        retcode = _RETCODES.get(given.get("outcome", 0), 0)
        return {
            "incarnation": self._incarnation,
            "evidence": int(Evidence.TRADE_SERVER) if retcode else 0,
            "retcode": int(retcode),
            "utc_offset_min": _OFFSET_MIN,
        }

    def _event(self, _: Conversation, given: Values) -> Values:
        return {"time_msc": given.get("cursor_time_msc", 0), "utc_offset_min": _OFFSET_MIN}

    def _stream(self, _: Conversation, __: Values) -> Values:
        return {"epoch": 100, "first_seq": 1, "digits": 5, "point": 0.00001}

    def _ticks(self, _: Conversation, __: Values) -> Values:
        time_msc = self._peer.server_msc
        return {"first_seq": 1, "time_msc": time_msc, "flags": 6, "utc_offset_min": _OFFSET_MIN}

    # --- of a relay ---------------------------------------------------------------------------

    def _challenge(self, _: Conversation, __: Values) -> Values:
        return {
            "version": 1,
            "capabilities": int(_RELAY_HAS),
            "relay_epoch": self._epoch,
            "nonce": hello_nonce(next(self._nonces)),
        }

    def _welcome(self, _: Conversation, __: Values) -> Values:
        return {
            "alias": "demo",
            "program": "script",
            "heartbeat_interval_ms": 1000,
            "silence_limit_ms": 4000,
            "time_us": self._peer.now_us,
            "time_utc_msc": self._peer.utc_msc,
        }

    def _new(self, talk: Conversation, given: Values) -> Values:
        now = self._peer.now_us
        name = given.get("command_id", "")
        return {
            "tag": tag_of(name) if isinstance(name, str) else "",
            "sent_us": now,
            "deadline_us": now + 5 * _SECOND,
            "relay_epoch": self._epoch,
            "incarnation": talk.hello.get("incarnation", _INCARNATION),
            "login": talk.hello.get("login", 0),
        }

    def _halt(self, _: Conversation, __: Values) -> Values:
        return {"relay_epoch": self._epoch, "reason": "the script says so"}

    def _query(self, _: Conversation, __: Values) -> Values:
        return {"settle_ms": 6000, "sent_us": self._peer.now_us}

    def _subscribe(self, _: Conversation, __: Values) -> Values:
        return {"kind": 1, "fresh_epoch": 100, "resume_max_age_s": 86_400}

    def _read(self, _: Conversation, __: Values) -> Values:
        return {"deadline_us": self._peer.now_us + 5 * _SECOND, "max_ticks": 1000}

    # --- of both ------------------------------------------------------------------------------

    def _heartbeat(self, talk: Conversation, _: Values) -> Values:
        now = self._peer.now_us
        state = None
        if not self._plays_relay:
            state = [
                _ALL_PERMISSIONS,
                0,
                10_000,
                0,
                self._peer.server_msc,
                _OFFSET_MIN,
                20_000,
                0,
                0,
            ]
        return {
            "time_us": now,
            "echo_time_us": talk.peer_time_us,
            "echo_delay_us": now - talk.peer_time_at_us if talk.peer_time_us else 0,
            "state": state,
        }
