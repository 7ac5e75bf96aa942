"""The relay without sockets, loop, threads, files, clock and chance: all of it that decides.

``app`` gives it the real ones and drives it; a simulation gives it others. What it is driven by:

* ``links.new_link()`` makes the protocol of a new connection of a terminal;
* ``router.receive`` takes a request's frames, ``receive_subscription`` what a subscriber sent;
* the journal's store delivers completions;
* after any of these, ``after_turn`` **must** be called: it takes up what they brought about;
* ``tick`` does what time brings about. It is a waste of time, but no harm, to call it before
  ``next_deadline``; it is called at least then, or orders and sessions wait.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from bridge.bus.requests import BUS_VERSION
from bridge.bus.topics import parse_topic
from bridge.config import Key, Settings
from bridge.journal import Journal
from bridge.logs import get_logger
from bridge.relay.clock import Clock
from bridge.relay.links import Links
from bridge.relay.order_commands import Moment
from bridge.relay.order_requests import OrderRequests
from bridge.relay.publisher import Publisher, PublishSocket
from bridge.relay.registry import Terminals
from bridge.relay.rings import RingBudget
from bridge.relay.router import RequestSocket, Router
from bridge.relay.streams import Checkpoint, StreamState
from bridge.relay.terminals import Terminal
from bridge.relay.trading import TerminalTrading
from bridge.wire.spec import CAPABILITIES, VERSION, Capability

__all__ = ["Endpoints", "RelayCore", "begin_epoch"]

log = get_logger(__name__)

#: The epochs that may be given to streams before the next checkpoint is on disk. Those of
#: streams that a killed relay could not write down must not be given to others.
_EPOCHS_AHEAD: Final = 10_000
_TAILS_EVERY_US: Final = 1_000_000
#: the journal forgets a part of what is old each time
_EXPIRE_EVERY_US: Final = 60_000_000


class Endpoints(NamedTuple):
    """
    Where the relay listens, free ports resolved.
    """

    terminal: str
    request: str
    publish: str
    control: str


def begin_epoch(saved: Checkpoint, utc_msc: int) -> tuple[int, Checkpoint]:
    """
    Return the epoch of a new relay, and the checkpoint that says so.

    The caller **must** have that on disk before anything is served: an epoch is never used twice.
    """
    epoch = max(saved.relay_epoch + 1, utc_msc // 1000)
    ahead = max(saved.epoch, epoch) + _EPOCHS_AHEAD
    return epoch, saved._replace(epoch=ahead, relay_epoch=epoch)


class RelayCore:
    """
    One relay's terminals, their trading, the publisher, the router and the links.

    ``saved`` and ``epoch``: the checkpoint of the relay before, and the epoch from
    ``begin_epoch``. ``save_checkpoint`` is handed a checkpoint when one is to be written; it must
    not wait for the disk. ``random_bytes``: a cryptographic source.
    """

    def __init__(
        self,
        settings: Settings,
        keys: Mapping[str, Key],
        journal: Journal,
        *,
        saved: Checkpoint,
        epoch: int,
        publish: PublishSocket,
        request: RequestSocket,
        clock: Clock,
        random_bytes: Callable[[int], bytes],
        program: str,
        save_checkpoint: Callable[[Checkpoint], None],
    ) -> None:
        self.settings = settings
        self.journal = journal
        self.epoch = epoch
        self.program = program
        #: set by whoever binds them
        self.endpoints: Endpoints | None = None
        self._clock = clock
        self._save_checkpoint = save_checkpoint
        self._started_us = clock.now_us()
        self._last_epoch = max(saved.epoch, epoch)
        self._next_tails_us = 0
        self._next_checkpoint_us = 0
        self._checkpoint_wanted = False
        self._next_expire_us = 0
        self._budget = RingBudget(settings.ticks.ring_bytes_total)
        self.publisher = Publisher(publish, epoch)
        self.tradings: dict[str, TerminalTrading] = {}
        self.terminals = self._make_terminals(keys, saved)
        capabilities = CAPABILITIES | Capability.TRADE | Capability.EVENTS
        problem = journal.healthy
        if problem is not None and not problem.writable:
            # HALT still has to pass; events could not be kept. A full disk passes: those that
            # are lost until then are asked for again.
            capabilities &= ~Capability.EVENTS
        self.links = Links(
            self.terminals,
            settings,
            epoch,
            program,
            int(capabilities),
            clock=clock,
            random_bytes=random_bytes,
        )
        self.orders = OrderRequests(journal, self.tradings)
        self.router = Router(
            request,
            self.terminals,
            self.publisher,
            settings,
            self.status,
            self.pong,
            self.orders,
            clock,
        )

    # --- time -------------------------------------------------------------------------------

    def tick(self) -> None:
        """
        Do what is due.
        """
        now = self._clock.now_us()
        self.links.tick(now)
        for terminal in self.terminals:
            terminal.asks.expire(now)
        self._poll_tradings()
        self.router.poll(now)
        if now >= self._next_expire_us:
            self._next_expire_us = now + _EXPIRE_EVERY_US
            self.journal.expire(self._clock.utc_msc())
        if now >= self._next_tails_us:
            self._next_tails_us = now + _TAILS_EVERY_US
            self.publisher.publish_tails(self._clock.utc_msc())
            for terminal in self.terminals:
                terminal.end_unused(now)
        if self._checkpoint_wanted or now >= self._next_checkpoint_us:
            self._checkpoint_wanted = False
            interval = self.settings.ticks.checkpoint_interval_s
            self._next_checkpoint_us = now + int(interval * 1_000_000)
            self._save_checkpoint(self.checkpoint())

    def after_turn(self) -> None:
        """
        Take up what was received, and what the journal delivered.
        """
        self._poll_tradings()
        self.router.poll(self._clock.now_us())

    def next_deadline(self) -> int:
        """
        Return the time before which ``tick`` does nothing, in microseconds, as things are now.

        One that has passed means at once. Anything received or delivered can make it earlier.
        """
        now = self._clock.now_us()
        if self._checkpoint_wanted:
            return now
        return min(
            self.links.next_deadline(),
            self.router.next_deadline(now),
            self._next_expire_us,
            self._next_tails_us,
            self._next_checkpoint_us,
            *(terminal.asks.next_deadline() for terminal in self.terminals),
            *(trading.next_deadline() for trading in self.tradings.values()),
        )

    def stop(self) -> None:
        """
        The relay ends: whoever waits for an order gets the reply that is true now.

        The links **must** have been logged out before, and ``checkpoint`` be written behind it.
        """
        self._poll_tradings()
        for trading in self.tradings.values():
            trading.orders.stop()
        self.publisher.publish_tails(self._clock.utc_msc())

    # --- what the parts need ----------------------------------------------------------------

    def receive_subscription(self, frame: bytes) -> None:
        """
        Take what a subscriber sent: 1 or 0, and the topic.
        """
        self.publisher.receive(frame, self)

    def subscribed(self, topic: bytes) -> None:
        """
        The first subscriber of a topic: an exact tick topic starts its stream.
        """
        symbol = self._symbol_of(topic)
        if symbol is not None:
            symbol[0].subscribe(symbol[1])

    def unsubscribed(self, topic: bytes) -> None:
        """
        The last subscriber of a topic left.
        """
        symbol = self._symbol_of(topic)
        if symbol is not None:
            symbol[0].unsubscribe(symbol[1], self._clock.now_us())

    def checkpoint(self, *, last: bool = False) -> Checkpoint:
        """
        Return what has to survive this relay; the ``last`` one of its life keeps no epochs back.
        """
        streams = [
            saved
            for terminal in self.terminals
            for stream in terminal.streams.values()
            if stream.state is not StreamState.FAILED and (saved := stream.save()) is not None
        ]
        epochs_ahead = 0 if last else _EPOCHS_AHEAD
        used = self._last_epoch + epochs_ahead
        return Checkpoint(used, self._clock.utc_msc(), streams, self.epoch)

    # --- what it tells ----------------------------------------------------------------------

    def pong(self) -> dict[str, Any]:
        """
        Return the result of ``ping``.
        """
        return {
            "version": VERSION,
            "bus_version": BUS_VERSION,
            "program": self.program,
            "time_utc_msc": self._clock.utc_msc(),
            "relay_epoch": self.epoch,
            "publish": self.endpoints.publish if self.endpoints else "",
        }

    def status(self) -> dict[str, Any]:
        """
        Return the result of ``status``.
        """
        now = self._clock.now_us()
        streams = [
            {
                "topic": stream.topic,
                "state": stream.state.value,
                "epoch": stream.epoch,
                "seq": stream.newest,
                "ticks": stream.ticks,
                "oldest_seq": stream.ring.oldest,
                "subscribed": stream.subscribed,
                "error": "" if stream.error is None else stream.error.message,
            }
            for terminal in self.terminals
            for stream in terminal.streams.values()
        ]
        return {
            **self.pong(),
            "uptime_ms": (now - self._started_us) // 1000,
            "endpoints": self.endpoints._asdict() if self.endpoints else {},
            "data_dir": str(self.settings.relay.data_dir),
            "terminals": [terminal.describe() for terminal in self.terminals],
            "streams": streams,
            "published": self.publisher.published,
            "requests": self.router.requests,
            "request_errors": self.router.errors,
            "ring_bytes": self._budget.used,
            "refused_connections": self.links.refused,
            "trading": [
                {"alias": alias, **trading.orders.describe()}
                for alias, trading in self.tradings.items()
            ],
            "journal": self._journal_status(),
        }

    # --- inside -----------------------------------------------------------------------------

    def _journal_status(self) -> dict[str, Any]:
        problem = self.journal.healthy
        return {
            "healthy": problem is None,
            "problem": "" if problem is None else problem.problem,
            "hint": "" if problem is None else problem.hint,
            "path": str(self.settings.journal_file),
            "writes_pending": self.journal.pending,
        }

    def _make_terminals(self, keys: Mapping[str, Key], saved: Checkpoint) -> Terminals:
        now = self._clock.now_us()
        terminals = {
            alias: Terminal(
                alias,
                keys[alias],
                pins,
                self.settings,
                self.publisher,
                self._budget,
                self._mint_epoch,
                self._want_checkpoint,
                self._clock,
            )
            for alias, pins in self.settings.terminals.items()
        }
        for alias, owner in terminals.items():
            trading = TerminalTrading(
                alias,
                owner,
                self.settings.terminals[alias].trading,
                self.journal,
                self.publisher,
                self.epoch,
                self._moment,
            )
            owner.trading = self.tradings[alias] = trading
        for entry in self.journal.open_entries():
            if entry.alias not in terminals:
                log.error(
                    "open orders of a terminal that is not configured",
                    terminal=entry.alias,
                    id=entry.command_id,
                    hint="under this name again, it is asked what became of them",
                )
        for stream in saved.streams:
            terminal = terminals.get(stream.alias)
            if terminal is not None:
                terminal.restore(stream, now)
        return Terminals(terminals)

    def _mint_epoch(self) -> int:
        self._last_epoch = max(self._last_epoch + 1, self._clock.utc_msc() // 1000)
        self._checkpoint_wanted = True
        return self._last_epoch

    def _want_checkpoint(self) -> None:
        self._checkpoint_wanted = True

    def _moment(self) -> Moment:
        return Moment.of(self._clock)

    def _poll_tradings(self) -> None:
        now = self._moment()
        for trading in self.tradings.values():
            trading.poll(now)

    def _symbol_of(self, topic: bytes) -> tuple[Terminal, str] | None:
        if not topic.endswith(b"\0"):
            return None
        try:
            parsed = parse_topic(topic[:-1].decode())
        except UnicodeDecodeError:
            return None
        if parsed is None or parsed.kind != "tick":
            return None
        terminal = self.terminals.get(parsed.alias)
        return None if terminal is None else (terminal, parsed.symbol)
