"""
Results and evidence of the EA are run through the tests of the Python ones, one by one.

``bridge.sim.trading_results`` and ``bridge.sim.trading_evidence`` are the models: what their tests
say of them must be true of ``Results.mqh`` and ``Evidence.mqh``, with the same broker and the same
faults.
"""

from __future__ import annotations

import dataclasses

import pytest

from bridge.model.enums import MqlError
from bridge.model.trade import DealRecord, OrderRecord, PositionRecord, TradeRequest, order_tag
from bridge.sim import trading, trading_executor
from bridge.sim.trading_evidence import Case, Finding
from bridge.sim.trading_ports import Moment
from bridge.sim.trading_results import ResultMaker, adds_to
from bridge.wire.spec import Evidence, OrderOutcome, Permission
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.evidence_program import MqlFinder, patched, running
from tests.mql5.models import MARKS, load_model
from tests.support.desk_bench import CLOSE_BY, MODIFY, REMOVE, SLTP, buy, request

pytestmark = MARKS


models = [load_model(name) for name in ("test_trading_evidence", "test_trading_unknown")]


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's desks find evidence and make results with the translated program.
    """
    with running(tmp_path_factory.mktemp("evidence")) as program:
        with patched(program, trading, trading_executor, *models):
            yield program


def of_the_model():
    """
    Return the models' tests and fixtures.
    """
    found = {}
    for model in models:
        for name, item in vars(model).items():
            if name.startswith("test_"):
                assert name not in found
                found[name] = item
    found["bench"] = models[1].bench
    return found


globals().update(of_the_model())


# What only the EA can meet ------------------------------------------------------------------------


@pytest.fixture
def faults(program):
    """
    Return the faults between the terminal and its program, which end with the test.
    """
    trade = program.process.broker.trade
    trade.faults = TradeFaults()
    yield trade.faults
    trade.faults = TradeFaults()


def case_of(wanted, **changes):
    """
    Return a case about a command that was sent at 1,000, with its ledger at hand.
    """
    sent = TradeRequest(
        action=wanted.action,
        symbol="EURUSD",
        volume=0.2,
        order=wanted.order or 0,
        position=wanted.position or 0,
    )
    values = {
        "command_id": "test/x",
        "tag": order_tag("test/x"),
        "request": wanted,
        "sent": sent,
        "before": (),
        "from_msc": 1_000,
        "until_msc": 100_000,
    }
    return Case(**(values | changes))


def closed(ticket=5, **fields):
    values = {
        "time_setup_msc": 1_000,
        "time_done_msc": 1_001,
        "state": 4,
        "reason": 3,
        "symbol": "EURUSD",
        "volume_initial": 0.2,
        "comment": order_tag("test/x"),
    }
    return OrderRecord(ticket=ticket, **(values | fields))


class Books(models[0]._Records):
    """
    Open orders and positions too.
    """

    def __init__(self, orders=(), deals=(), opened=(), positions=()):
        super().__init__(orders, deals)
        self._opened = list(opened)
        self._positions = list(positions)

    def orders(self, ticket=None, **_):
        return [one for one in self._opened if ticket in {None, one.ticket}]

    def positions(self, ticket=None, **_):
        return [one for one in self._positions if ticket in {None, one.ticket}]


def look(case, books, *, anothers=False, rivals=0):
    return MqlFinder(books, lambda *_: anothers, lambda _: rivals).look(case)


EVERY = {
    "deal": buy(0.2),
    "pending": request(5, symbol="EURUSD", volume=0.2, price=1.05, type=2),
    "modify": request(MODIFY, order=5, price=1.05),
    "remove": request(REMOVE, order=5),
    "close_by": request(CLOSE_BY, position=5, position_by=6),
}


def test_results_are_told_again_for_the_same_reasons():
    """
    Every outcome that is known, every one that is found, with the same, more and fewer deals.
    """
    made = ResultMaker(bytes(16))
    moment = Moment(0, 1_000, 0, Permission(31), 0)
    deals = [(), (1,), (1, 2), tuple(range(256))]
    knowns = [None] + [
        made.make("test/x", outcome, moment, deals=named)
        for outcome in OrderOutcome
        for named in deals
    ]
    findings = [
        Finding(outcome, deals=named)
        for outcome in OrderOutcome
        if outcome > OrderOutcome.DENIED
        for named in deals
    ]
    asked = [(known, finding) for known in knowns for finding in findings]

    assert [adds_to(*one) for one in asked] == [trading.adds_to(*one) for one in asked]


@pytest.mark.parametrize("kind", EVERY)
def test_a_history_that_cannot_be_read_is_no_evidence_of_absence(kind, faults):
    """
    Else an order that was executed is told as not executed: a person sends it again.
    """
    before = look(case_of(EVERY[kind]), Books())
    faults.history_error = MqlError.HISTORY_NOT_FOUND
    after = look(case_of(EVERY[kind]), Books([closed()]))

    assert before.outcome in {OrderOutcome.NOT_FOUND, OrderOutcome.UNKNOWN}
    assert OrderOutcome.UNKNOWN is after.outcome
    assert "4401" in after.text


def test_a_ledger_that_cannot_be_read_decides_nothing_about_an_order_without_a_tag():
    books = Books([closed(comment="")])

    assert OrderOutcome.DONE is look(case_of(buy(0.2)), books).outcome
    for rivals in (1, -1, -2):
        assert OrderOutcome.UNKNOWN is look(case_of(buy(0.2)), books, rivals=rivals).outcome
    # With the tag nobody has to be asked.
    assert OrderOutcome.DONE is look(case_of(buy(0.2)), Books([closed()]), rivals=-2).outcome


@pytest.mark.parametrize("order", ["reversed", "shuffled"])
def test_the_order_of_lists_does_not_matter(order, faults):
    """
    The tag of a command's position is on the order that closed it, too.
    """
    faults.list_order = order
    opened = [closed(ticket, state=1, time_done_msc=0) for ticket in (9, 7, 8)]

    assert 7 == look(case_of(buy(0.2)), Books(opened=opened)).order


@pytest.mark.parametrize("whole", [False, True])
def test_the_last_second_of_the_history_is_read(whole, faults):
    faults.whole_last_second = whole

    assert (
        OrderOutcome.DONE is look(case_of(buy(0.2)), Books([closed(time_done_msc=1_999)])).outcome
    )


def test_tickets_have_all_64_bits():
    ticket, deal = 2**64 - 3, 2**63 + 1
    deals = [DealRecord(ticket=deal, order=ticket, time_msc=1_500, volume=0.2, price=1.5,
                        comment=order_tag("test/x"), magic=2**64 - 1, position_id=2**64 - 5)]  # fmt: skip
    case = case_of(buy(0.2))
    case = case._replace(sent=dataclasses.replace(case.sent, magic=2**64 - 1))
    finding = look(case, Books(deals=deals))

    assert (ticket, (deal,), 2**64 - 5) == (finding.order, finding.deals, finding.position)
    assert Evidence.HISTORY_DEALS is finding.evidence


def test_a_state_that_nobody_knows_is_told_as_a_number():
    finding = look(case_of(buy(0.2)), Books([closed(state=77, volume_current=0.2)]))

    assert OrderOutcome.REJECTED is finding.outcome
    assert "state 77" in finding.text


def test_levels_of_a_position_with_nothing_asked_cannot_be_told():
    books = Books(positions=[PositionRecord(ticket=5, symbol="EURUSD")])
    finding = look(case_of(request(SLTP, position=5), sent=None), books)

    assert OrderOutcome.UNKNOWN is finding.outcome
    assert "not known which values" in finding.text
