"""
Whatever is lost, refused or restarted: what the relay holds is delivered once and in order,
the rest is in gaps, and nothing else is.
"""

from __future__ import annotations

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st

from bridge.client.core import TopicState, epoch_seq
from tests.support.relay_model import Refusal, RelayModel
from tests.support.wire_model import WireModel

TICKS = ("tick/demo/EURUSD", "tick/demo/EURUSD.r")
NAMES = (*TICKS, "status/demo")

topics = st.sampled_from(TICKS)
lost = st.booleans()
few = st.integers(1, 8)
STEPS = st.one_of(
    st.tuples(st.just("publish"), topics, lost),
    st.tuples(st.just("publish"), topics, st.just(False)),
    st.tuples(st.just("burst"), topics, few, lost),
    st.tuples(st.just("beat"), lost),
    st.tuples(st.just("advance"), st.floats(0.01, 4.0)),
    st.tuples(st.just("lose replies"), st.integers(1, 2)),
    st.tuples(st.just("refuse"), st.sampled_from(["TOO_MANY_REQUESTS", "INTERNAL"])),
    st.tuples(st.just("hold replies")),
    st.tuples(st.just("answer held")),
    st.tuples(st.just("pause")),
    st.tuples(st.just("resume")),
    st.tuples(st.just("restart")),
    st.tuples(st.just("refill")),
    st.tuples(st.just("again"), topics),
)


class Run:
    """
    One sequence of steps, and what must be true of it.
    """

    def __init__(self, ring, page, before, prefix, names=TICKS):
        self.relay = RelayModel(ring=ring, page=page)
        for name in names:
            for _ in range(before):
                self.relay.publish(name)
        self.start = {name: topic.seq for name, topic in self.relay.topics.items()}
        self.wire = WireModel(self.relay, *(["*"] if prefix else names))
        self.wire.join()
        self.wire.advance(1.1)  # topics of which the relay knows nothing are asked for twice
        self.again = None
        self.paused = False

    def do(self, step):
        name, *arguments = step
        getattr(self, f"_{name.replace(' ', '_')}")(*arguments)

    def _burst(self, name, count, is_lost):
        for _ in range(count):
            self._publish(name, is_lost)

    def _beat(self, is_lost):
        frame = self.relay.beat()
        if not (is_lost or self.paused):
            self.wire.deliver(frame)

    def _advance(self, seconds):
        self.wire.advance(seconds)

    def _lose_replies(self, count):
        self.wire.lose_replies = count

    def _refuse(self, code):
        self.wire.refusals = [Refusal(code, retry_after_ms=200)]

    def _hold_replies(self):
        self.wire.held_replies = self.wire.held_replies or []

    def _pause(self):
        self.paused = True
        self.wire.core.pause()

    def _resume(self):
        self.paused = False
        self.wire.core.resume(self.wire.now)
        self.wire.settle()

    def _restart(self):
        if self.again is None:
            self.again = self.relay.restart()

    def _epoch(self, name):
        self._refill()
        self.relay.begin_epoch(name)

    def _again(self, name):
        # A relay publishes again what it took twice, after a restart for instance.
        held = self.relay.topic(name).held
        for seq in list(held)[-3:]:
            self.wire.deliver(name.encode() + b"\0" + held[seq])

    def _publish(self, name, is_lost):
        self._refill()  # a terminal sends what is newer after what it sends again
        frame = self.relay.publish(name)
        if not (is_lost or self.paused):
            self.wire.deliver(frame)

    def _refill(self):
        if self.again is not None:
            self.relay.refill(self.again)
            self.again = None

    def _answer_held(self):
        held, self.wire.held_replies = self.wire.held_replies or [], None
        for ask in held:
            self.wire.answer(ask)
            self.wire.settle()

    def finish(self):
        """
        Nothing is lost any more, and there is time for everything.
        """
        self._refill()
        self._answer_held()
        self.wire.lose_replies = 0
        self._resume()
        for _ in range(40):
            self.wire.deliver(self.relay.beat())
            self.wire.advance(1.0)
        assert self.wire.error is None
        assert self.wire.joined

    def seen(self):
        """
        Return per topic what was delivered, and the ranges of the gaps.
        """
        delivered = defaultdict(list)
        gaps = defaultdict(list)
        open_gap = {}
        for info, body, gap in self.wire.items:
            if body is None:
                gaps[info.name].append(gap)
                open_gap[info.name] = gap
            else:
                delivered[info.name].append(epoch_seq(body))
                assert (info.name in open_gap) == (gap is not None)
                open_gap.pop(info.name, None)
        return delivered, gaps


@given(
    ring=st.sampled_from([1, 3, 10, 1_000]),
    page=st.sampled_from([1, 2, 1_000]),
    before=st.integers(0, 3),
    prefix=st.booleans(),
    steps=st.lists(STEPS, max_size=40),
)
def test_what_is_held_comes_once_and_in_order_and_the_rest_is_in_gaps(
    ring, page, before, prefix, steps
):
    run = Run(ring, page, before, prefix)
    for step in steps:
        run.do(step)
    run.finish()

    delivered, gaps = run.seen()
    for name in TICKS:
        topic = run.relay.topics.get(name)
        got = [seq for _, seq in delivered[name]]
        missing = [seq for gap in gaps[name] for seq in range(gap.first, gap.last + 1)]
        newest = 0 if topic is None else topic.seq
        held = set() if topic is None else set(topic.held)
        start = run.start.get(name, 0)
        # A prefix begins with the first message that it hears of, a topic with the newest.
        first = min([*got, *missing], default=newest + 1)

        assert sorted(set(got)) == got
        assert sorted([*got, *missing]) == list(range(first, newest + 1))
        assert set() == held & set(missing)
        # Of a topic nobody knew, what the ring has dropped before may never have been there.
        assert prefix or first <= max(start, 1) or (start == 0 and ring < 1_000)
    states = {t.info.name: t.state for t in run.wire.core.topics}
    assert set(states.values()) <= {TopicState.LIVE}


EPOCH_STEPS = st.one_of(
    STEPS,
    st.tuples(st.just("epoch"), topics),
    st.tuples(st.just("publish"), st.just("status/demo"), lost),
)


@given(
    ring=st.sampled_from([1, 3, 1_000]),
    steps=st.lists(EPOCH_STEPS, max_size=40),
)
def test_epochs_are_never_mixed_and_each_one_that_was_seen_is_closed_by_a_gap(ring, steps):
    run = Run(ring, 1_000, 2, prefix=False, names=NAMES)
    for step in steps:
        run.do(step)
    run.finish()

    delivered, gaps = run.seen()
    for name in NAMES:
        topic = run.relay.topic(name)
        seen = sorted({epoch for epoch, _ in delivered[name]})
        covered = {
            (gap.epoch, seq)
            for gap in gaps[name]
            for seq in range(gap.first, (gap.last or run.relay.ends[name, gap.epoch]) + 1)
        }
        held = {(topic.epoch, seq) for seq in topic.held}

        assert sorted(set(delivered[name])) == delivered[name]
        assert set() == covered & (held | set(delivered[name]))
        # Every epoch that was seen and is over ends with the gap without an end.
        closed = [gap.epoch for gap in gaps[name] if gap.last is None]
        newest = max(epoch for topic_name, epoch in run.relay.ends if topic_name == name)
        over = [epoch for epoch in seen if epoch < newest]
        # An epoch of which nothing was published yet may be known already.
        assert closed in (over, [epoch for epoch in seen if epoch < topic.epoch])
        # What follows the first message of the newest epoch is there or in a gap.
        rest = sorted(at for at in {*delivered[name], *covered} if at[0] == topic.epoch)
        assert [(topic.epoch, seq) for seq in range(topic.seq - len(rest) + 1, topic.seq + 1)] == (
            rest
        )
        # Nothing that is held and came after joining is left out.
        started = (7, 2)
        assert {at for at in held if at > started} <= {*delivered[name], *covered}
