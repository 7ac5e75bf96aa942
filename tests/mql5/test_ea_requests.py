"""
The EA's request maker is run through the tests of the Python one, one by one.

``bridge.sim.trading_request`` is the model: what its tests say of it must be true of
``mql5/Include/Bridge/Trade/RequestMaker.mqh``. And both get the same wild requests and the same
numbers at the edge of what a double holds: they have to make the same of them, bit by bit.
"""

from __future__ import annotations

import dataclasses
import math
import struct
from pathlib import Path

import pytest

from bridge.model.enums import (
    AccountMarginMode,
    SymbolFillingMode,
    SymbolTradeExecution,
    TradeRetcode,
)
from bridge.model.symbol import SymbolSpec
from bridge.model.trade import DealRecord, OrderRecord, PositionRecord, TradeRequest
from bridge.sim.account import Account
from bridge.sim.market import Market
from bridge.sim.trading_request import Draft, Refused, RequestMaker
from bridge.wire.messages import New, pack_message
from bridge.wire.spec import DenyReason, NewFlag
from tests.mql5 import building
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.host import EaProcess
from tests.mql5.link import Call
from tests.mql5.models import MARKS, load_model
from tests.mql5.scenarios.world import ACCOUNT
from tests.support.desk_bench import (
    CLOSE_BY,
    DEAL,
    INCARNATION,
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

pytestmark = MARKS

PROGRAM = Path(__file__).with_name("programs") / "requests.mq5"
(
    CHECK, MAKE, REDUCES, POSITIONS, ORDERS, HISTORY_ORDERS, HISTORY_DEALS,
) = range(1, 8)  # fmt: skip
SL, TP, REDUCE = int(NewFlag.SL_POINTS), int(NewFlag.TP_POINTS), int(NewFlag.REDUCE_ONLY)
NUMBERS = ("volume", "price", "stoplimit", "sl", "tp")
#: records whose fields the program prints in the order of their declaration
DOUBLES = {
    "volume", "price", "stoplimit", "sl", "tp", "volume_initial", "volume_current", "price_open",
    "price_current", "price_stoplimit", "commission", "swap", "profit", "fee",
}  # fmt: skip
TEXTS = {"symbol", "comment", "external_id"}
EVER = 2**62


model = load_model("test_trading_request")


def number_of(bits):
    """
    Return the double of these bits.
    """
    return struct.unpack("<d", struct.pack("<Q", int(bits)))[0]


def record_of(cls, words):
    """
    Return a record as the program printed it, and the doubles behind it.
    """
    values = {}
    fields = [field.name for field in dataclasses.fields(cls)]
    for name, word in zip(fields, words, strict=False):
        if name in DOUBLES:
            values[name] = number_of(word)
        elif name in TEXTS:
            values[name] = bytes.fromhex(word).decode()
        else:
            values[name] = int(word)
    return cls(**values), tuple(map(number_of, words[len(fields) :]))


class Program:
    """
    The translated program with a request maker in it.
    """

    def __init__(self, process):
        self.process = process
        self.lines = []
        process.on_event = self._take_event

    def look_at(self, exchange, market):
        """
        Let the terminal be one of this broker, with the symbols and ticks of a market.
        """
        broker = self.process.broker
        broker.market, broker.exchange, broker.trade.exchange = market, exchange, exchange
        broker.account = dataclasses.replace(
            ACCOUNT, margin_mode=AccountMarginMode(exchange.account().margin_mode)
        )
        broker.trade.faults = TradeFaults()

    def call(self, number, lparam=0, dparam=0.0, sparam=""):
        """
        Let the program make a call; return the lines that it printed.
        """
        self.lines.clear()
        self.process.chart_event(number, lparam, dparam, sparam)
        self.process.wait_for(lambda: self.lines and self.lines[-1] == "#")
        self.process.journal.clear()
        self.process.events.clear()
        assert not [line for line in self.lines if line.startswith("!")], self.lines
        return self.lines[:-1]

    def ask(self, number, wanted, flags, *, tag="", hedging=False):
        """
        Let the program make a call about a request; return the words of its answer.

        Raises:
            Refused: the program refused.
        """
        odd = {name: getattr(wanted, name) for name in NUMBERS}
        odd = {name: value for name, value in odd.items() if value and not math.isfinite(value)}
        new = New(
            command_id="test/1",
            tag=tag or "zb1:T",
            sent_us=0,
            deadline_us=0,
            relay_epoch=0,
            incarnation=INCARNATION,
            login=LOGIN,
            flags=flags & 0xFFFFFFFF,
            request=wanted._replace(**dict.fromkeys(odd, 1.0)),
        )
        spoiled = "".join(f" {name} {value}" for name, value in odd.items())
        lines = self.call(number, flags, float(hedging), pack_message(new).hex() + spoiled)
        if lines and lines[0].startswith("-"):
            reason, _, text = lines[0][1:].partition(" ")
            raise Refused(DenyReason(int(reason)), text)
        return lines[0].removeprefix("=").strip("|").split("|") if lines else []

    def records(self, cls, number, lparam=0, sparam=""):
        """
        Return what the program says is open, or was.
        """
        lines = self.call(number, lparam, 0.0, sparam)
        return [record_of(cls, line[2:].split("|"))[0] for line in lines]

    def _take_event(self, event):
        if event.get("event") == "print":
            self.lines.append(event["text"])


class MqlRequestMaker:
    """
    What ``RequestMaker`` is, made of calls to the program.
    """

    program = None

    def __init__(self, broker, specs, quote):
        history = None
        if any(quote(name) is not None for name in specs):
            history = broker.market.history
        self.program.look_at(broker, Market(specs.values(), history=history))

    def check(self, wanted, flags):
        self.program.ask(CHECK, wanted, flags)

    def make(self, wanted, flags, tag):
        words = self.program.ask(MAKE, wanted, flags, tag=tag)
        made, before = record_of(TradeRequest, words)
        return Draft(made if tag else dataclasses.replace(made, comment=""), before)


def mql_reduces(wanted, flags, *, hedging):
    return ["yes"] == MqlRequestMaker.program.ask(REDUCES, wanted, flags, hedging=hedging)


@pytest.fixture(scope="module", autouse=True)
def program(tmp_path_factory):
    """
    Let the model's tests make requests with the translated program.
    """
    binary = building.build(PROGRAM, mode="asan")
    process = EaProcess(
        binary,
        market=Market([]),
        account=ACCOUNT,
        clock="virtual",
        folder=tmp_path_factory.mktemp("requests"),
        symbol="EURUSD",
    )
    with process, pytest.MonkeyPatch.context() as patch:
        running = Program(process)
        patch.setattr(MqlRequestMaker, "program", running)
        patch.setattr(model, "RequestMaker", MqlRequestMaker)
        patch.setattr(model, "reduces", mql_reduces)
        yield running
        code = process.deinit()

    assert (0, "") == (code, process.crash)


globals().update(
    {name: item for name, item in vars(model).items() if name.startswith("test_")}
    | {"bench": model.bench}
)


# Both make the same ----------------------------------------------------------------------------


def answer_of(maker, wanted, flags):
    """
    Return what a maker makes, as bits, or why it refuses.
    """
    try:
        maker.check(wanted, flags)
        draft = maker.make(wanted, flags, "zb1:T")
    except Refused as refused:
        named = refused.text.partition(":")[0] if refused.reason is DenyReason.INVALID else ""
        return refused.reason, named
    values = [
        struct.pack("<d", value) if isinstance(value, float) else value
        for value in dataclasses.astuple(draft.request)
    ]
    return values, [struct.pack("<d", value) for value in draft.before]


def both_make_the_same(bench, wanted, flags):
    """
    Assert that both makers answer a request alike; return the answer.
    """
    arguments = (bench.exchange, bench.market.specs, bench.core._quote)
    of_python = answer_of(RequestMaker(*arguments), wanted, flags)
    of_mql = answer_of(MqlRequestMaker(*arguments), wanted, flags)

    assert of_python == of_mql, (wanted, flags)
    return of_python


def wild_number(rng, near=1.1):
    """
    Return a number as a relay might send one, or None.
    """
    return rng.choice(
        [
            None,
            None,
            0.0,
            -0.0,
            near,
            near,
            round(near * rng.uniform(0.9, 1.1), 5),
            near + 1e-6,
            near + 1e-11,
            rng.uniform(0, 3),
            -5.0,
            1e9,
            1.1e9,
            5e-324,
            float("nan"),
            float("inf"),
            100.0,
        ]
    )


def wild_request(rng):
    """
    Return a request that could be meant, but for up to three fields that say anything.
    """
    ticket = rng.choice([None, 0, 1, 2, 3, 4, 99, 2**63, 2**64 - 1])
    small = rng.choice([None, 0, 1, 2, 3, 6, 7, 255])
    wanted = rng.choice(
        [
            buy(0.3, price=1.1, sl=1.05),
            sell(1.0, symbol="ES"),
            request(DEAL, position=1),
            request(DEAL, position=2, volume=0.1),
            request(DEAL, symbol="EURUSD", volume=0.1, type=1),
            model.limit_buy(sl=100.0, tp=200.0),
            model.limit_buy(1.2, kind=6, stoplimit=1.19, symbol="USDJPY"),
            request(SLTP, position=1, sl=1.04),
            request(SLTP, position=2, tp=50.0),
            request(MODIFY, order=3, price=1.06),
            request(REMOVE, order=3),
            request(CLOSE_BY, position=1, position_by=2),
        ]
    )
    anything = {
        "action": rng.choice([DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY, 0, 255]),
        "magic": rng.choice([None, 0, 7, 2**64 - 1]),
        "order": ticket,
        "symbol": rng.choice([None, "EURUSD", "USDJPY", "ES", "", "NOPE", "\u20ac" * 40]),
        "volume": rng.choice([None, 0.1, 0.3, 1.0, wild_number(rng, 0.1)]),
        "price": wild_number(rng),
        "stoplimit": wild_number(rng),
        "sl": wild_number(rng),
        "tp": wild_number(rng),
        "deviation": rng.choice([None, 0, 10, 2**64 - 1]),
        "type": small,
        "type_filling": small,
        "type_time": small,
        "expiration": rng.choice([None, 0, -1, -(2**63), 2**63 - 1, 1_800_000_000]),
        "comment": rng.choice([None, "", "\u20ac" * 40]),
        "position": ticket,
        "position_by": ticket,
    }
    spoiled = rng.sample(sorted(anything), rng.randrange(4))
    return wanted._replace(**{name: anything[name] for name in spoiled})


@pytest.mark.parametrize("mode", list(AccountMarginMode))
def test_both_make_the_same_of_wild_requests(mode, rng):
    """
    Whatever a relay sends: the same order, or the same field named.
    """
    account = Account(login=LOGIN, server="Demo-Server", margin_mode=mode)
    symbols = [
        SymbolSpec(name="EURUSD"),
        SymbolSpec(name="USDJPY", digits=3),
        SymbolSpec(name="ES", digits=2, trade_tick_size=0.25, volume_min=1.0, volume_step=1.0),
    ]
    bench = DeskBench(symbols=symbols, account=account).connect()
    bench.order(buy(0.3, magic=5, sl=1.05))
    bench.order(sell(0.2))
    bench.order(model.limit_buy(sl=1.01, tp=1.2, type_time=2, expiration=1_800_000_000))
    made = sum(
        isinstance(
            both_make_the_same(
                bench, wild_request(rng), rng.choice([0, 0, 1, 2, 4, 8, 12, 13, 64])
            )[0],
            list,
        )
        for _ in range(300)
    )

    assert made > 30


def number(packed):
    """
    Return the double of eight bytes.
    """
    return struct.unpack("<d", packed)[0]


# Numbers ---------------------------------------------------------------------------------------

#: symbols whose numbers are unlike: decimals of a price, tick size, volume step, a price
KINDS = {
    "share": (SymbolSpec(name="S", digits=2, volume_min=1.0, volume_step=1.0), 187.53),
    "jpy": (SymbolSpec(name="S", digits=3), 154.321),
    "forex": (SymbolSpec(name="S", digits=5), 1.08642),
    "coin": (SymbolSpec(name="S", digits=8, volume_min=0.001, volume_step=0.001), 0.06123457),
    "big": (SymbolSpec(name="S", digits=2, volume_min=0.001, volume_step=0.001), 67_891.23),
    "future": (
        SymbolSpec(name="S", digits=2, trade_tick_size=0.25, volume_min=1.0, volume_step=1.0),
        5_123.75,
    ),
    "index": (SymbolSpec(name="S", digits=1, trade_contract_size=10.0, volume_step=0.1), 18_321.4),
    "bond": (
        SymbolSpec(name="S", digits=5, trade_tick_size=0.03125, volume_min=1.0, volume_step=1.0),
        110.03125,
    ),
    "micro": (SymbolSpec(name="S", volume_min=1e-8, volume_step=1e-8, volume_max=1000.0), 1.1),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_numbers_at_the_edge_of_a_double_are_sent_alike(kind, rng):
    """
    Volumes and prices with the noise of a double, stops in points: the nearest doubles go out.
    """
    spec, price = KINDS[kind]
    step, tick = spec.volume_step, spec.trade_tick_size
    bench = DeskBench(symbols=[spec])
    bench.quote(price, price + tick, symbol="S")
    for _ in range(60):
        count = rng.randint(round(spec.volume_min / step), round(10 * spec.volume_min / step) + 50)
        at = price + rng.randint(-200, 200) * tick
        noisy = sum([step] * count) if count < 500 else count * step
        wanted = rng.choice(
            [
                buy(noisy, symbol="S", price=at, sl=at - 20 * tick),
                sell(count * step * (1 + 2**-52), symbol="S", sl=17.0, tp=33.0),
                model.limit_buy(at, symbol="S", volume=noisy, sl=13.0, tp=0.0),
                model.limit_buy(at, kind=7, symbol="S", volume=noisy, stoplimit=at + 3 * tick),
                buy(noisy, symbol="S", price=at + tick / 3),
                buy(noisy + step / 2, symbol="S"),
                buy(noisy, symbol="S", tp=at * (1 + 2**-50)),
            ]
        )
        in_points = (wanted.sl or 0) in {13.0, 17.0}
        answer = both_make_the_same(bench, wanted, (SL | TP) if in_points else 0)
        if isinstance(answer[0], list):
            volume, sent_price = number(answer[0][4]), number(answer[0][5])
            assert round(volume, 8) == volume
            assert round(sent_price, spec.digits) == sent_price


def test_what_a_double_makes_of_a_tenth_is_sent_as_a_tenth():
    bench = DeskBench().connect()
    values, _ = both_make_the_same(bench, buy(0.30000000000000004, price=1.1 + 1e-12), 0)

    assert (0.3, 1.1) == (number(values[4]), number(values[5]))


@pytest.mark.parametrize("first", [2**31, 2**53 + 1, 2**63 - 1, 2**63 + 12345, 2**64 - 9])
def test_tickets_have_64_bits(program, first):
    """
    No ticket goes through a double or a signed number.
    """
    bench = DeskBench().connect()
    bench.exchange._books.next_order = first
    position = bench.order(buy(0.2)).position
    other = bench.order(sell(0.1)).position
    order = bench.order(model.limit_buy()).order

    assert (first, first + 1, first + 2) == (position, other, order)
    for wanted, flags in (
        (request(DEAL, position=position), REDUCE),
        (request(SLTP, position=other, sl=1.2), 0),
        (request(CLOSE_BY, position=position, position_by=other), 0),
        (request(MODIFY, order=order, price=1.02), 0),
        (request(REMOVE, order=order), 0),
    ):
        values, _ = both_make_the_same(bench, wanted, flags)
        made = TradeRequest(
            **dict(zip([one.name for one in dataclasses.fields(TradeRequest)], values, strict=True))
        )
        assert (wanted.order or 0, wanted.position or 0, wanted.position_by or 0) == (
            made.order,
            made.position,
            made.position_by,
        )
    program.look_at(bench.exchange, bench.market)
    assert [first, first + 1] == [one.ticket for one in program.records(PositionRecord, POSITIONS)]


@pytest.mark.parametrize(
    ("execution", "mask", "filling"),
    [
        (SymbolTradeExecution.MARKET, 1, 0),
        (SymbolTradeExecution.MARKET, 2, 1),
        (SymbolTradeExecution.MARKET, 7, 1),
        (SymbolTradeExecution.EXCHANGE, 0, 2),
        (SymbolTradeExecution.EXCHANGE, 4, 2),
        (SymbolTradeExecution.INSTANT, 2, 0),
        (SymbolTradeExecution.REQUEST, 0, 0),
    ],
)
def test_a_close_has_a_filling_of_the_symbol_too(execution, mask, filling):
    spec = SymbolSpec(name="EURUSD", trade_exemode=execution, filling_mode=SymbolFillingMode(mask))
    bench = DeskBench(symbols=[spec]).connect()
    ticket = bench.order(buy(0.2)).position
    values, _ = both_make_the_same(bench, request(DEAL, position=ticket), REDUCE)

    assert filling == values[11]


def test_side_and_volume_of_a_close_are_those_of_the_moment():
    """
    What was read when the command came is old when it is sent.
    """
    for mode in AccountMarginMode:
        account = Account(login=LOGIN, server="Demo-Server", margin_mode=mode)
        bench = DeskBench(account=account).connect()
        ticket = bench.order(buy(0.5)).position
        close = request(DEAL, symbol="EURUSD", position=ticket)
        before, _ = both_make_the_same(bench, close, REDUCE)
        bench.order(request(DEAL, position=ticket, volume=0.2, symbol="EURUSD"), flags=REDUCE)
        after, _ = both_make_the_same(bench, close, REDUCE)
        bench.order(request(DEAL, position=ticket, symbol="EURUSD"), flags=REDUCE)
        closed = both_make_the_same(bench, close, REDUCE)

        assert (0.5, 0.3) == (number(before[4]), number(after[4]))
        assert (DenyReason.NOTHING_TO_CLOSE, "") == closed


# What the broker says --------------------------------------------------------------------------


@pytest.fixture
def busy_bench():
    """
    A bench with an account on which much has happened.
    """
    bench = DeskBench().connect()
    for volume in (0.1, 0.2, 0.3, 0.4):
        bench.order(buy(volume, magic=2**63 + 7, sl=1.05))
        bench.order(sell(volume, symbol="GBPUSD"))
        bench.order(model.limit_buy(1.01 + volume / 10))
        bench.advance(700)
    bench.order(request(DEAL, position=1), flags=REDUCE)
    bench.order(request(REMOVE, order=3))
    return bench


@pytest.mark.parametrize("order", ["ticket", "reversed", "shuffled"])
def test_lists_are_whole_in_whatever_order_the_terminal_has_them(program, busy_bench, order):
    exchange = busy_bench.exchange
    program.look_at(exchange, busy_bench.market)
    program.process.broker.trade.faults.list_order = order

    assert exchange.positions() == program.records(PositionRecord, POSITIONS)
    assert exchange.positions(symbol="GBPUSD") == program.records(
        PositionRecord, POSITIONS, sparam="GBPUSD"
    )
    assert exchange.orders() == program.records(OrderRecord, ORDERS)
    assert exchange.orders(symbol="GBPUSD") == program.records(OrderRecord, ORDERS, sparam="GBPUSD")


@pytest.mark.parametrize(("call", "kind"), [(POSITIONS, PositionRecord), (ORDERS, OrderRecord)])
def test_a_list_that_changes_while_it_is_read_is_whole(
    program, busy_bench, monkeypatch, call, kind
):
    """
    What was read first is gone: everything behind it has another index.
    """
    exchange, broker = busy_bench.exchange, program.process.broker
    program.look_at(exchange, busy_bench.market)
    monkeypatch.setattr(broker.trade, "keeps_lists", False)
    monkeypatch.setattr(broker.trade, "few", 0)
    at = Call.POSITION_AT if call == POSITIONS else Call.ORDER_AT
    answer = broker._answers[at]
    first = (exchange.positions() if call == POSITIONS else exchange.orders())[0]
    ends = TradeRequest(action=REMOVE, order=first.ticket)
    if call == POSITIONS:
        ends = TradeRequest(
            action=DEAL,
            position=first.ticket,
            symbol=first.symbol,
            volume=first.volume,
            type=1 - first.type,
            type_filling=1,
        )

    def ending(fields):
        found = answer(fields)
        if first.ticket in {one.ticket for one in (*exchange.positions(), *exchange.orders())}:
            assert TradeRetcode.DONE == exchange.order_send(ends, exchange.now_us).result.retcode
        return found

    monkeypatch.setitem(broker._answers, at, ending)
    read = program.records(kind, call)

    assert (exchange.positions() if call == POSITIONS else exchange.orders()) == read


@pytest.mark.parametrize("whole_last_second", [False, True])
def test_the_history_of_a_time_is_exact_to_the_millisecond(
    program, busy_bench, whole_last_second, rng
):
    """
    HistorySelect counts in seconds, and whether the last one is in it is not written.
    """
    exchange = busy_bench.exchange
    program.look_at(exchange, busy_bench.market)
    program.process.broker.trade.faults.whole_last_second = whole_last_second
    times = [deal.time_msc for deal in exchange.history_deals(0, EVER)]
    ranges = [(0, EVER), (-5, EVER), (times[0], times[-1]), (times[3] + 1, times[-1] - 1)]
    ranges.extend(
        tuple(sorted(rng.choice(times) + rng.randint(-2, 2) for _ in range(2))) for _ in range(6)
    )
    for from_msc, to_msc in ranges:
        deals = program.records(DealRecord, HISTORY_DEALS, from_msc, str(to_msc))
        orders = program.records(OrderRecord, HISTORY_ORDERS, from_msc, str(to_msc))

        assert exchange.history_deals(from_msc, to_msc) == deals
        assert exchange.history_orders(from_msc, to_msc) == orders


def test_a_history_that_cannot_be_read_is_not_an_empty_one(program, busy_bench):
    program.look_at(busy_bench.exchange, busy_bench.market)
    program.process.broker.trade.faults.history_error = 4403

    with pytest.raises(AssertionError, match="4403"):
        program.records(DealRecord, HISTORY_DEALS, 0, str(EVER))


@pytest.mark.parametrize("field", ["price", "stoplimit", "sl", "tp"])
@pytest.mark.parametrize(
    "wanted",
    [
        buy(0.3),
        request(DEAL, position=1),
        model.limit_buy(),
        model.limit_buy(1.2, kind=6, stoplimit=1.19),
        request(SLTP, position=1, sl=1.04, tp=1.2),
        request(SLTP, position=99, sl=1.04, tp=1.2),
        request(MODIFY, order=2, price=1.06),
    ],
)
def test_both_make_the_same_of_minus_zero(wanted, field):
    bench = DeskBench(symbols=[SymbolSpec(name="EURUSD")]).connect()
    bench.order(buy(0.3, sl=1.05))
    bench.order(model.limit_buy(sl=1.01, tp=1.2))
    bench.quote(1.1, 1.1001)

    both_make_the_same(bench, wanted._replace(**{field: -0.0}), 0)
