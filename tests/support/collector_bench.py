"""A tick collector, a history to collect from, and a relay that keeps whatever it gets."""

from __future__ import annotations

import collections

from bridge.model.record import RECORD_SIZE, Cursor, check_records, unpack_records
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick, TickFlag
from bridge.sim.collector import FRAME_BODY_MAX, TickCollector
from bridge.sim.history import TickHistory
from bridge.wire.frame import RUN_HEADER
from bridge.wire.messages import Resume, Subscribe, pack_message
from bridge.wire.spec import RUN_HEADER_SIZE, StreamKind

__all__ = [
    "BACKLOG",
    "LATE",
    "SECOND_US",
    "SYMBOL",
    "T0",
    "CollectorBench",
    "NaiveRelay",
    "content",
    "tick",
]

T0 = 1_546_383_600_000
SECOND_US = 1_000_000
SYMBOL = "EURUSD"
LATE = int(TickFlag.LATE)
BACKLOG = int(TickFlag.BACKLOG)


def tick(number, time_msc=None):
    """
    Return a tick whose price tells its number.
    """
    return MqlTick(T0 + number if time_msc is None else time_msc, 1.0 + number / 1e5, 2.0)


def content(ticks):
    """
    Return what must arrive of ticks: a multiset without flags.
    """
    return collections.Counter(tuple(tick[:5]) for tick in ticks)


class NaiveRelay:
    """
    Keeps every record it ever got, and a checkpoint behind every run.
    """

    def __init__(self):
        self.records = {}  # symbol -> {(epoch, seq): fields without BACKLOG and offset}
        self.checkpoints = collections.defaultdict(list)  # symbol -> [(epoch, seq, cursor)]
        self.answers = []
        self.gaps = []
        self.fresh_epoch = 100
        self._by_id = {}
        self._expected = {}

    def subscribe(self, symbol=SYMBOL, *, resume=True, overlap=0, max_age_s=86_400):
        self.fresh_epoch += 1
        offered = None
        if resume and self.checkpoints[symbol]:
            epoch, seq, cursor = self.checkpoints[symbol][-1]
            offered = Resume(epoch, seq, cursor, max(1, seq + 1 - overlap))
        return Subscribe(7, int(StreamKind.TICK), symbol, 0, self.fresh_epoch, max_age_s, offered)

    def begun(self, symbol, answer, gap):
        pack_message(answer)
        self.answers.append(answer)
        if gap is not None:
            pack_message(gap)
            assert (gap.symbol_id, gap.epoch, gap.first_seq) == (
                answer.symbol_id,
                answer.epoch,
                answer.first_seq,
            )
            self.gaps.append(gap)
        if self.checkpoints[symbol] and self.checkpoints[symbol][-1][0] != answer.epoch:
            # As the relay does: nothing of the new epoch is there to go on from yet.
            self.checkpoints[symbol].clear()
        self._by_id[answer.symbol_id] = symbol, answer.epoch
        self._expected[answer.symbol_id] = answer.first_seq

    def receive(self, body):
        """
        Take the body of a TICKS frame as the relay does, and return how many records it had.
        """
        assert len(body) <= FRAME_BODY_MAX
        at = count = 0
        while at < len(body):
            symbol_id, length, first_seq, _ = RUN_HEADER.unpack_from(body, at)
            begin = at + RUN_HEADER_SIZE
            cursor = Cursor(*_unpack_cursor(body[begin - 16 : begin]))
            at = begin + length * RECORD_SIZE
            symbol, epoch = self._by_id[symbol_id]
            assert self._expected[symbol_id] == first_seq, "numbers are contiguous"
            self._expected[symbol_id] += length
            records = bytes(body[begin:at])
            assert check_records(records, epoch, first_seq) is None
            known = self.records.setdefault(symbol, {})
            for record in unpack_records(records):
                fields = record._replace(flags=record.flags & ~BACKLOG, utc_offset_min=0)
                key = (record.epoch, record.seq)
                assert known.setdefault(key, fields) == fields, "sent again, it is the same"
            self.checkpoints[symbol].append((epoch, first_seq + length - 1, cursor))
            count += length
        return count

    def received(self, symbol=SYMBOL, epoch=None):
        records = self.records.get(symbol, {})
        return [records[key] for key in sorted(records) if epoch in (None, key[0])]

    def content(self, symbol=SYMBOL, epoch=None):
        return collections.Counter(tuple(record[2:7]) for record in self.received(symbol, epoch))


def _unpack_cursor(data):
    return (
        int.from_bytes(data[:8], "little", signed=True),
        int.from_bytes(data[8:12], "little"),
        int.from_bytes(data[12:], "little"),
    )


class CollectorBench:
    """
    A history, a collector that can be restarted, and the naive relay; a virtual clock.
    """

    def __init__(self, *symbols, ticks=(), seed=0, **options):
        self.symbols = symbols or (SYMBOL,)
        self.history = TickHistory(self.symbols, seed=seed)
        self.options = options
        self.now = 1_000
        self.relay = NaiveRelay()
        self.collector = self.new_collector()
        for new in ticks:
            self.history.append(SYMBOL, new)

    def new_collector(self):
        return TickCollector(
            self.history, {name: spec_for(name) for name in self.symbols}, **self.options
        )

    def restart(self):
        self.collector = self.new_collector()

    def begin(self, symbol=SYMBOL, **options):
        answer, gap = self.collector.begin(self.relay.subscribe(symbol, **options), self.now)
        if answer.code == 0:
            self.relay.begun(symbol, answer, gap)
        return answer, gap

    def append(self, *numbers):
        for number in numbers:
            self.history.append(SYMBOL, tick(number))

    def wait(self, seconds=0.0):
        self.now += int(seconds * SECOND_US) + 1_000

    def pump(self, *, rounds=None, deliver=True):
        """
        Poll and send until nothing moves any more, or so many rounds.
        """
        idle = 0
        while idle < 3 and rounds != 0:
            self.wait()
            before = self.collector.numbered
            self.collector.poll(self.now)
            body = self.collector.take(self.now)
            idle = idle + 1 if body is None and self.collector.numbered == before else 0
            while body is not None:
                if deliver:
                    self.relay.receive(body)
                body = self.collector.take(self.now)
            rounds = None if rounds is None else rounds - 1

    def settle(self, seconds=100):
        """
        Let the clock run, as long as anything may still be looked at again.
        """
        for _ in range(seconds):
            self.wait(1)
            self.pump()
