"""An Expert Advisor on the virtual clock, its market, and a scripted relay that keeps what came."""

from __future__ import annotations

import collections
from contextlib import contextmanager

import msgpack

from bridge.model.record import Cursor, check_records, unpack_records
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.sim.market import Market
from bridge.wire.messages import (
    Gap,
    Heartbeat,
    Page,
    Request,
    Resume,
    Stream,
    Subscribe,
)
from bridge.wire.protocol import Ticks
from bridge.wire.spec import ErrorCode, PageKind
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import binary
from tests.mql5.scenarios.scripted import ScriptedRelay
from tests.mql5.scenarios.virtual import KEY
from tests.mql5.scenarios.world import ACCOUNT

__all__ = ["NO_DEADLINE", "SYMBOL", "T0", "MarketBench", "content", "market_bench", "tick"]

T0 = 1_546_383_600_000
SYMBOL = "EURUSD"
NO_DEADLINE = 2**62
WITHIN_S = 30.0


def tick(number, time_msc=None):
    return MqlTick(T0 + number if time_msc is None else time_msc, 1.0 + number / 1e5, 2.0)


def content(ticks):
    """
    Return what must arrive of ticks: a multiset without flags.
    """
    return collections.Counter(tuple(one[:5]) for one in ticks)


@contextmanager
def market_bench(folder):
    """
    Give a bench with a relay; at the end the program must not have crashed.
    """
    with ScriptedRelay(KEY, folder / "relay.sock") as relay:
        made = MarketBench(folder, relay)
        yield made
        if made.process is not None:
            if made.process.running:
                made.process.deinit()
            made.process.close()

            assert "" == made.process.crash


class MarketBench:
    """
    An Expert Advisor that can be restarted, its market, and a relay that keeps what came.
    """

    def __init__(self, folder, relay, *symbols):
        self.folder = folder
        self.relay = relay
        self.market = Market([spec_for(name) for name in symbols or (SYMBOL, "USDJPY")])
        self.process = None
        self.records = {}
        self.checkpoints = collections.defaultdict(list)
        #: everything but ticks and heartbeats, in its order
        self.said = []
        self.heartbeat = None
        self._by_id = {}
        self._expected = {}
        self._requested = {}
        self._last_id = 0
        self._last_epoch = 100

    @property
    def history(self):
        return self.market.history

    def append(self, *numbers, symbol=SYMBOL):
        for number in numbers:
            self.history.append(symbol, tick(number))

    # --- the program ---------------------------------------------------------------------

    def start(self, **inputs):
        self.process = EaProcess(
            binary("asan"),
            market=self.market,
            account=ACCOUNT,
            inputs={
                "InpAlias": "demo",
                "InpKey": KEY.hex(),
                "InpRelayPort": 5555,
                # Without the pump a second of the market costs a hundred turns, not a thousand.
                "InpPumpMs": 0,
                **inputs,
            },
            options={"unix_socket": self.relay.path},
            clock="virtual",
            folder=self.folder / "terminal",
            symbol=SYMBOL,
        )
        self.process.peers.append(self.relay)
        self.process.start()
        return self.log_on()

    def log_on(self):
        self.process.wait_for(lambda: self.relay.active, WITHIN_S)
        return self

    def stop(self):
        assert (0, "") == (self.process.deinit(), self.process.crash)
        self.process.close()

    def restart(self):
        self.stop()
        return self.start()

    def kill(self):
        """
        Kill the program without a word, and start it again.
        """
        self.process.kill()
        self.process.close()
        return self.start()

    def wait(self, seconds=0.0):
        self.process.advance(seconds * 1000 + 50)
        self.take()
        assert self.process.running, self.process.crash
        return self

    # --- what the relay says -----------------------------------------------------------------

    def ask(self, message, *fields):
        """
        Send a message whose first field is a new request id; return the id.
        """
        self._last_id += 1
        self.relay.send(message(self._last_id, *fields))
        return self._last_id

    def subscribe(self, symbol=SYMBOL, *, resume=True, overlap=0, max_age_s=86_400, kind=1):
        offered = None
        if resume and self.checkpoints[symbol]:
            epoch, seq, cursor = self.checkpoints[symbol][-1]
            offered = Resume(epoch, seq, cursor, max(1, seq + 1 - overlap))
        self._last_epoch += 1
        number = self.ask(Subscribe, kind, symbol, 0, self._last_epoch, max_age_s, offered)
        self._requested[number] = symbol
        return number

    def begin(self, symbol=SYMBOL, **options):
        """
        Subscribe; return the answer and the gap behind it.
        """
        number = self.subscribe(symbol, **options)
        answer = self.answer(Stream, number)
        self.process.settle()
        self.take()
        gaps = [one for one in self.of(Gap) if one.symbol_id == answer.symbol_id]
        return answer, gaps[0] if gaps else None

    def answer(self, kind, number):
        """
        Return the first message of a kind that answers a request, waiting for it.
        """

        def found():
            self.take()
            return [one for one in self.of(kind) if one.request_id == number]

        return self.process.wait_for(found, 200)[0]

    def value(self, method, **params):
        """
        Return the answer to a REQUEST, or its error code.
        """
        number = self.ask(Request, method, params, NO_DEADLINE)
        return self.pages(number)

    def pages(self, number):
        def last():
            self.take()
            return [one for one in self.of(Page) if one.request_id == number and one.last]

        end = self.process.wait_for(last, 100)[0]
        if end.code:
            return ErrorCode(end.code)
        pages = [one for one in self.of(Page) if one.request_id == number]
        assert list(range(len(pages))) == [page.page for page in pages]
        payload = b"".join(page.payload for page in pages)
        return msgpack.unpackb(payload) if end.kind == PageKind.MSGPACK else payload

    # --- what came -----------------------------------------------------------------------------

    def of(self, kind):
        return [one for one in self.said if isinstance(one, kind)]

    def take(self):
        """
        Keep what the relay received: every number once, every repetition the same.
        """
        events, self.relay.events[:] = list(self.relay.events), []
        for event in events:
            if isinstance(event, Ticks):
                for run in event.runs:
                    self._take_run(run)
            elif isinstance(event, Heartbeat):
                self.heartbeat = event
            else:
                self.said.append(event)
            if isinstance(event, Stream) and not event.code:
                symbol = self._requested[event.request_id]
                if self.checkpoints[symbol] and self.checkpoints[symbol][-1][0] != event.epoch:
                    self.checkpoints[symbol].clear()
                self._by_id[event.symbol_id] = symbol, event.epoch
                self._expected[event.symbol_id] = event.first_seq

    def _take_run(self, run):
        symbol, epoch = self._by_id[run.symbol_id]
        assert self._expected[run.symbol_id] == run.first_seq, "numbers are contiguous"
        self._expected[run.symbol_id] += run.length
        assert check_records(run.records, epoch, run.first_seq) is None
        known = self.records.setdefault(symbol, {})
        for record in unpack_records(run.records):
            same = known.setdefault((record.epoch, record.seq), record)
            assert same == record._replace(flags=same.flags), "sent again, it is the same"
        cursor = Cursor(
            int.from_bytes(run.cursor[:8], "little", signed=True),
            int.from_bytes(run.cursor[8:12], "little"),
            int.from_bytes(run.cursor[12:], "little"),
        )
        self.checkpoints[symbol].append((epoch, run.first_seq + run.length - 1, cursor))

    def received(self, symbol=SYMBOL, epoch=None):
        records = self.records.get(symbol, {})
        return [records[key] for key in sorted(records) if epoch in (None, key[0])]

    def content(self, symbol=SYMBOL, epoch=None):
        return collections.Counter(tuple(one[2:7]) for one in self.received(symbol, epoch))

    def numbers(self, symbol=SYMBOL):
        return [record.time_msc - T0 for record in self.received(symbol)]

    @property
    def all_ticks(self):
        return content(self.history.ticks_of(SYMBOL))
