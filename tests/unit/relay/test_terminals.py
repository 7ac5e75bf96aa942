"""Who may be connected for a terminal, and what becomes of its streams and requests."""

from __future__ import annotations

import msgpack
import pytest

from bridge.bus.bodies import read_status
from bridge.exceptions import RemoteProtocolError
from bridge.model.record import Cursor
from bridge.relay.streams import SavedStream, StreamState
from bridge.wire.messages import (
    Busy,
    Event,
    Gap,
    Heartbeat,
    Page,
    Request,
    Subscribe,
    Unsubscribe,
)
from bridge.wire.spec import BusyKind, Capability, ErrorCode, GapReason, LogoutCode
from tests.support.bench import SECOND, Bench, FakeLink, run_of, state_of
from tests.support.terminal import make_hello


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# --- which account may log on -----------------------------------------------------------


@pytest.mark.parametrize(
    ("pins", "fields", "code", "text"),
    [
        ({}, {}, None, ""),
        ({}, {"role": 0}, LogoutCode.ROLE_UNSUPPORTED, "no role 0"),
        ({}, {"role": 4}, LogoutCode.ROLE_UNSUPPORTED, "no role 4"),
        ({}, {"role": 1}, None, ""),
        ({}, {"role": 2}, None, ""),
        ({}, {"login": 0}, LogoutCode.WRONG_ACCOUNT, "no account"),
        ({"login": 1001}, {}, None, ""),
        ({"login": 1002}, {}, LogoutCode.WRONG_ACCOUNT, "pinned to login 1002, not 1001"),
        ({"server": "Demo-Server"}, {}, None, ""),
        ({"server": "Live"}, {}, LogoutCode.WRONG_ACCOUNT, "pinned to server 'Live'"),
        ({"demo_only": True}, {}, None, ""),
        ({"demo_only": True}, {"trade_mode": 2}, LogoutCode.NOT_DEMO, "demo accounts only"),
        ({"demo_only": True}, {"trade_mode": 1}, LogoutCode.NOT_DEMO, "demo accounts only"),
        ({}, {"trade_mode": 2}, None, ""),
    ],
)
def test_the_pins_of_an_alias(tmp_path, pins, fields, code, text):
    """An account that does not fit is refused before it can prove itself, with the reason."""
    bench = Bench(tmp_path, **pins)
    problem = bench.terminals.check(bench.terminal(), make_hello(**fields))

    if code is None:
        assert problem is None
    else:
        assert problem is not None
        assert code == problem[0]
        assert text in problem[1]


# --- one live session for an account ------------------------------------------------------


def test_the_first_session_is_let_in(bench):
    """Nobody is there: no question asked."""
    link = bench.connected()

    assert "demo" == link.accepted
    assert bench.terminal().link is link
    assert ["LINK_UP"] == bench.socket.events()


def test_a_reconnect_replaces_its_own_session_at_once(bench):
    """The same incarnation with a higher counter is the same program: the old link is dead."""
    old = bench.connected(connection_counter=4)
    new = bench.connected(connection_counter=5)

    assert LogoutCode.REPLACED == old.closed[0]
    assert "demo" == new.accepted
    assert [] == old.tests
    assert ["LINK_UP", "LINK_DOWN", "LINK_UP"] == bench.socket.events()


@pytest.mark.parametrize(
    "fields",
    [
        {"connection_counter": 5},
        {"connection_counter": 4},
        {"connection_counter": 9, "incarnation": b"another program!"},
    ],
    ids=["equal counter", "lower counter", "another incarnation"],
)
def test_another_one_waits_for_a_test_of_the_old(bench, fields):
    """Two of them, or a recorded one: the session that is there is asked whether it lives."""
    old = bench.connected(connection_counter=5)
    new = bench.admit(FakeLink(**fields), now=10 * SECOND)

    assert [10 * SECOND] == old.tests
    assert new.accepted is None
    assert new.closed is None

    bench.terminals.decide(11 * SECOND)

    assert new.closed is None


@pytest.fixture
def waiting(bench):
    """
    An old session that was asked at 10 s whether it lives, and the new one that waits.
    """
    old = bench.connected()
    new = bench.admit(FakeLink(incarnation=b"another program!"), now=10 * SECOND)
    return bench, old, new


def test_a_living_session_is_kept(waiting):
    """The newcomer is told what is probably wrong, and when to try again."""
    bench, old, new = waiting
    old.last_received_us = 10 * SECOND + 1
    bench.terminals.decide(10 * SECOND + 2)

    code, text, retry_after_ms = new.closed

    assert LogoutCode.DUPLICATE_SESSION == code
    assert "two charts" in text
    assert retry_after_ms >= 1000
    assert old.closed is None
    assert bench.terminal().link is old


def test_a_silent_session_is_replaced(waiting):
    """A half-open link must not lock the terminal out."""
    bench, old, new = waiting
    bench.terminals.decide(12 * SECOND)

    assert new.accepted is None

    bench.terminals.decide(12 * SECOND + 1)

    assert "demo" == new.accepted
    assert LogoutCode.REPLACED == old.closed[0]
    assert bench.terminal().link is new


def test_what_arrived_before_the_test_is_no_answer(waiting):
    """Only a frame after the question shows life."""
    bench, old, new = waiting
    old.last_received_us = 10 * SECOND
    bench.terminals.decide(10 * SECOND + 5)

    assert new.closed is None
    assert new.accepted is None


def test_a_session_that_ended_meanwhile_makes_room(waiting):
    """No need to wait for the end of the test."""
    bench, old, new = waiting
    bench.terminal().link_down(old, 0, "gone")
    bench.terminals.decide(10 * SECOND + 5)

    assert "demo" == new.accepted


def test_a_third_one_is_told_to_wait(waiting):
    """One decision at a time, so that a flood of logons changes nothing."""
    bench, old, new = waiting
    third = bench.admit(FakeLink(incarnation=b"a third program!"), now=10 * SECOND)

    assert LogoutCode.DUPLICATE_SESSION == third.closed[0]
    assert new.closed is None
    assert 1 == len(old.tests)


def test_whoever_came_in_meanwhile_is_kept(waiting):
    """The old program reconnected while the other one waited."""
    bench, _, new = waiting
    again = bench.connected(connection_counter=2)
    bench.terminals.decide(10 * SECOND + 5)

    assert LogoutCode.DUPLICATE_SESSION == new.closed[0]
    assert bench.terminal().link is again


def test_one_that_left_while_waiting_is_forgotten(waiting):
    """Its connection is gone: nothing is decided for it."""
    bench, old, new = waiting
    bench.terminals.forget(new)
    bench.terminals.decide(20 * SECOND)

    assert new.accepted is None
    assert bench.terminal().link is old


def test_an_account_has_one_alias(tmp_path):
    """The same account under another alias would be streamed, and traded, twice."""
    bench = Bench(tmp_path, ("demo", "other"))
    bench.connected()
    new = bench.admit(FakeLink(), "other")

    assert LogoutCode.DUPLICATE_SESSION == new.closed[0]
    assert "'demo'" in new.closed[1]
    assert new.accepted is None


@pytest.mark.parametrize("fields", [{"login": 1002}, {"server": "Other-Server"}])
def test_another_account_may_have_the_other_alias(tmp_path, fields):
    """Account means login and server."""
    bench = Bench(tmp_path, ("demo", "other"))
    bench.connected()

    assert "other" == bench.admit(FakeLink(**fields), "other").accepted


def test_the_account_is_looked_at_again_after_the_wait(tmp_path):
    """While one waited for the test of its old session, its account came in elsewhere."""
    bench = Bench(tmp_path, ("demo", "other"))
    bench.connected(login=7)
    late = bench.admit(FakeLink(incarnation=b"another program!"), now=10 * SECOND)
    bench.admit(FakeLink(), "other", now=11 * SECOND)
    bench.terminals.decide(13 * SECOND)

    assert late.accepted is None
    assert LogoutCode.DUPLICATE_SESSION == late.closed[0]
    assert "'other'" in late.closed[1]


def test_an_account_that_left_may_come_under_another_alias(tmp_path):
    """Only a session that is there stands in the way."""
    bench = Bench(tmp_path, ("demo", "other"))
    old = bench.connected()
    bench.terminal().link_down(old, 0, "gone")

    assert "other" == bench.admit(FakeLink(), "other").accepted


# --- streams ----------------------------------------------------------------------------------


def test_a_first_subscriber_makes_the_terminal_stream(bench):
    """SUBSCRIBE goes out, without an offer to resume what never was."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    wanted = link.sent_of(Subscribe)[0]

    assert ("EURUSD", 1, None) == (wanted.symbol, wanted.kind, wanted.resume)

    bench.begin(link)
    bench.terminal().receive_ticks(run_of(wanted.fresh_epoch, 1, 3), 0)

    assert 3 == len(bench.socket.bodies("tick/demo/EURUSD"))
    assert [9] == [seq for seq, _ in link.acknowledged]
    assert "STREAM_STARTED" in bench.socket.events()


def test_every_stream_gets_an_epoch_of_its_own(bench):
    """A number that was never used: what the terminal needs when it must begin anew."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.terminal().subscribe("USDJPY")
    epochs = [wanted.fresh_epoch for wanted in link.sent_of(Subscribe)]

    assert 2 == len(set(epochs))


def test_a_subscriber_may_come_before_the_terminal(bench):
    """What is wanted is asked for as soon as a session opens."""
    bench.terminal().subscribe("EURUSD")
    link = bench.connected()

    assert ["EURUSD"] == [wanted.symbol for wanted in link.sent_of(Subscribe)]


def test_a_stream_resumes_at_the_next_session(bench):
    """The offer names what was taken last; the terminal sends from the one behind it."""
    link = bench.streaming()
    epoch = bench.terminal().streams["EURUSD"].epoch
    bench.terminal().receive_ticks(run_of(epoch, 1, 10), 0)
    bench.terminal().link_down(link, 0, "gone")

    assert StreamState.WAITING is bench.terminal().streams["EURUSD"].state

    again = bench.connected(connection_counter=2)
    offer = again.sent_of(Subscribe)[0].resume

    assert (epoch, 10, Cursor(1, 1, 2), 11) == offer


def test_a_stream_lingers_after_its_last_subscriber(bench):
    """Leaving and coming back within the minute costs the terminal nothing."""
    link = bench.streaming()
    bench.terminal().unsubscribe("EURUSD", 5 * SECOND)
    bench.terminal().end_unused(64 * SECOND)

    assert "EURUSD" in bench.terminal().streams

    bench.terminal().end_unused(65 * SECOND)

    assert {} == bench.terminal().streams
    assert [Unsubscribe(1)] == link.sent_of(Unsubscribe)
    assert "STREAM_STOPPED" == bench.socket.events()[-1]


def test_who_comes_back_in_time_keeps_the_stream(bench):
    """A subscriber ends the lingering."""
    link = bench.streaming()
    bench.terminal().unsubscribe("EURUSD", 0)
    bench.terminal().subscribe("EURUSD")
    bench.terminal().end_unused(100 * SECOND)

    assert [] == link.sent_of(Unsubscribe)
    assert 1 == len(link.sent_of(Subscribe))


def test_what_is_on_its_way_when_a_stream_ends_is_ignored(bench):
    """Ticks sent before our UNSUBSCRIBE arrived are acknowledged and dropped."""
    link = bench.streaming()
    epoch = bench.terminal().streams["EURUSD"].epoch
    bench.terminal().unsubscribe("EURUSD", 0)
    bench.terminal().end_unused(100 * SECOND)
    bench.socket.sent.clear()
    bench.terminal().receive_ticks(run_of(epoch, 1, 3), 0)

    assert [] == bench.socket.sent
    assert [9] == [seq for seq, _ in link.acknowledged]


def test_a_stream_that_ended_before_its_answer_is_stopped(bench):
    """The terminal answers a SUBSCRIBE that nobody wants any more: it must not go on."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.terminal().unsubscribe("EURUSD", 0)
    bench.terminal().end_unused(100 * SECOND)
    bench.begin(link, symbol_id=4)

    assert [Unsubscribe(4)] == link.sent_of(Unsubscribe)


def test_a_refusal_for_a_stream_that_ended_needs_no_answer(bench):
    """There is nothing to stop."""
    link = bench.connected()
    bench.terminal().subscribe("EURUSD")
    bench.terminal().unsubscribe("EURUSD", 0)
    bench.terminal().end_unused(100 * SECOND)
    bench.begin(link, symbol_id=0, code=int(ErrorCode.UNKNOWN_SYMBOL))

    assert [] == link.sent_of(Unsubscribe)


def test_one_symbol_id_has_one_stream(bench):
    """Two streams under one number would be mixed."""
    link = bench.streaming(symbol_id=1)
    bench.terminal().subscribe("USDJPY")

    with pytest.raises(RemoteProtocolError, match="symbol id 1"):
        bench.begin(link, symbol_id=1)


def test_a_symbol_id_may_be_used_again(bench):
    """After UNSUBSCRIBE the number is free."""
    link = bench.streaming(symbol_id=1)
    bench.terminal().unsubscribe("EURUSD", 0)
    bench.terminal().end_unused(100 * SECOND)
    bench.terminal().subscribe("USDJPY")
    bench.begin(link, symbol_id=1)

    assert StreamState.STREAMING is bench.terminal().streams["USDJPY"].state


def test_a_symbol_too_long_for_the_wire_fails_alone(bench):
    """A client's subscription must not end the terminal's session, now or at its next one."""
    link = bench.streaming()
    bench.terminal().subscribe("X" * 129)

    assert StreamState.FAILED is bench.terminal().streams["X" * 129].state
    assert link.closed is None

    bench.terminal().link_down(link, 0, "gone")
    again = bench.connected(connection_counter=2)

    assert "demo" == again.accepted
    assert ["EURUSD"] == [wanted.symbol for wanted in again.sent_of(Subscribe)]


def test_a_refused_stream_says_why(bench):
    """The terminal's own words reach the status topic and the snapshot."""
    link = bench.connected()
    bench.terminal().subscribe("NOPE")
    bench.begin(link, code=int(ErrorCode.UNKNOWN_SYMBOL), text="no symbol NOPE")
    stream = bench.terminal().streams["NOPE"]

    assert StreamState.FAILED is stream.state
    assert ("UNKNOWN_SYMBOL", "terminal", "no symbol NOPE", "") == stream.error
    assert "STREAM_FAILED" == bench.socket.events()[-1]


def test_a_refused_stream_is_asked_for_again_when_somebody_asks(bench):
    """The symbol may be there later; but not more often than every two seconds."""
    link = bench.connected()
    bench.terminal().subscribe("NOPE")
    bench.begin(link, code=int(ErrorCode.UNKNOWN_SYMBOL))
    stream = bench.terminal().streams["NOPE"]
    bench.terminal().retry_failed(stream, stream.failed_at_us + 2 * SECOND)

    assert 1 == len(link.sent_of(Subscribe))

    bench.terminal().retry_failed(stream, stream.failed_at_us + 2 * SECOND + 1)

    assert 2 == len(link.sent_of(Subscribe))
    assert StreamState.REQUESTED is stream.state


def test_the_streams_of_a_terminal_are_bounded(tmp_path):
    """The last ones are not started; the ones before are untouched."""
    bench = Bench(tmp_path, ticks={"max_streams_per_terminal": 2})
    link = bench.connected()
    for symbol in ("A", "B", "C"):
        bench.terminal().subscribe(symbol)

    assert ["A", "B"] == [wanted.symbol for wanted in link.sent_of(Subscribe)]
    assert bench.terminal().is_full()
    assert "C" not in bench.terminal().streams


def test_a_restored_stream_goes_on_or_ends(bench):
    """After a restart of the relay a stream waits for its subscribers, as long as lingering."""
    saved = SavedStream("demo", "Demo-Server", "EURUSD", 77, 900, Cursor(5, 1, 2), 5)
    bench.terminal().restore(saved, 0)
    link = bench.connected()
    offer = link.sent_of(Subscribe)[0].resume

    assert (77, 900, Cursor(5, 1, 2), 1) == offer

    bench.terminal().end_unused(60 * SECOND)

    assert {} == bench.terminal().streams


def test_a_restored_stream_of_another_server_begins_anew(bench):
    """The cursor belongs to the history of one trade server."""
    saved = SavedStream("demo", "Old-Server", "EURUSD", 77, 900, Cursor(5, 1, 2), 5)
    bench.terminal().restore(saved, 0)

    assert bench.connected().sent_of(Subscribe)[0].resume is None


def test_a_late_tick_is_checkpointed_at_once(bench):
    """Its number follows from the order of arrival, which a re-read would not repeat."""
    bench.streaming()
    epoch = bench.terminal().streams["EURUSD"].epoch
    bench.terminal().receive_ticks(run_of(epoch, 1, 3), 0)
    bench.terminal().receive_ticks(run_of(epoch, 4, 3), 0)
    before = bench.checkpoints
    bench.terminal().receive_ticks(run_of(epoch, 7, 1, flags=512), 0)

    assert before + 1 == bench.checkpoints


def test_the_first_ticks_of_an_epoch_are_checkpointed_at_once(bench):
    """A relay that is killed in the first second of a stream would begin another epoch."""
    link = bench.streaming()
    stream = bench.terminal().streams["EURUSD"]
    bench.terminal().receive_ticks(run_of(stream.epoch, 1, 3), 0)

    assert 1 == bench.checkpoints

    bench.terminal().receive_ticks(run_of(stream.epoch, 4, 3), 0)

    assert 1 == bench.checkpoints

    bench.terminal().link_down(link, 0, "gone")
    again = bench.connected(connection_counter=2)
    bench.begin(again, epoch=500)
    bench.terminal().receive_ticks(run_of(500, 1, 3), 0)

    assert 2 == bench.checkpoints


def test_records_that_a_terminal_skips_are_told(bench):
    """A defect of the terminal is never smoothed over."""
    bench.streaming()
    epoch = bench.terminal().streams["EURUSD"].epoch
    bench.terminal().receive_ticks(run_of(epoch, 1, 3), 0)
    bench.terminal().receive_ticks(run_of(epoch, 6, 3), 0)
    gap = read_status(bench.socket.bodies("status/demo")[-1])

    assert "GAP" == gap.event
    assert (6, epoch) == (gap.details["first_seq"], gap.details["epoch"])
    assert 1 == bench.terminal().gaps


# --- messages -----------------------------------------------------------------------------------


def test_a_gap_is_passed_on_with_both_cursors(bench):
    """Whoever records ticks can see what is missing in the history."""
    bench.streaming()
    bench.terminal().receive(
        Gap(1, GapReason.TOO_OLD, 7, 90, Cursor(500, 1, 2), 8, 1, Cursor(900, 1, 2), "too long"), 0
    )
    gap = read_status(bench.socket.bodies("status/demo")[-1])

    assert ("GAP", "TOO_OLD", 500, 900) == (
        gap.event,
        gap.details["reason"],
        gap.details["old_time_msc"],
        gap.details["time_msc"],
    )
    assert 1 == bench.terminal().gaps


def test_permissions_are_told_when_they_change(bench):
    """A heartbeat a second is no news; a switch that was turned is."""
    bench.connected()
    for permissions in (31, 31, 29):
        bench.terminal().receive(Heartbeat(1, 0, 0, 0, state_of(permissions=permissions)), 0)

    assert ["PERMISSIONS", "UTC_OFFSET", "PERMISSIONS"] == bench.socket.events()[1:]
    assert not bench.terminal().permissions()["terminal_trade_allowed"]


def test_busy_and_ready_are_told_once(bench):
    """A terminal that blocks is not broken; who waits may know."""
    bench.connected()
    for busy in (Busy(BusyKind.COPY_TICKS, 45_000), Busy(BusyKind.COPY_TICKS, 45_000), Busy(0, 0)):
        bench.terminal().receive(busy, 0)

    assert ["BUSY", "READY"] == bench.socket.events()[1:]


def test_a_busy_terminal_that_is_lost_is_busy_no_more(bench):
    """The next session begins without what the last one said."""
    link = bench.connected()
    bench.terminal().receive(Busy(BusyKind.COPY_TICKS, 45_000), 0)
    bench.terminal().link_down(link, 0, "gone")

    assert not bench.terminal().describe()["busy"]


def test_what_is_not_used_yet_is_ignored(bench):
    """Version 1 of the protocol has events; this version of the relay has not."""
    bench.connected()
    bench.terminal().receive(Event(1, False, 1, 2, 3, 0, {}), 0)

    assert ["LINK_UP"] == bench.socket.events()


# --- requests ---------------------------------------------------------------------------------------


@pytest.fixture
def answers():
    return []


def test_a_request_is_answered_by_the_terminal(bench, answers):
    """REQUEST goes out with the deadline, the page comes back."""
    link = bench.connected()
    bench.terminal().ask("symbol", {"symbol": "X"}, answers.append, 5 * SECOND)
    request = link.sent_of(Request)[0]

    assert ("symbol", {"symbol": "X"}, 5 * SECOND) == (
        request.method,
        request.params,
        request.deadline_us,
    )

    page = Page(request.request_id, 0, True, 0, "", 0, msgpack.packb({"symbol": {}}))
    bench.terminal().receive(page, 0)

    assert [{"symbol": {}}] == [answer.value for answer in answers]


def test_a_terminal_that_is_away_answers_at_once(bench, answers):
    """The client need not wait for its deadline."""
    bench.terminal().ask("symbol", {"symbol": "X"}, answers.append, 5 * SECOND)

    assert ["TERMINAL_UNAVAILABLE"] == [answer.code for answer in answers]
    assert ["terminal"] == [answer.hop for answer in answers]


def test_the_loss_of_the_link_answers_what_waits(bench, answers):
    """Each request ends, with the reason why the link was lost."""
    link = bench.connected()
    bench.terminal().ask("symbol", {"symbol": "X"}, answers.append, 5 * SECOND)
    bench.terminal().link_down(link, 0, "cut")

    assert ["TERMINAL_UNAVAILABLE"] == [answer.code for answer in answers]
    assert "cut" in answers[0].message


def test_the_requests_that_wait_are_bounded(tmp_path, answers):
    """One too many is refused at once and harms no other."""
    bench = Bench(tmp_path, limits={"pending_requests_per_terminal": 2})
    bench.connected()
    for _ in range(3):
        bench.terminal().ask("symbol", {"symbol": "X"}, answers.append, 5 * SECOND)

    assert ["TOO_MANY_REQUESTS"] == [answer.code for answer in answers]


def test_a_terminal_without_reads_is_not_asked(bench, answers):
    """Its capability bits say what it can do."""
    link = FakeLink()
    link.capabilities = int(Capability.TICKS)
    bench.admit(link)
    bench.terminal().ask("symbol", {"symbol": "X"}, answers.append, 5 * SECOND)

    assert ["UNSUPPORTED"] == [answer.code for answer in answers]
    assert [] == link.sent


def test_parameters_that_the_wire_cannot_carry_are_answered_once(bench, answers):
    """A NUL in a mask is the client's mistake: one error that names it, and nothing is open."""
    bench.connected()
    bench.terminal().ask("symbols", {"group": "EUR\0"}, answers.append, 5 * SECOND)
    bench.terminal().asks.expire(10 * SECOND)

    assert [("INVALID_REQUEST", "params.group")] == [
        (answer.code, answer.field) for answer in answers
    ]


# --- ends -----------------------------------------------------------------------------------------


def test_the_end_of_an_older_link_changes_nothing(bench):
    """A replaced session may end late."""
    old = bench.connected(connection_counter=1)
    new = bench.connected(connection_counter=2)
    before = len(bench.socket.sent)
    bench.terminal().link_down(old, 0, "late")

    assert bench.terminal().link is new
    assert before == len(bench.socket.sent)


def test_a_terminal_describes_itself(bench):
    """The entry of ``terminals``: away, connected, and away again with the last account."""
    assert "away" == bench.terminal().describe()["state"]

    link = bench.streaming()
    described = bench.terminal().describe()

    assert ("connected", 1001, "both", 1, 1) == (
        described["state"],
        described["login"],
        described["role"],
        described["sessions"],
        described["streams"],
    )

    bench.terminal().link_down(link, 0, "gone")
    described = bench.terminal().describe()

    assert ("away", 1001, 0) == (described["state"], described["login"], described["streams"])


def test_a_role_of_a_newer_version_is_shown_as_its_number(bench):
    """Nothing fails on a number that has no name here."""
    bench.connected(role=7)

    assert "7" == bench.terminal().describe()["role"]


def test_a_session_without_hello_is_never_admitted(bench):
    """It cannot happen, and would do nothing."""
    link = FakeLink()
    link.hello = None
    bench.admit(link)
    bench.terminal().link_up(link, 0)

    assert bench.terminal().link is None


def test_aliases_are_listed_in_order(tmp_path):
    """For error messages."""
    bench = Bench(tmp_path, ("ftmo1", "demo"))

    assert ["demo", "ftmo1"] == bench.terminals.aliases()
    assert bench.terminals.get("nope") is None


def test_a_new_stream_is_written_down_at_once(bench):
    """A kill within the first second must not cost the stream its place."""
    bench.streaming()
    epoch = bench.terminal().streams["EURUSD"].epoch

    assert 0 == bench.checkpoints

    bench.terminal().receive_ticks(run_of(epoch, 1, 1), 0)
    bench.terminal().receive_ticks(run_of(epoch, 2, 3), 0)

    assert 1 == bench.checkpoints
