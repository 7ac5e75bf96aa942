"""``bridge.sim.trading_evidence``: what became of commands whose answers never came."""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import AccountMarginMode, OrderState
from bridge.model.trade import TAG_PREFIX, DealRecord, OrderRecord, TradeRequest, order_tag
from bridge.sim.account import Account
from bridge.sim.exchange_rules import BrokerRules, CommentMode
from bridge.sim.ledger import LedgerError, MemoryLedger
from bridge.sim.trading_evidence import Case, EvidenceFinder
from bridge.wire.messages import QueriedCommand
from bridge.wire.spec import Evidence, NewFlag, OrderOutcome
from tests.support.desk_bench import (
    CLOSE_BY,
    DEAL,
    LOGIN,
    MODIFY,
    PENDING,
    REMOVE,
    SLTP,
    DeskBench,
    buy,
    request,
    sell,
)

NETTING = Account(login=LOGIN, server="Demo-Server", margin_mode=AccountMarginMode.RETAIL_NETTING)
REDUCE = int(NewFlag.REDUCE_ONLY)
DONE, PLACED, PARTIAL = OrderOutcome.DONE, OrderOutcome.PLACED, OrderOutcome.PARTIAL
REJECTED, UNKNOWN = OrderOutcome.REJECTED, OrderOutcome.UNKNOWN
INTENT, NOT_FOUND = OrderOutcome.INTENT, OrderOutcome.NOT_FOUND

LOST_REPLY = {"lose_reply": 1.0, "reply_timeout_ms": 100}
LOST_REQUEST = {"lose_request": 1.0, "reply_timeout_ms": 100}


def limit_buy(price=1.05, **fields):
    return request(PENDING, symbol="EURUSD", volume=0.1, price=price, type=2, **fields)


class Story:
    """
    A bench with two opposite positions and a pending order, and one command that got no answer.
    """

    def __init__(self, *, account=None, rules=None, **options):
        self.bench = DeskBench(account=account, rules=rules, **options).connect()
        self.long = self.bench.order(buy(0.3, magic=9, sl=1.05), "test/long").position
        self.short = 0
        if account is None:
            self.short = self.bench.order(sell(0.2), "test/short").position
        self.pending = self.bench.order(limit_buy(1.02, magic=4), "test/pending").order
        self.bench.advance(1_000, step=100)

    def rules(self, **changes):
        self.bench.exchange.rules = dataclasses.replace(self.bench.exchange.rules, **changes)

    def lose(self, wanted, faults, command_id="test/x", **changes):
        """
        Send a command whose answer is lost, with the link, and begin the program anew.
        """
        usual = self.bench.exchange.rules
        self.rules(**faults)
        self.bench.send(self.bench.new(wanted, command_id, **changes))
        self.bench.disconnect().advance(150, step=50)
        self.bench.exchange.rules = usual
        self.bench.crash().connect()
        return self

    def asked(self, command_id="test/x", settle_ms=1_000, wait_ms=0):
        self.bench.advance(wait_ms, step=50)
        answer = self.bench.query(command_id, settle_ms=settle_ms)[command_id]
        return OrderOutcome(answer.outcome), answer

    def early_and_late(self, command_id="test/x"):
        return self.asked(command_id)[0], self.asked(command_id, wait_ms=1_500)[0]

    @property
    def wanted(self):
        """
        One command of every kind.
        """
        return {
            "deal": buy(0.2, magic=5),
            "close": request(DEAL, position=self.long),
            "pending": limit_buy(1.03),
            "sltp": request(SLTP, position=self.long, sl=1.06, tp=1.2),
            "modify": request(MODIFY, order=self.pending, price=1.01),
            "remove": request(REMOVE, order=self.pending),
            "close_by": request(CLOSE_BY, position=self.long, position_by=self.short),
        }


KINDS = ["deal", "close", "pending", "sltp", "modify", "remove", "close_by"]


def flags_of(kind):
    return REDUCE if kind == "close" else 0


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_executed_is_found(kind):
    story = Story()
    story.lose(story.wanted[kind], LOST_REPLY, flags=flags_of(kind))
    outcome, answer = story.asked()

    assert (PLACED if kind == "pending" else DONE) is outcome
    assert answer.replayed
    assert answer.evidence not in {Evidence.NONE, Evidence.LEDGER}
    assert outcome is story.bench.ledger.find("test/x").outcome


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_executed_is_not_found_after_the_settle_time_and_not_before(kind):
    """
    Without the settle time "not found" is believed too early: an order may still be on its way.
    """
    story = Story()
    story.lose(story.wanted[kind], LOST_REQUEST, flags=flags_of(kind))

    assert (INTENT, NOT_FOUND) == story.early_and_late()


@pytest.mark.parametrize("kind", KINDS)
def test_what_arrives_late_is_found_late(kind):
    story = Story()
    late = LOST_REPLY | {"execution_ms": (600, 600)}
    story.lose(story.wanted[kind], late, flags=flags_of(kind))
    outcomes = story.early_and_late()

    assert (INTENT, PLACED if kind == "pending" else DONE) == outcomes


@pytest.mark.parametrize("kind", ["deal", "close", "pending"])
@pytest.mark.parametrize("delays", ["visibility_ms", "state_delay_ms"])
def test_what_cannot_be_seen_yet_is_not_lost(kind, delays):
    """
    Whatever shows first, orders, positions or deals, is evidence.
    """
    story = Story()
    late = LOST_REPLY | {delays: (800, 800)}
    story.lose(story.wanted[kind], late, flags=flags_of(kind))
    first, second = story.early_and_late()

    assert first in {INTENT, DONE, PLACED}
    assert (PLACED if kind == "pending" else DONE) is second


def test_deals_carry_volume_price_and_position():
    story = Story()
    story.lose(story.wanted["deal"], LOST_REPLY)
    _, answer = story.asked()
    (deal,) = story.bench.exchange.ledger().deals_of(order_tag("test/x"))

    assert (deal.ticket, (deal.ticket,)) == (answer.deal, answer.deals)
    assert (deal.order, deal.position_id) == (answer.order, answer.position)
    assert (deal.volume, deal.price) == (answer.volume, answer.price)
    assert Evidence.HISTORY_DEALS == answer.evidence


def test_a_part_is_found_as_a_part():
    story = Story()
    story.lose(buy(1.0), LOST_REPLY | {"partial": 1.0})
    outcome, answer = story.asked()

    assert PARTIAL is outcome
    assert 0 < answer.volume < 1.0


def test_a_pending_order_that_was_filled_meanwhile_is_done():
    story = Story()
    story.lose(limit_buy(1.09), LOST_REPLY)
    story.bench.quote(1.0800, 1.0801)
    outcome, _ = story.asked(wait_ms=100)

    assert DONE is outcome


def test_a_pending_order_that_is_gone_was_placed():
    story = Story()
    story.lose(limit_buy(1.03), LOST_REPLY)
    (order,) = story.bench.exchange.ledger().orders_of(order_tag("test/x"))
    story.bench.exchange.order_send(TradeRequest(action=8, order=order.ticket), story.bench.now)
    outcome, answer = story.asked(wait_ms=100)

    assert PLACED is outcome
    assert "CANCELED" in answer.text


# Modifications ----------------------------------------------------------------------------


def test_levels_that_another_has_changed_since_cannot_decide():
    story = Story()
    story.lose(request(SLTP, position=story.long, sl=1.06), LOST_REQUEST)
    story.bench.exchange.order_send(
        TradeRequest(action=6, symbol="EURUSD", position=story.long, sl=1.07), story.bench.now
    )

    assert (UNKNOWN, UNKNOWN) == story.early_and_late()


def test_levels_of_a_closed_position_cannot_be_seen():
    story = Story()
    story.lose(request(SLTP, position=story.long, sl=1.06), LOST_REQUEST)
    story.bench.order(request(DEAL, position=story.long), flags=REDUCE)

    assert (UNKNOWN, UNKNOWN) == story.early_and_late()


def test_a_modification_is_seen_in_an_order_that_was_filled():
    story = Story()
    story.lose(request(MODIFY, order=story.pending, price=1.09, sl=1.01), LOST_REPLY)
    story.bench.quote(1.0800, 1.0801)
    outcome, answer = story.asked(wait_ms=100)

    assert DONE is outcome
    assert Evidence.HISTORY_ORDERS == answer.evidence


def test_an_order_that_was_filled_was_not_cancelled():
    story = Story()
    story.lose(request(REMOVE, order=story.pending), LOST_REQUEST)
    story.bench.quote(1.0100, 1.0101)
    outcome, answer = story.asked(wait_ms=1_500)

    assert NOT_FOUND is outcome
    assert "FILLED" in answer.text


def test_an_order_that_is_not_to_be_found_cannot_decide_a_removal():
    """
    Nobody knows such an order: OrderCheck refuses it, so the ledger is made by hand.
    """
    story = Story()
    story.bench.exchange.order_check = lambda *_: type("Check", (), {"retcode": 0})()
    story.lose(request(REMOVE, order=99), LOST_REQUEST)

    assert (UNKNOWN, UNKNOWN) == story.early_and_late()


def test_an_order_that_is_not_to_be_found_any_more_cannot_decide_a_modification():
    story = Story()
    story.lose(request(MODIFY, order=story.pending, price=1.09), LOST_REQUEST)
    story.bench.exchange.orders = lambda **_: []

    assert (UNKNOWN, UNKNOWN) == story.early_and_late()


# Brokers that rewrite comments ------------------------------------------------------------


@pytest.mark.parametrize("mode", [CommentMode.DROP, CommentMode.TRUNCATE])
@pytest.mark.parametrize("kind", ["deal", "pending"])
def test_without_the_tag_the_one_order_that_fits_is_taken(mode, kind):
    story = Story(rules=BrokerRules(comment=mode))
    story.lose(story.wanted[kind], LOST_REPLY)

    assert (PLACED if kind == "pending" else DONE) is story.asked()[0]


@pytest.mark.parametrize("mode", [CommentMode.DROP, CommentMode.TRUNCATE])
@pytest.mark.parametrize("kind", ["deal", "pending"])
def test_without_the_tag_nothing_that_fits_is_still_not_found(mode, kind):
    story = Story(rules=BrokerRules(comment=mode))
    story.lose(story.wanted[kind], LOST_REQUEST)

    assert (INTENT, NOT_FOUND) == story.early_and_late()


def test_without_the_tag_two_commands_that_one_order_fits_are_unknown():
    """
    One of them was executed, and nothing tells which.
    """
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    story.lose(buy(0.2, magic=5), LOST_REPLY, "test/x")
    story.lose(buy(0.2, magic=5), LOST_REQUEST, "test/y")

    assert (UNKNOWN, UNKNOWN) == story.early_and_late("test/x")
    assert (UNKNOWN, UNKNOWN) == story.early_and_late("test/y")


def test_without_the_tag_an_order_that_is_another_commands_does_not_count():
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    assert DONE == story.bench.order(buy(0.2, magic=5), "test/before").outcome
    story.lose(buy(0.2, magic=5), LOST_REQUEST)

    assert (INTENT, NOT_FOUND) == story.early_and_late()


def test_without_the_tag_an_order_that_another_command_cancelled_is_still_its_own():
    """
    Its cancellation has its ticket, and did not make it: it was placed all the same.
    """
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    story.lose(story.wanted["pending"], LOST_REPLY)
    (placed,) = [one for one in story.bench.exchange.orders() if one.ticket != story.pending]
    cancelled = request(REMOVE, order=placed.ticket)
    assert DONE == story.bench.order(cancelled, "test/cancel").outcome

    assert PLACED is story.asked()[0]


@pytest.mark.parametrize("unreadable", ["find_order", "unresolved"])
@pytest.mark.parametrize("faults", [LOST_REPLY, LOST_REQUEST], ids=["executed", "not executed"])
def test_without_the_tag_a_ledger_that_cannot_be_read_decides_nothing(unreadable, faults):
    """
    Else what was executed is told as not executed, or another's order is taken for it.
    """
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    story.lose(buy(0.2, magic=5), faults)
    if faults is LOST_REQUEST:
        # Of a program beside ours, with the same magic.
        by_another = TradeRequest(action=DEAL, symbol="EURUSD", volume=0.2, type=0, magic=5)
        story.bench.exchange.order_send(by_another, story.bench.now)

    def unread(*_):
        raise LedgerError("the ledger cannot be read: it is a test")

    setattr(story.bench.ledger, unreadable, unread)

    outcome, answer = story.asked(wait_ms=1_500)
    assert UNKNOWN is outcome
    assert "it is a test" in answer.text or "cannot be told" in answer.text


@pytest.mark.parametrize("kind", ["sltp", "modify", "remove", "close_by"])
@pytest.mark.parametrize("faults", [{"reject": 1.0}, LOST_REQUEST], ids=["rejected", "not found"])
def test_what_another_did_later_is_no_evidence_for_what_was_not_executed(kind, faults):
    """
    Else a cancellation that was refused is told as done when another one cancels the order: a
    correction, which halts trading.
    """
    story = Story()
    wanted = story.wanted[kind]
    story.lose(wanted, faults)
    ended, _ = story.asked(wait_ms=1_500)

    assert DONE == story.bench.order(wanted, "test/another").outcome

    assert ended in {REJECTED, NOT_FOUND}
    assert ended is story.asked(wait_ms=1_500)[0]


def test_without_the_tag_a_later_order_is_no_evidence_for_one_that_was_rejected():
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    story.lose(buy(0.2, magic=5), {"reject": 1.0})
    assert REJECTED is story.asked()[0]
    # Of a program beside ours: no ledger knows its order.
    by_another = TradeRequest(action=DEAL, symbol="EURUSD", volume=0.2, type=0, magic=5)
    story.bench.exchange.order_send(by_another, story.bench.now)

    assert REJECTED is story.asked(wait_ms=1_500)[0]


def test_a_manual_trade_does_not_count():
    """
    A person bought the same at the same time: REASON tells a program's orders from it.
    """
    story = Story(rules=BrokerRules(comment=CommentMode.DROP))
    story.lose(buy(0.2, magic=0), LOST_REQUEST)
    finder = story.bench.core.trading._finder
    broker = story.bench.exchange
    read = broker.history_orders

    def with_manual(from_msc, to_msc):
        return [
            *read(from_msc, to_msc),
            OrderRecord(
                ticket=900,
                time_setup_msc=story.bench.server_msc,
                time_done_msc=story.bench.server_msc,
                state=int(OrderState.FILLED),
                reason=0,
                symbol="EURUSD",
                volume_initial=0.2,
            ),
        ]

    broker.history_orders = with_manual
    assert (
        NOT_FOUND
        is finder.look(story.bench.core.trading._case(story.bench.ledger.find("test/x"))).outcome
    )


def test_another_commands_tag_does_not_count():
    case = Case(
        "test/x",
        order_tag("test/x"),
        buy(0.2),
        TradeRequest(action=1, symbol="EURUSD", volume=0.2),
        (),
        1_000,
        100_000,
    )
    order = OrderRecord(
        ticket=5,
        time_setup_msc=1_000,
        time_done_msc=1_001,
        state=int(OrderState.FILLED),
        reason=3,
        symbol="EURUSD",
        volume_initial=0.2,
    )

    def outcome_with(comment):
        broker = _Records(orders=[dataclasses.replace(order, comment=comment)])
        return EvidenceFinder(broker, lambda *_: False, lambda _: 0).look(case).outcome

    assert DONE is outcome_with("")
    assert DONE is outcome_with(order_tag("test/x"))
    assert DONE is outcome_with(order_tag("test/x")[:10])
    assert NOT_FOUND is outcome_with(order_tag("test/y"))
    assert NOT_FOUND is outcome_with(f"{TAG_PREFIX}AAAAAA")


class _Records:
    """
    Closed orders and deals, and nothing else.
    """

    def __init__(self, orders=(), deals=()):
        self._orders = list(orders)
        self._deals = list(deals)

    def orders(self, **_):
        return []

    def positions(self, **_):
        return []

    def history_orders(self, *_):
        return self._orders

    def history_deals(self, *_):
        return self._deals


def test_an_order_that_the_server_rejected_is_rejected_and_one_without_deals_too():
    case = Case("test/x", "zb1:T", buy(0.2), None, (), 1_000, 2_000)
    for state in (OrderState.REJECTED, OrderState.CANCELED):
        order = OrderRecord(
            ticket=5,
            state=int(state),
            comment="zb1:T",
            volume_initial=0.2,
            volume_current=0.2,
        )
        finding = EvidenceFinder(_Records([order]), lambda *_: False, lambda _: 0).look(case)

        assert REJECTED is finding.outcome
        assert state.name in finding.text


def test_deals_alone_are_evidence_and_several_are_one_command():
    deals = [
        DealRecord(
            ticket=ticket,
            order=5,
            time_msc=1_500 + ticket,
            volume=0.1,
            price=1.0 + ticket,
            comment="zb1:T",
            position_id=8,
        )
        for ticket in (2, 1)
    ]
    case = Case("test/x", "zb1:T", buy(0.2), None, (), 1_000, 2_000)
    look = EvidenceFinder(_Records(deals=deals), lambda *_: False, lambda _: 0).look

    finding = look(case)
    assert (DONE, (1, 2), 0.2, 2.5) == (
        finding.outcome,
        finding.deals,
        finding.volume,
        finding.price,
    )
    assert PARTIAL is look(case._replace(request=buy(0.5))).outcome


def test_an_action_that_nobody_knows_cannot_be_told():
    case = Case("test/x", "zb1:T", request(99), None, (), 1_000, 2_000)

    finding = EvidenceFinder(_Records(), lambda *_: False, lambda _: 0).look(case)

    assert UNKNOWN is finding.outcome


# Without the ledger -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("faults", [LOST_REPLY, LOST_REQUEST])
def test_without_the_ledger_only_what_is_found_counts(kind, faults):
    story = Story()
    wanted = story.wanted[kind]
    sent_msc = story.bench.server_msc - 120 * 60_000
    story.lose(wanted, faults, flags=flags_of(kind))
    story.bench.ledger = MemoryLedger(bytes(16))
    story.bench.crash().connect()
    story.bench.advance(3_000, step=100)
    command = QueriedCommand(order_tag("test/x"), sent_msc, flags_of(kind), wanted)
    answer = story.bench.query("test/x", settle_ms=0, commands=[command])["test/x"]

    executed = PLACED if kind == "pending" else DONE
    assert (executed if faults is LOST_REPLY else UNKNOWN) == answer.outcome


def test_without_the_ledger_a_distance_in_points_cannot_be_compared():
    story = Story()
    wanted = request(SLTP, position=story.long, sl=100.0)
    flags = int(NewFlag.SL_POINTS)
    story.lose(wanted, LOST_REPLY, flags=flags)
    story.bench.ledger = MemoryLedger(bytes(16))
    story.bench.crash().connect()
    command = QueriedCommand(order_tag("test/x"), 0, flags, wanted)
    answer = story.bench.query("test/x", settle_ms=0, commands=[command])["test/x"]

    assert UNKNOWN == answer.outcome


# Everything at once ---------------------------------------------------------------------------


@pytest.mark.parametrize("account", [None, NETTING])
def test_every_order_is_accounted_for_whatever_fails(rng, account):
    """
    Losses, delays, cuts and crashes at random; then the faults stop. Every id has then one
    true end by the broker's own ledger, and none was executed twice.

    Without the settle time, the ledger's intent or the memory of ids this fails within a few
    seeds.
    """
    bench = DeskBench(account=account, seed=rng.randrange(2**32)).connect()
    ids = [f"test/{number}" for number in range(60)]
    wanted = {}
    for command_id in ids:
        bench.exchange.rules = BrokerRules(
            execution_ms=(0, rng.choice([0, 400])),
            reply_ms=(0, rng.choice([0, 100])),
            visibility_ms=(0, rng.choice([0, 1_500])),
            state_delay_ms=(0, rng.choice([0, 500])),
            lose_request=rng.choice([0.0, 0.3]),
            lose_reply=rng.choice([0.0, 0.3]),
            reply_timeout_ms=rng.choice([50, 300]),
            reject=rng.choice([0.0, 0.2]),
            shuffle_transactions=True,
        )
        wanted[command_id] = rng.choice([buy(0.01), sell(0.01), limit_buy(1.02)])
        new = bench.new(wanted[command_id], command_id)
        for _ in range(rng.choice([1, 1, 2])):
            if bench.session is not None:
                bench.send(new)
        bench.advance(rng.choice([10, 50, 300]), step=10)
        match rng.random():
            case luck if luck < 0.1:
                bench.crash().connect()
            case luck if luck < 0.2:
                bench.disconnect()
        if bench.session is None:
            bench.connect()
    bench.exchange.rules = BrokerRules()
    bench.advance(3_000, step=50)
    answers = {}
    for _ in range(3):
        answers |= bench.query(*ids, settle_ms=6_000)
        bench.advance(3_500, step=50)

    truth = {command_id: bench.executions(command_id) for command_id in ids}
    told = {
        command_id: int(OrderOutcome(answer.outcome) in {DONE, PLACED, PARTIAL})
        for command_id, answer in answers.items()
    }
    assert set() == {OrderOutcome(one.outcome) for one in answers.values()} & {INTENT, UNKNOWN}
    assert truth == told
