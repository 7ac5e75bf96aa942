"""``bridge.client.core``: what one topic delivers, and when."""

from __future__ import annotations

import pytest

from bridge.client.core import (
    BEGAN_ANEW,
    NOT_HELD,
    Budget,
    Range,
    StreamStats,
    Topic,
    TopicInfo,
    TopicState,
    epoch_seq,
)
from bridge.model.tick import Gap
from tests.support.relay_model import tick_body

NAME = "tick/demo/EURUSD"
INFO = TopicInfo(NAME, "tick", "demo", "EURUSD")


class Heard:
    """
    A topic, and what it has delivered: ``(epoch, seq)`` of messages, gaps as they are.
    """

    def __init__(self, limit=100, budget=1_000_000, info=INFO):
        self.out = []
        self.stats = StreamStats()
        self.budget = Budget(budget)
        self.topic = Topic(info, self.out, self.stats, self.budget, limit)

    def live(self, *seqs, epoch=7):
        for seq in seqs:
            self.topic.receive(epoch, seq, tick_body(epoch, seq))

    def replay(self, *seqs, missing=(), complete=True, epoch=7):
        asked = self.topic.wanted()
        bodies = [tick_body(epoch, seq) for seq in seqs]
        return self.topic.take_replay(asked, bodies, missing, complete=complete)

    @property
    def delivered(self):
        return [epoch_seq(body)[1] for _, body, _ in self.out if body is not None]

    @property
    def gaps(self):
        return [gap for _, body, gap in self.out if body is None]

    @property
    def attached(self):
        return {epoch_seq(body)[1]: gap for _, body, gap in self.out if body is not None and gap}


@pytest.fixture
def heard():
    """
    Return a topic that was joined behind message 10.
    """
    joined = Heard()
    joined.topic.join(7, 10, None)
    return joined


def test_nothing_is_delivered_before_the_snapshot():
    heard = Heard()
    heard.live(5, 6)

    assert [] == heard.delivered
    assert heard.topic.state is TopicState.JOINING
    assert heard.topic.wanted() is None


def test_joining_delivers_the_snapshot_first_and_then_what_came_after_it():
    heard = Heard()
    heard.live(9, 10, 11, 12)
    heard.topic.join(7, 10, tick_body(7, 10))

    assert [10, 11, 12] == heard.delivered
    assert heard.topic.state is TopicState.LIVE
    assert 0 == heard.stats.duplicates


def test_what_is_due_is_delivered_and_what_was_delivered_is_dropped(heard):
    heard.live(11, 12, 12, 11, 10, 13)

    assert [11, 12, 13] == heard.delivered
    assert 3 == heard.stats.duplicates


def test_a_hole_holds_back_what_is_behind_it_and_names_exactly_what_is_missing(heard):
    heard.live(11, 14, 15, 18)

    assert [11] == heard.delivered
    assert heard.topic.state is TopicState.HEALING
    assert Range(7, 12, 13) == heard.topic.wanted()


def test_a_replay_closes_the_hole_and_the_next_one_is_asked_for(heard):
    heard.live(11, 14, 15, 18)
    progress = heard.replay(12, 13)

    assert progress
    assert [11, 12, 13, 14, 15] == heard.delivered
    assert Range(7, 16, 17) == heard.topic.wanted()
    assert 2 == heard.stats.replayed
    assert [] == heard.gaps


def test_a_page_is_followed_by_the_rest(heard):
    heard.live(20)
    heard.replay(11, 12, 13, complete=False)

    assert [11, 12, 13] == heard.delivered
    assert Range(7, 14, 19) == heard.topic.wanted()


def test_what_the_relay_does_not_hold_is_a_gap_before_what_follows(heard):
    heard.live(20)
    heard.replay(15, 16, missing=[(11, 14)])
    heard.replay(missing=[(17, 19)])

    assert [15, 16, 20] == heard.delivered
    first, second = Gap(NAME, 7, 11, 14, NOT_HELD), Gap(NAME, 7, 17, 19, NOT_HELD)
    assert [first, second] == heard.gaps
    assert {15: first, 20: second} == heard.attached
    assert 7 == heard.stats.missing


def test_a_gap_never_names_what_came_live_meanwhile(heard):
    heard.live(20)
    asked = heard.topic.wanted()
    heard.live(13)
    heard.topic.take_replay(asked, [], [(11, 19)], complete=True)

    assert [13, 20] == heard.delivered
    assert [(11, 12), (14, 19)] == [(gap.first, gap.last) for gap in heard.gaps]


def test_neighbouring_gaps_are_told_as_one_on_the_message(heard):
    heard.live(20)
    heard.replay(missing=[(11, 14)], complete=False)
    heard.replay(missing=[(15, 19)])

    assert {20: Gap(NAME, 7, 11, 19, NOT_HELD)} == heard.attached
    assert 2 == len(heard.gaps)


def test_a_replay_that_says_nothing_settles_nothing(heard):
    heard.live(13)

    assert not heard.replay()
    assert Range(7, 11, 12) == heard.topic.wanted()


def test_what_the_relay_leaves_out_without_a_word_is_asked_for_again(heard):
    heard.live(20)
    heard.replay(11, 12, 15, 16)

    assert [11, 12] == heard.delivered
    assert Range(7, 13, 14) == heard.topic.wanted()


def test_giving_up_reports_what_is_missing_and_goes_on(heard):
    heard.live(13, 14)
    heard.topic.give_up(heard.topic.wanted(), "no answer")

    assert [13, 14] == heard.delivered
    assert [Gap(NAME, 7, 11, 12, "no answer")] == heard.gaps
    assert heard.topic.state is TopicState.LIVE


def test_a_replay_of_something_else_by_now_changes_nothing(heard):
    heard.live(13)
    asked = heard.topic.wanted()
    heard.live(11, 12)

    assert [11, 12, 13] == heard.delivered
    assert heard.topic.take_replay(asked, [tick_body(7, 11)], [], complete=True) is False
    assert heard.topic.take_replay(Range(6, 1, 5), [], [(1, 5)], complete=True)
    heard.topic.give_up(Range(6, 1, 5), "late")
    assert [11, 12, 13] == heard.delivered
    assert [] == heard.gaps


def test_a_malformed_body_in_a_replay_is_left_out(heard):
    heard.live(13)
    asked = heard.topic.wanted()
    bodies = [b"", ["x", 1], [7], tick_body(7, 11), list(range(9))]
    heard.topic.take_replay(asked, bodies, [], complete=True)

    assert [11] == heard.delivered
    assert 3 == heard.stats.malformed


def test_a_tail_shows_what_was_lost_last(heard):
    heard.live(11)
    heard.topic.hear_tail(7, 11)
    assert heard.topic.state is TopicState.LIVE
    heard.topic.hear_tail(7, 13)

    assert Range(7, 12, 13) == heard.topic.wanted()


def test_a_tail_of_an_older_epoch_or_while_joining_is_nothing(heard):
    heard.topic.hear_tail(6, 99)
    joining = Heard()
    joining.topic.hear_tail(7, 99)

    assert heard.topic.wanted() is None
    assert joining.topic.wanted() is None


def test_when_too_much_waits_the_newest_is_put_back_and_replayed():
    heard = Heard(limit=2)
    heard.topic.join(7, 10, None)
    heard.live(12, 13, 14, 15)
    assert 2 == heard.stats.overflowed
    heard.replay(11)

    assert [11, 12, 13] == heard.delivered
    assert Range(7, 14, 15) == heard.topic.wanted()
    assert 0 == heard.budget.used


def test_the_bytes_that_wait_are_bounded_too_and_given_back():
    heard = Heard(budget=1000)
    heard.topic.join(7, 10, None)
    heard.live(*range(12, 40))
    used = heard.budget.used
    while (wanted := heard.topic.wanted()) is not None:
        heard.replay(*range(wanted.first, wanted.last + 1))

    assert 0 < used <= 1000
    assert list(range(11, 40)) == heard.delivered
    assert 0 == heard.budget.used


def test_too_much_while_joining_is_put_back_as_well():
    heard = Heard(limit=2)
    heard.live(11, 12, 13, 14)
    heard.topic.join(7, 10, None)

    assert [11, 12] == heard.delivered
    assert Range(7, 13, 14) == heard.topic.wanted()
    assert 0 == heard.budget.used


# --- epochs


def test_an_older_epoch_is_dropped(heard):
    heard.live(11)
    heard.live(12, epoch=6)

    assert [11] == heard.delivered
    assert 1 == heard.stats.duplicates


def test_a_new_epoch_waits_until_the_end_of_the_old_one_was_asked_for(heard):
    heard.live(11)
    heard.live(1, 2, epoch=8)

    assert [11] == heard.delivered
    assert Range(7, 12, None) == heard.topic.wanted()
    assert heard.topic.state is TopicState.HEALING


def test_the_old_epoch_ends_with_what_is_held_of_it_and_a_gap_without_an_end(heard):
    heard.live(11)
    heard.live(1, 2, epoch=8)
    heard.replay(12, 13)

    assert [11, 12, 13, 1, 2] == heard.delivered
    gap = Gap(NAME, 7, 14, None, BEGAN_ANEW)
    assert [gap] == heard.gaps
    assert {1: gap} == heard.attached
    assert heard.topic.state is TopicState.LIVE


def test_the_beginning_of_the_new_epoch_is_replayed_and_its_loss_is_in_the_same_gap(heard):
    heard.live(11)
    heard.live(6, epoch=8)
    heard.replay()
    assert Range(8, 1, 5) == heard.topic.wanted()
    heard.replay(4, 5, missing=[(1, 3)], epoch=8)

    assert [11, 4, 5, 6] == heard.delivered
    gap = Gap(NAME, 7, 12, None, BEGAN_ANEW)
    assert [gap] == heard.gaps
    assert {4: gap} == heard.attached


def test_a_new_epoch_after_nothing_of_the_old_one_is_no_gap(heard):
    heard.live(1, epoch=8)
    heard.replay()

    assert [1] == heard.delivered
    assert [] == heard.gaps


def test_a_new_epoch_known_only_by_its_tail_is_replayed(heard):
    heard.live(11)
    heard.topic.hear_tail(8, 3)
    heard.replay()

    assert Range(8, 1, 3) == heard.topic.wanted()


def test_holes_in_the_old_epoch_are_closed_before_it_ends(heard):
    heard.live(11, 13)
    heard.live(1, epoch=8)
    assert Range(7, 12, 12) == heard.topic.wanted()
    heard.replay(missing=[(12, 12)])
    heard.replay()

    assert [11, 13, 1] == heard.delivered
    assert [(12, 12), (14, None)] == [(gap.first, gap.last) for gap in heard.gaps]


def test_an_epoch_behind_the_next_one_waits_for_its_turn(heard):
    heard.live(11)
    heard.live(1, epoch=9)
    heard.live(1, epoch=8)
    heard.replay()
    heard.replay(epoch=8)

    assert [(7, 11), (8, 1), (9, 1)] == [epoch_seq(b) for _, b, _ in heard.out if b is not None]
    assert [7, 8] == [gap.epoch for gap in heard.gaps]


def test_giving_up_the_end_of_an_epoch_goes_on_with_the_next(heard):
    heard.live(11)
    heard.live(1, epoch=8)
    heard.topic.give_up(heard.topic.wanted(), "no answer")

    assert [11, 1] == heard.delivered
    assert [None] == [gap.last for gap in heard.gaps]


def test_messages_of_the_snapshots_past_are_not_delivered_after_it():
    heard = Heard()
    heard.live(99, epoch=6)
    heard.live(1, epoch=8)
    heard.topic.join(7, 10, tick_body(7, 10))
    heard.replay()

    assert [(7, 10), (8, 1)] == [epoch_seq(b) for _, b, _ in heard.out if b is not None]


def test_when_numbers_begin_anew_what_is_lower_is_not_taken_for_old(heard):
    heard.live(11, 13)
    heard.topic.restart()
    heard.live(1, epoch=3)

    assert [11, 1] == heard.delivered
    assert [Gap(NAME, 7, 12, None, BEGAN_ANEW)] == heard.gaps
    assert 0 == heard.budget.used


def test_restarting_what_is_not_known_is_nothing():
    joining = Heard()
    joining.topic.restart()
    idle = Heard()
    idle.topic.join(None, 0, None)
    idle.topic.restart()

    assert [] == joining.out + idle.out


# --- topics nobody knew


def test_of_an_unknown_topic_everything_is_wanted():
    heard = Heard()
    heard.topic.join(None, 0, None)
    assert not heard.topic.known
    heard.live(3)
    assert heard.topic.known
    assert Range(7, 1, 2) == heard.topic.wanted()
    heard.replay(1, 2)

    assert [1, 2, 3] == heard.delivered


def test_where_the_relay_begins_is_the_beginning():
    heard = Heard()
    heard.topic.join(None, 0, None)
    heard.live(500)
    heard.replay(498, 499, missing=[(1, 497)])

    assert [498, 499, 500] == heard.delivered
    assert [] == heard.gaps


def test_after_an_interruption_a_missing_beginning_is_a_gap():
    heard = Heard()
    heard.topic.join(None, 0, None)
    heard.topic.interrupt()
    heard.live(5)
    heard.replay(missing=[(1, 4)])

    assert [(1, 4)] == [(gap.first, gap.last) for gap in heard.gaps]


def test_the_beginning_of_a_bulk_topic_is_never_known():
    heard = Heard(info=TopicInfo("ticks/demo", "ticks", "demo", ""))
    heard.topic.join(None, 0, None)
    heard.topic.interrupt()
    heard.live(5)
    heard.topic.give_up(heard.topic.wanted(), "cannot be replayed")

    assert [5] == heard.delivered
    assert [] == heard.gaps


def test_an_interruption_after_the_first_message_changes_nothing(heard):
    heard.live(11)
    heard.topic.interrupt()
    heard.live(12)

    assert [] == heard.gaps


def test_a_topic_found_by_its_prefix_begins_with_its_first_message():
    heard = Heard()
    heard.topic.start_at(7, 42)
    heard.live(42, 43)

    assert [42, 43] == heard.delivered
    assert heard.topic.wanted() is None


def test_joining_twice_is_a_defect(heard):
    with pytest.raises(AssertionError, match="joined already"):
        heard.topic.join(7, 11, None)


def test_steady_is_said_only_when_the_number_alone_decides(heard):
    topic = heard.topic
    states = [topic.steady]
    heard.live(11)
    states.append(topic.steady)
    heard.live(13)
    states.append(topic.steady)
    heard.live(12)
    states.append(topic.steady)
    heard.live(1, epoch=8)
    states.append(topic.steady)

    assert [False, True, False, True, False] == states


@pytest.mark.parametrize("body", [b"", b"\x90", b"\x92\xc0\x01", [], [1], ["1", 2], [1, 2.0]])
def test_a_body_without_epoch_and_seq_is_malformed(body):
    with pytest.raises(ValueError, match=r"bod|integers|array"):
        epoch_seq(body)
