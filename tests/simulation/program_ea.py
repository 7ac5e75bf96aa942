"""The Expert Advisor's process, as a simulation of many parts needs it.

The caller decides how far the clock goes, and the program is told when the broker's rules change.
"""

from __future__ import annotations

import json
import socket
import struct
import subprocess
from typing import Any, Final

from tests.mql5.host import NEVER_US, EaProcess, ProgramFailed
from tests.mql5.link import Why
from tests.mql5.steady import holds

__all__ = ["Program"]

_WHY: Final = tuple(Why)
_WAIT: Final = struct.Struct("<qqB")
_HEAD: Final = struct.Struct("<iI")
_WITHIN: Final = struct.pack("ll", 30, 0)
_ENDS_WITHIN_S: Final = 10.0


class Program(EaProcess):
    """
    A process on the virtual clock. ``leap`` and ``hear`` move the clock, and nothing else does.
    """

    def start(self) -> None:
        """
        Start the process; it has run up to its first wait afterwards.
        """
        self._rules: Any = None
        self._told = 0
        super().start()
        # A timeout of Python's own costs a system call for every message.
        connection = self._link._socket
        connection.settimeout(None)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _WITHIN)

    def leap(self, now_us: int) -> None:
        """
        Let time pass at once, and the program do what is due then.
        """
        self.now_us = max(self.now_us, now_us)
        self._tell_rules()
        self._run_until(self.now_us)

    def hear(self, now_us: int) -> bool:
        """
        Let the broker work, and tell the program; return whether it was told anything.
        """
        self.now_us = max(self.now_us, now_us)
        return self._run_exchange()

    @property
    def waits_us(self) -> int:
        """
        Until when it waits.
        """
        return self.now_us if self._waits is None else self._waits[0]

    @property
    def idle(self) -> bool:
        """
        Whether it waits for its next event, and not in the middle of one.
        """
        return self._waits is not None and self._waits[1] is Why.IDLE

    @property
    def dies_at(self) -> str:
        """
        The place at which it kills itself.
        """
        return self._options.get("die_at", "")

    # --- inside ----------------------------------------------------------------------------

    def _receive(self) -> None:
        kind, body = self._link.receive()
        if kind == "Q":
            self._link.send("A", self._answered(body))
        elif kind == "W":
            _, until_us, why = _WAIT.unpack(body)
            self._waits = (min(NEVER_US, until_us + self._began_us), _WHY[why])
        else:
            self._note(json.loads(body.decode(errors="replace")))

    def _answered(self, question: bytes) -> bytes:
        call = question[0]
        answer = self.broker.answer(question)
        if call in self.broker.trade.answers:
            self._tell_transactions()
        mark = answer.blocked_ms
        if not (answer.error or mark):
            mark = holds(question, told=True)
        return _HEAD.pack(answer.error, mark) + answer.payload

    def _tell_rules(self) -> None:
        assert self.exchange is not None
        if self.exchange.rules is not self._rules:
            self._rules = self.exchange.rules
            self._told += 1
            self.set_option("told", self._told)

    def _ended(self) -> None:
        # Also when it has not said anything for long.
        try:
            self._process.wait(_ENDS_WITHIN_S)
        except subprocess.TimeoutExpired:
            raise ProgramFailed(self._story("it neither waits nor ends")) from None
        super()._ended()
