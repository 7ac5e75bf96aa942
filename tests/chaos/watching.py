"""Who looks on: what a subscriber sees of an outage, and when a killed relay serves again.

Bare sockets on the relay's own ports, no client and no proxy in between: what is measured is the
bridge.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import msgpack
import zmq

from bridge.bus.bodies import StatusEvent, read_status, read_tick
from bridge.bus.topics import exact, split_message
from bridge.model.tick import TickFlag
from tests.chaos.account import ALIAS

__all__ = ["Observer", "Prober", "Served"]

TICKS = f"tick/{ALIAS}/EURUSD"
STATUS = f"status/{ALIAS}"
_POLL_MS = 20
_RECONNECT_MS = 10
_RECONNECT_S = 5.0


class Observer:
    """
    A subscriber in a thread of its own: the newest tick, and every end of a link.

    Times are ``time.monotonic()``. A tick is fresh when it was made after a moment and was not
    read from the past.
    """

    def __init__(self, endpoint: str, offset_us: int) -> None:
        self._offset_s = offset_us / 1e6
        self._changed = threading.Condition()
        #: when the newest live tick was made, and when it came
        self._made = self._came = 0.0
        self.link_downs: list[float] = []
        self.ticks = 0
        self._stopping = False
        self._context = zmq.Context()
        self._endpoint = endpoint
        self._thread = threading.Thread(target=self._run, name="observer", daemon=True)
        self._thread.start()

    def wait_fresh(self, since: float, within_s: float) -> float | None:
        """
        Return when the first look showed a tick that was made after ``since``; ``None``: in
        time none came. The caller waits from ``since`` on, so it is the first one.
        """
        return self._wait(lambda: self._came if self._made > since else None, within_s)

    def wait_link_down(self, since: float, within_s: float) -> float | None:
        """
        Return when the relay said that the link to the terminal is down, after ``since``.
        """
        return self._wait(
            lambda: next((at for at in self.link_downs if at > since), None), within_s
        )

    def stop(self) -> None:
        self._stopping = True
        self._thread.join(10)
        self._context.destroy(0)

    def _wait(self, look: Any, within_s: float) -> float | None:
        until = time.monotonic() + within_s
        with self._changed:
            while (found := look()) is None:
                left = until - time.monotonic()
                if left <= 0:
                    return None
                self._changed.wait(left)
        result: float = found
        return result

    def _run(self) -> None:
        socket = self._context.socket(zmq.SUB)
        socket.linger = 0
        socket.reconnect_ivl = _RECONNECT_MS
        socket.reconnect_ivl_max = 0
        for topic in (TICKS, STATUS):
            socket.subscribe(exact(topic))
        socket.connect(self._endpoint)
        while not self._stopping:
            if not socket.poll(_POLL_MS):
                continue
            topic, body = split_message(socket.recv())
            now = time.monotonic()
            with self._changed:
                if topic == TICKS:
                    record = read_tick(body)
                    self.ticks += 1
                    if not record.flags & TickFlag.BACKLOG:
                        # The server's clock is UTC here.
                        self._made, self._came = record.time_msc / 1000 - self._offset_s, now
                elif read_status(body).event == StatusEvent.LINK_DOWN:
                    self.link_downs.append(now)
                self._changed.notify_all()
        socket.close()


class Served:
    """
    When a relay that was killed answered again, and when it had its terminal for orders again.
    """

    def __init__(self, killed: float) -> None:
        self.killed = killed
        self.answered_s: float | None = None
        self.connected_s: float | None = None


class Prober:
    """
    Asks a relay that is coming back, in a thread for each kill, until it can trade.
    """

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._context = zmq.Context()
        self._serial = 0

    def start(self, within_s: float) -> tuple[Served, threading.Thread]:
        """
        Begin to ask: the relay was killed now.
        """
        served = Served(time.monotonic())
        thread = threading.Thread(target=self._probe, args=(served, within_s), daemon=True)
        thread.start()
        return served, thread

    def ready(self, within_s: float) -> bool:
        """
        Wait until the terminal is connected and takes orders; return whether it is.
        """
        served = Served(time.monotonic())
        self._probe(served, within_s)
        return served.connected_s is not None

    def is_busy(self) -> bool:
        """
        Return whether the terminal has announced that a call blocks it, or the relay is away.
        """
        socket = self._dial()
        result = None
        until = time.monotonic() + _RECONNECT_S
        while result is None and time.monotonic() < until:
            result = self._ask(socket)
        socket.close()
        return result is None or bool(result["terminals"][0].get("busy"))

    def close(self) -> None:
        self._context.destroy(0)

    def _probe(self, served: Served, within_s: float) -> None:
        socket = self._dial()
        until = served.killed + within_s
        try:
            while served.connected_s is None and time.monotonic() < until:
                result = self._ask(socket)
                now_s = time.monotonic() - served.killed
                if result is None:
                    continue
                if served.answered_s is None:
                    served.answered_s = now_s
                if _trades(result):
                    served.connected_s = now_s
                else:
                    threading.Event().wait(_POLL_MS / 1000)
        finally:
            socket.close()

    def _dial(self) -> Any:
        socket = self._context.socket(zmq.DEALER)
        socket.linger = 0
        socket.immediate = True
        socket.reconnect_ivl = _RECONNECT_MS
        socket.reconnect_ivl_max = 0
        socket.sndtimeo = _POLL_MS
        socket.connect(self._endpoint)
        return socket

    def _ask(self, socket: Any) -> dict[str, Any] | None:
        self._serial += 1
        request = {"id": self._serial, "method": "terminals", "params": {}}
        try:
            socket.send(msgpack.packb(request))
        except zmq.Again:
            return None
        while socket.poll(200):
            reply = msgpack.unpackb(socket.recv())
            if reply["id"] == request["id"]:
                return reply["result"] if reply["ok"] else None
        return None


def _trades(result: dict[str, Any]) -> bool:
    (terminal,) = result["terminals"]
    permissions = terminal.get("permissions") or {}
    return terminal["state"] == "connected" and bool(permissions.get("mql_trade_allowed"))
