"""The network: TCP between terminal and relay, ZeroMQ between clients and relay.

TCP is bytes in order that come late, in pieces of any size, and stop at any byte. ZeroMQ is
whole frames in order; what is under way when a connection ends is lost, in both directions,
and nothing ever comes twice.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

from tests.simulation.loop import MS, SECOND, Loop

__all__ = ["BusLine", "Ear", "Mouth", "Wire"]


class Ear(Protocol):
    """
    The relay's end of a TCP connection: ``bridge.relay.links.Link``.
    """

    def connection_made(self, transport: Any) -> None:
        """
        The connection is there.
        """

    def get_buffer(self, sizehint: int) -> bytearray:
        """
        Return where to put what came.
        """

    def buffer_updated(self, nbytes: int) -> None:
        """
        So many bytes were put there.
        """

    def connection_lost(self, exc: Exception | None) -> None:
        """
        The connection is gone.
        """

    def resume_writing(self) -> None:
        """
        There is room again.
        """


class Mouth(Protocol):
    """
    The terminal's end: its host.
    """

    def arrived(self, wire: Wire, data: bytes) -> None:
        """
        Bytes wait in the socket; none: the connection ended.
        """


class Wire:
    """
    One TCP connection. It is also the transport that asyncio would give the relay.

    ``relay_turn`` is called behind everything that the relay's end was told.
    """

    def __init__(
        self,
        loop: Loop,
        rng: random.Random,
        ear: Ear,
        mouth: Mouth,
        relay_turn: Callable[[], None],
        latency_us: int,
    ) -> None:
        self.up = True
        #: until when nothing passes, as if the line were dead
        self.stalled_until = 0
        self._loop = loop
        self._rng = rng
        self._ear = ear
        self._mouth = mouth
        self._relay_turn = relay_turn
        self._latency_us = latency_us
        self._ear_up = True
        self._ear_closing = False
        self._mouth_up = True
        #: when the last piece arrives, at the relay and at the terminal
        self._at_relay = self._at_terminal = loop.now + latency_us
        self._waiting_bytes = 0
        #: what was written in this moment, by direction: one read takes it all
        self._joined: dict[str, tuple[int, list[bytes]]] = {}
        #: bytes that may still pass before the connection ends, by direction
        self._budgets: dict[str, int] = {}
        loop.at(self._at_relay, self._made)

    # --- the terminal's end ----------------------------------------------------------------

    def send(self, data: bytes) -> bool:
        """
        Send to the relay; ``False``: the connection is known to be gone.
        """
        if not self._mouth_up:
            return False
        if not self.up:
            return True  # into the void: nobody has told us yet
        data, cut = self._measured("up", data)
        self._at_relay = self._pieces("up", data, self._at_relay)
        if cut:
            self.cut()
        return True

    def hang_up(self) -> None:
        """
        The terminal closes its end, or is gone: the relay sees the end behind the data.
        """
        self._mouth_up = False
        if self.up:
            self.up = False
            self._loop.at(self._arrival(self._at_relay), self._lost_at_relay)

    # --- the relay's end, as asyncio's transport ------------------------------------------------

    def write(self, data: bytes) -> None:
        if not self.up or self._ear_closing:
            return
        data, cut = self._measured("down", data)
        if self.stalled_until > self._loop.now:
            self._waiting_bytes += len(data)
        self._at_terminal = self._pieces("down", data, self._at_terminal)
        if cut:
            self.cut()

    def close(self) -> None:
        if not self._ear_closing:
            self._ear_closing = True
            if self.up:
                self._at_terminal = self._arrival(self._at_terminal)
                self._loop.at(self._at_terminal, self._lost_at_terminal)
            self.up = False
            self._loop.at(self._loop.now, self._lost_at_relay)

    def abort(self) -> None:
        if self.up:
            self.up = False
            self._loop.at(self._arrival(self._at_terminal), self._lost_at_terminal)
        self._ear_closing = True
        self._loop.at(self._loop.now, self._lost_at_relay)

    def is_closing(self) -> bool:
        return self._ear_closing

    def get_write_buffer_size(self) -> int:
        return self._waiting_bytes

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """
        Nothing: the relay looks at the size.
        """

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def relay_gone(self) -> None:
        """
        The relay's process is no more: its end is told nothing, the terminal sees a reset.
        """
        self._ear_up = False
        self.abort()

    # --- faults ----------------------------------------------------------------------------------

    def cut(self) -> None:
        """
        End the connection for both: what is under way may or may not arrive.
        """
        if not self.up:
            return
        self.up = False
        reset = self._rng.random() < 0.5
        for last, call in (
            (self._at_relay, self._lost_at_relay),
            (self._at_terminal, self._lost_at_terminal),
        ):
            when = self._loop.now + self._rng.randint(0, 2 * MS)
            self._loop.at(when if reset else max(when, last), call)

    def cut_after(self, direction: str, size: int) -> None:
        """
        End it when so many more bytes went ``up`` to the relay or ``down`` to the terminal.
        """
        self._budgets[direction] = size

    def stall(self, duration_us: int, *, dead: bool) -> None:
        """
        Let nothing pass for a while; ``dead``: nor ever again, and nobody is told.
        """
        self.stalled_until = self._loop.now + duration_us
        if dead:
            self.up = False
            self._loop.at(self.stalled_until, self._lost_at_relay)
            self._loop.at(self.stalled_until, self._lost_at_terminal)
        else:
            self._loop.at(self.stalled_until, self._passes_again)

    # --- inside ------------------------------------------------------------------------------------

    def _made(self) -> None:
        if self._ear_up:
            self._ear.connection_made(self)
            self._relay_turn()

    def _measured(self, direction: str, data: bytes) -> tuple[bytes, bool]:
        left = self._budgets.get(direction)
        if left is None:
            return data, False
        if len(data) < left:
            self._budgets[direction] = left - len(data)
            return data, False
        return data[:left], True

    def _arrival(self, last_us: int) -> int:
        now = self._loop.now
        jitter = self._rng.random()
        delay = int(self._latency_us * (0.5 + jitter))
        if jitter > 0.99:
            delay += self._rng.randint(5 * MS, 80 * MS)
        return max(last_us, max(now, self.stalled_until) + delay)

    def _pieces(self, direction: str, data: bytes, last_us: int) -> int:
        if not data:
            return last_us
        written_us, joined = self._joined.get(direction, (-1, []))
        if written_us == self._loop.now and joined:
            joined.append(data)
            return last_us
        when = self._arrival(last_us)
        if self._rng.random() < 0.05 and len(data) > 1:
            at = self._rng.randrange(1, len(data))
            self._loop.at(when, self._deliver, direction, [data[:at]])
            when, data = self._arrival(when), data[at:]
        joined = [data]
        self._joined[direction] = (self._loop.now, joined)
        self._loop.at(when, self._deliver, direction, joined)
        return when

    def _deliver(self, direction: str, joined: list[bytes]) -> None:
        data = b"".join(joined)
        joined.clear()
        if direction == "up":
            self._to_relay(data)
        else:
            self._to_terminal(data)

    def _to_relay(self, data: bytes) -> None:
        if not self._ear_up or self._ear_closing:
            return
        view = memoryview(data)
        while view and self._ear_up:
            buffer = self._ear.get_buffer(-1)
            size = min(len(buffer), len(view))
            buffer[:size] = view[:size]
            self._ear.buffer_updated(size)
            view = view[size:]
        self._relay_turn()

    def _to_terminal(self, data: bytes) -> None:
        if self._mouth_up:
            self._mouth.arrived(self, data)

    def _lost_at_relay(self) -> None:
        if self._ear_up:
            self._ear_up = False
            self._ear_closing = True
            self._ear.connection_lost(None)
            self._relay_turn()

    def _lost_at_terminal(self) -> None:
        if self._mouth_up:
            self._mouth_up = False
            self._mouth.arrived(self, b"")

    def _passes_again(self) -> None:
        self._waiting_bytes = 0
        if self._ear_up and not self._ear_closing:
            self._ear.resume_writing()


class Router(Protocol):
    """
    The relay's side of the bus.
    """

    def take(self, line: BusLine, identity: bytes, frame: bytes) -> None:
        """
        A frame came from a client.
        """


class BusLine:
    """
    A client's DEALER and the way to the relay's ROUTER: connected, or trying to be.

    ``heard(frame)`` takes a reply, ``ready()`` is called when frames can be sent again.
    """

    def __init__(
        self,
        loop: Loop,
        rng: random.Random,
        heard: Callable[[bytes], None],
        ready: Callable[[], None],
        latency_us: int,
    ) -> None:
        self.connected = False
        self.identity = b""
        #: no frame is late without a reason any more
        self.calm = False
        self._loop = loop
        self._rng = rng
        self._heard = heard
        self._ready = ready
        self._latency_us = latency_us
        self._router: Router | None = None
        self._generation = 0
        self._at_relay = self._at_client = 0

    def connect(self, router: Router, identity: bytes) -> None:
        """
        A connection is there; the router knows it by this identity.
        """
        self._generation += 1
        self.connected = True
        self.identity = identity
        self._router = router
        self._at_relay = self._at_client = self._loop.now
        self._ready()

    def cut(self) -> None:
        """
        The connection is gone, and all that is under way on it.
        """
        self.connected = False
        self._generation += 1
        self._router = None

    def take(self, frame: bytes) -> bool:
        """
        Send a frame, as a DEALER with ZMQ_IMMEDIATE: ``False`` without a connection.
        """
        if not self.connected:
            return False
        self._at_relay = self._arrival(self._at_relay)
        self._loop.at(self._at_relay, self._to_relay, frame, self._generation)
        return True

    def reply(self, frame: bytes) -> None:
        """
        Send a frame to the client.
        """
        self._at_client = self._arrival(self._at_client)
        self._loop.at(self._at_client, self._to_client, frame, self._generation)

    def _arrival(self, last_us: int) -> int:
        chance = self._rng.random()
        delay = int(self._latency_us * (0.5 + chance))
        if chance > 0.995 and not self.calm:
            # A process that is not scheduled, a collection of garbage, a full pipe.
            delay += self._rng.randint(20 * MS, 2 * SECOND)
        return max(last_us, self._loop.now + delay)

    def _to_relay(self, frame: bytes, generation: int) -> None:
        if generation == self._generation and self._router is not None:
            self._router.take(self, self.identity, frame)

    def _to_client(self, frame: bytes, generation: int) -> None:
        if generation == self._generation:
            self._heard(frame)
