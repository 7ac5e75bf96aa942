"""
The Expert Advisor and the Python terminal put the same on the wire when they trade.

Both get the same commands, with the same broker behind them; what they said is compared frame by
frame (``scenarios/wire_trades.py`` says what may differ, and why). ``make test`` compares some
sessions, ``make test-ea`` all.
"""

from __future__ import annotations

import dataclasses
import os
import random

import pytest

from bridge.model.enums import AccountMarginMode
from bridge.model.trade import order_tag
from bridge.sim.exchange_rules import CommentMode
from bridge.wire.events import HelloReceived
from bridge.wire.messages import QueriedCommand, Query
from bridge.wire.spec import NewFlag, Permission, TradingState
from tests.mql5.scenarios.expert import LIMIT_INPUTS, why_not
from tests.mql5.scenarios.scripted import ScriptedRelay
from tests.mql5.scenarios.trading_terminals import PythonOnVirtual
from tests.mql5.scenarios.virtual import KEY
from tests.mql5.scenarios.wire_trades import APART_MSC, apart, said
from tests.mql5.trade_bench import CAPABILITIES_THAT_TRADE, TradeBench
from tests.support.desk_bench import CLOSE_BY, MODIFY, PENDING, REMOVE, SLTP, buy, request, sell
from tests.support.exchange_bench import NETTING, START_MSC, ExchangeBench

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300, func_only=True),
]

UTC_OFFSET_MIN = 120
START_UTC_MSC = START_MSC - UTC_OFFSET_MIN * 60_000
REDUCE_ONLY, ADMIN = int(NewFlag.REDUCE_ONLY), int(NewFlag.ADMIN)
EVERYTHING = os.environ.get("BRIDGE_EA_MODES") == "all"
#: sessions in which anything happens, and how much
ROUNDS, STEPS = (100, 40) if EVERYTHING else (1, 20)
GRID_US = 500_000
POINTS = int(NewFlag.SL_POINTS | NewFlag.TP_POINTS)


class PythonProgram(PythonOnVirtual):
    """
    The Python terminal with the names of ``EaProcess``.
    """

    crash = ""

    def deinit(self):
        self.stop()

    def close(self):
        pass

    def set_permissions(self, permissions):
        self.core.permissions = permissions

    def disconnect_trade_server(self):
        self.exchange.rules = dataclasses.replace(self.exchange.rules, connected=False)

    def reconnect_trade_server(self):
        self.exchange.rules = dataclasses.replace(self.exchange.rules, connected=True)


class WireBench(TradeBench):
    """
    A bench of which every frame is kept, in the order of their coming, with those of the logons.
    """

    def __init__(self, folder, relay, bench):
        super().__init__(folder, relay, bench)
        relay.logon = self._logon

    def _logon(self, _session, event):
        if isinstance(event, HelloReceived):
            self.take()
            self.received.append(event.hello)
        return False

    def begin(self, **limits):
        limits = {"demo_only": False, **limits}
        inputs = {LIMIT_INPUTS[name]: value for name, value in limits.items()}
        options = {"start_utc_ms": START_UTC_MSC}
        # It looks as often as the other one.
        return self.start(options=options, InpTimerMs=10, **inputs).wait(0.5)

    def wait(self, seconds=0.0):
        """
        Let time go by, up to the next half of a second: so all terminals go at the same times.
        """
        # A delay of the broker ends at a time of this grid for one and behind it for the other.
        until_us = self.process.now_us + round(seconds * 1e6) + 2 * APART_MSC * 1000
        until_us += GRID_US - until_us % GRID_US
        return super().wait((until_us - self.process.now_us) / 1e6 - 0.05)

    def again(self):
        return self._within(2.0, super().again)

    def come_back(self):
        return self._within(3.0, super().come_back)

    def _within(self, seconds, call):
        # How long a terminal waits before it dials again is drawn.
        until_us = self.process.now_us + round(seconds * 1e6)
        call()
        return self.wait((until_us - self.process.now_us - 1) / 1e6)

    def do(self, wanted, command_id=None, *, seconds=0.5, **changes):
        """
        Send a NEW, wait for the RESULT, and for all that comes of it.
        """
        result = self.order(wanted, command_id, **changes)
        self.wait(seconds)
        return result

    def ask(self, *names, seconds=0.5, **more):
        found = self.query(*names, **more)
        self.wait(seconds)
        return found

    def by_hand(self, order_type=0, volume=0.3, **fields):
        """
        Let a person trade.
        """
        self.bench.now_us = self.exchange.now_us
        rules = self.exchange.rules
        self.bench.set(lose_reply=0.0, lose_request=0.0)
        result = self.bench.deal(order_type, volume, **fields)
        self.exchange.rules = rules
        self.wait(0.5)
        return result


class PythonBench(WireBench):
    def begin(self, **limits):
        self.process = PythonProgram(
            self.exchange,
            self.relay,
            self.relay.path,
            self.folder / "terminal",
            limits=limits,
        )
        self.process.start()
        return self.log_on().wait(0.5)


def record(folder, make, script, account=None, seed=0, **rules):
    """
    Return what a terminal said while a script was played to it.
    """
    folder.mkdir()
    with ScriptedRelay(KEY, folder / "relay.sock") as relay:
        relay.capabilities = CAPABILITIES_THAT_TRADE
        bench = make(folder, relay, ExchangeBench(account=account, seed=seed, **rules))
        script(bench)
        bench.wait(1.0)
        bench.stop()
        return said(bench.received)


def compare(folder, script, **options):
    python = record(folder / "python", PythonBench, script, **options)
    ea = record(folder / "ea", WireBench, script, **options)

    assert [one[:2] for one in python] == [one[:2] for one in ea]
    assert [] == [pair for pair in zip(python, ea, strict=True) if apart(*pair)]
    assert len(python) > 3
    return python


def limit(price=1.05, volume=0.2, **fields):
    return request(PENDING, symbol="EURUSD", volume=volume, type=2, price=price, **fields)


# --- scripts -----------------------------------------------------------------------------------


def every_action(bench):
    bench.begin()
    placed = bench.do(limit(), "p/1")
    bench.do(request(MODIFY, order=placed.order, price=1.01, sl=0.9), "p/2")
    bench.do(request(REMOVE, order=placed.order), "p/3")
    one = bench.do(buy(0.5, magic=7, sl=1.0), "d/1")
    bench.do(request(SLTP, position=one.position, sl=1.01, tp=1.2), "d/2")
    part = request(1, symbol="EURUSD", position=one.position, volume=0.1, type=1)
    bench.do(part, "d/3", flags=REDUCE_ONLY)
    other = bench.do(sell(0.1), "d/4")
    bench.do(request(CLOSE_BY, position=one.position, position_by=other.position), "d/5")
    bench.do(request(1, position=one.position), "d/6", flags=REDUCE_ONLY)
    for number, kind in enumerate((3, 4, 5, 6, 7)):
        price = {3: 1.2, 4: 1.2, 5: 1.0, 6: 1.2, 7: 1.0}[kind]
        stoplimit = {6: 1.15, 7: 1.05}.get(kind)
        wanted = request(
            PENDING, symbol="EURUSD", volume=0.1, type=kind, price=price, stoplimit=stoplimit
        )
        bench.do(wanted, f"k/{number}")
    bench.do(buy(0.1, sl=100.0, tp=200.0), "f/1", flags=POINTS)


def what_is_denied(bench):
    bench.begin(symbols="EURUSD,USDJPY", max_volume=0.5, max_positions=2)
    for number, wanted in enumerate(
        (
            buy(0.0),
            buy(-1.0),
            buy(1e300),
            buy(0.6),
            buy(0.123),
            buy(symbol="GBPUSD"),
            buy(symbol="NOPE"),
            request(77, symbol="EURUSD", volume=0.1, type=0),
            request(1, symbol="EURUSD", volume=0.1, type=2),
            request(1, symbol="EURUSD", volume=0.1),
            request(PENDING, symbol="EURUSD", volume=0.1, type=2),
            request(SLTP, position=12_345, sl=1.0),
            request(MODIFY, order=12_345, price=1.0),
            request(REMOVE, order=12_345),
            request(CLOSE_BY, position=12_345, position_by=12_346),
            buy(0.1, sl=1.5),
            buy(0.1, tp=0.5),
            limit(price=1.5),
            buy(90.0),
        )
    ):
        bench.do(wanted, f"w/{number}", seconds=0.1)
    bench.do(buy(), flags=1 << 31)
    bench.do(buy(), tag="zb1:SOMEBODYELSES00")
    bench.do(buy(), login=8)
    bench.do(buy(), incarnation=bytes(16))
    bench.do(buy(), relay_epoch=6)
    bench.do(buy(), "late", deadline_us=-(2**63))
    first = bench.do(buy(0.1), "a/1")
    bench.do(buy(0.1), "a/1")
    bench.do(buy(0.2), "a/1")
    bench.do(buy(0.1), "a/2")
    bench.do(buy(0.1), "a/3", flags=ADMIN)
    bench.do(request(1, position=first.position, volume=0.7), "a/4", flags=REDUCE_ONLY)
    bench.do(request(1, position=first.position), "a/5", flags=REDUCE_ONLY)


def what_is_rejected(bench):
    bench.begin()
    bench.do(buy(90.0), "a/0")
    for number, rules in enumerate(
        (
            {"reject": 1.0},
            {"reject": 0.0, "market_closed": frozenset({"EURUSD"})},
            {"market_closed": frozenset(), "no_quotes": frozenset({"EURUSD"})},
            {"no_quotes": frozenset(), "max_positions": 1},
            {"max_positions": 0, "server_disables_at": True},
            {"server_disables_at": False, "trade_disabled": True},
            {"trade_disabled": False, "client_disables_at": True},
            {"client_disables_at": False, "max_orders": 1},
        )
    ):
        bench.bench.set(**rules)
        bench.wait(0.3)
        bench.do(buy(0.1), f"a/{number + 1}")
        bench.do(limit(), f"b/{number + 1}")


def how_orders_fill(bench):
    bench.begin()
    for number, rules in enumerate(
        (
            {"partial": 1.0},
            {"partial": 0.0, "fill_ms": (400, 400)},
            {"fill_ms": (0, 0), "slippage_points": 3},
            {"slippage_points": 0, "visibility_ms": (300, 300)},
            {"visibility_ms": (0, 0), "state_delay_ms": (300, 300)},
            {"state_delay_ms": (0, 0), "commission_per_lot": 3.5, "fee_per_lot": 0.5},
            {"execution_ms": (250, 250), "reply_ms": (250, 250)},
        )
    ):
        bench.bench.set(**rules)
        opened = bench.do(buy(0.3), f"a/{number}", seconds=1.5)
        close = request(1, position=opened.position, volume=0.1)
        bench.do(close, f"b/{number}", flags=REDUCE_ONLY, seconds=1.5)


def what_a_query_is_told(bench):
    bench.begin()
    bench.ask("never/1", "never/2")
    placed = bench.do(limit(), "p/1")
    bench.do(buy(0.1), "a/1")
    bench.ask("p/1", "a/1", "never/3")
    bench.bench.set(lose_reply=1.0, reply_timeout_ms=2_000)
    bench.do(buy(0.2), "a/2", seconds=1.0)
    bench.do(request(MODIFY, order=placed.order, price=1.04), "a/3", seconds=1.0)
    bench.do(request(REMOVE, order=placed.order), "a/4", seconds=1.0)
    bench.ask("a/2", "a/3", "a/4", settle_ms=500)
    bench.bench.set(lose_reply=0.0, lose_request=1.0)
    for number, wanted in enumerate((buy(0.3), limit(), sell(0.1))):
        bench.do(wanted, f"b/{number}", seconds=0.1)
    bench.ask("b/0", "b/1", "b/2", settle_ms=3_000)
    bench.ask("b/0", "b/1", "b/2", settle_ms=3_000, seconds=4.0)
    bench.ask("b/0", "b/1", "b/2", settle_ms=3_000)
    commands = [
        QueriedCommand(order_tag(name), START_UTC_MSC, 0, buy(0.2)) for name in ("a/2", "old/1")
    ]
    bench.ask("a/2", "old/1", commands=commands)


def what_is_known_after_a_kill(bench):
    bench.bench.set(execution_ms=(300, 300), reply_ms=(300, 300))
    bench.begin()
    bench.do(buy(0.1), "a/1")
    bench.relay.send(bench.new(buy(0.2), "a/2"))
    bench.until(lambda: len(bench.exchange.positions()) == 2)
    bench.kill().begin()
    bench.ask("a/1", "a/2", settle_ms=1_000)
    bench.do(buy(0.2), "a/2")
    bench.relay.send(bench.new(buy(0.4), "a/3"))
    bench.wait(0.05)
    bench.kill()
    bench.exchange._jobs.clear()
    bench.begin()
    bench.ask("a/3", settle_ms=2_000, seconds=2.5)
    bench.ask("a/3", settle_ms=2_000)
    bench.do(buy(0.4), "a/3")


def another_ledger(bench):
    bench.begin()
    bench.do(buy(0.1), "a/1")
    bench.do(limit(), "a/2")
    old = bench.hello.incarnation
    bench.stop()
    for path in sorted(bench.folder.glob("terminal/**/*")):
        if path.is_file():
            path.unlink()
    bench.begin()
    bench.do(buy(0.1), "a/3", incarnation=old)
    commands = [
        QueriedCommand(order_tag("a/1"), START_UTC_MSC, 0, buy(0.1)),
        QueriedCommand(order_tag("a/2"), START_UTC_MSC, 0, limit()),
        QueriedCommand(order_tag("a/4"), START_UTC_MSC, 0, buy(0.7)),
    ]
    bench.ask("a/1", "a/2", "a/4", commands=commands)


def what_happens_to_the_account(bench):
    bench.begin()
    one = bench.do(buy(0.5, sl=1.09, tp=1.2), "a/1")
    bench.by_hand(volume=0.3)
    bench.by_hand(1, volume=0.2)
    bench.do(limit(), "a/2")
    bench.quote(1.08, 1.0801).wait(0.5)
    bench.quote(1.04, 1.0401).wait(0.5)
    seconds = START_MSC // 1000 + bench.exchange.now_us // 1_000_000 + 5
    bench.do(limit(price=1.0, type_time=2, expiration=seconds), "a/3")
    bench.wait(7.0)
    bench.quote(1.04, 1.0401).wait(1.0)
    bench.do(request(1, position=one.position), "a/4", flags=REDUCE_ONLY)
    bench.do(buy(5.0), "a/5")
    bench.quote(1.01, 1.0101).wait(0.5)
    bench.quote(1.002, 1.0021).wait(1.0)


def events_over_cuts(bench):
    bench.begin()
    bench.do(buy(0.1), "a/1")
    bench.again().wait(0.5)
    bench.by_hand()
    bench.leave().wait(0.5)
    bench.by_hand(volume=0.4)
    bench.come_back().wait(1.0)
    bench.acknowledges = False
    bench.by_hand(volume=0.5)
    bench.again().wait(1.0)
    bench.acknowledges = True
    bench.again().wait(1.0)
    bench.kill()
    bench.bench.now_us = bench.exchange.now_us
    bench.bench.deal(0, 0.6)
    bench.begin().wait(1.0)
    bench.relay.place = None
    bench.again().wait(1.0)


def who_may_stop_it(bench):
    bench.begin()
    one = bench.do(buy(0.2), "a/1")
    bench.do(limit(), "a/2")
    bench.halt(TradingState.REDUCING).wait(0.3)
    bench.do(buy(0.1), "a/3")
    bench.do(limit(), "a/4")
    bench.do(request(SLTP, position=one.position, sl=1.0), "a/5")
    bench.do(request(1, position=one.position, volume=0.1), "a/6", flags=REDUCE_ONLY)
    bench.halt(TradingState.HALTED).wait(0.3)
    bench.halt(TradingState.ACTIVE, epoch=6).wait(0.3)
    bench.do(buy(0.1), "a/7")
    bench.do(request(1, position=one.position), "a/8", flags=REDUCE_ONLY)
    bench.do(request(1, position=one.position), "a/9", flags=REDUCE_ONLY | ADMIN)
    bench.halt(TradingState.ACTIVE).wait(0.3)
    bench.do(buy(0.1), "b/1")
    for off in (Permission.TERMINAL_TRADE_ALLOWED, Permission.MQL_TRADE_ALLOWED):
        bench.process.set_permissions(Permission(31) & ~off)
        bench.wait(0.3)
        bench.do(buy(0.1), f"c/{off.name}")
    bench.process.set_permissions(Permission(31))
    for name in ("trade_disabled", "server_disables_at", "client_disables_at"):
        bench.bench.set(**{name: True})
        bench.wait(0.3)
        bench.do(buy(0.1), f"c/{name}")
        bench.bench.set(**{name: False})
    bench.wait(0.3).do(buy(0.1), "d/1")


def what_waits_behind_an_order(bench):
    bench.bench.set(execution_ms=(400, 400))
    bench.begin()
    for number in range(5):
        bench.relay.send(bench.new(buy(0.1 + number / 10), f"a/{number}"))
    bench.relay.send(Query(("a/0", "a/3", "x/1"), 6_000, bench.relay.clock(), ()))
    soon = bench.relay.clock() + 1_200_000
    bench.relay.send(bench.new(buy(0.1), "late", deadline_us=soon))
    bench.wait(1.1)
    bench.halt(TradingState.HALTED)
    bench.until(lambda: len(bench.results) == 9)


def what_is_read(bench):
    bench.begin()
    one = bench.do(buy(0.2, magic=7), "a/1")
    bench.do(sell(0.1, symbol="GBPUSD"), "a/2")
    two = bench.do(limit(magic=7), "a/3")
    for method in ("positions", "orders"):
        ticket = one.position if method == "positions" else two.order
        for params in (
            {},
            {"symbol": "EURUSD"},
            {"symbol": "NOPE"},
            {"ticket": ticket},
            {"ticket": 99},
            {"magic": 7},
            {"magic": 7, "symbol": "GBPUSD"},
            {"unknown": 1},
            {"ticket": "x"},
        ):
            bench.read(method, **params)
    bench.read("account")
    for wanted in (
        {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": 0},
        {"action": 1, "symbol": "EURUSD", "volume": 90.0, "type": 1},
        {"action": 1, "symbol": "EURUSD", "volume": 0.0, "type": 0},
        {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.05},
        {"action": 5, "symbol": "EURUSD", "volume": 0.1, "type": 2, "price": 1.5},
        {"action": 6, "position": one.position, "sl": 1.0},
        {"action": 7, "order": two.order, "price": 1.04},
        {"action": 8, "order": two.order},
        {"action": 8, "order": 99},
        {"action": 77},
        {},
    ):
        bench.read("order_check", **wanted)


def anything(rng, bench):
    """
    Let something be asked for, or happen; all that it depends on is the same for both.
    """
    positions, orders = bench.exchange.positions(), bench.exchange.orders()
    kind = rng.choice(KINDS)
    volume = rng.choice((0.01, 0.1, 0.123, 0.5, 200.0))
    position = rng.choice(positions).ticket if positions else 99
    order = rng.choice(orders).ticket if orders else 99
    level = round(rng.uniform(1.0, 1.2), rng.choice((2, 5, 7)))
    known = [one.command_id for one in bench.results]
    match kind:
        case "deal":
            flags, levels = rng.choice(((0, {}), (0, {"sl": level}), (POINTS, IN_POINTS)))
            symbol = rng.choice(("EURUSD", "EURUSD", "GBPUSD", "USDJPY"))
            make, magic = rng.choice((buy, sell)), rng.choice((None, 7))
            bench.do(make(volume, symbol=symbol, magic=magic, **levels), flags=flags)
        case "pending":
            bench.do(limit(level, volume, sl=rng.choice((None, 0.9, level))))
        case "stop":
            which = rng.choice((3, 4, 5))
            bench.do(request(PENDING, symbol="EURUSD", volume=volume, type=which, price=level))
        case "modify":
            bench.do(request(MODIFY, order=order, price=level))
        case "cancel":
            bench.do(request(REMOVE, order=order))
        case "levels":
            bench.do(request(SLTP, position=position, **{rng.choice(("sl", "tp")): level}))
        case "close":
            chosen = rng.choice((None, volume))
            bench.do(request(1, position=position, volume=chosen), flags=REDUCE_ONLY)
        case "close by":
            other = rng.choice(positions).ticket if positions else 98
            bench.do(request(CLOSE_BY, position=position, position_by=other))
        case "again" if known:
            # Not a time of the grid: one of them asks before it is over, the other one behind it.
            bench.ask(rng.choice(known), "never/1", settle_ms=1_250)
        case _:
            something_happens(rng, bench, kind)


def something_happens(rng, bench, kind):
    match kind:
        case "hand":
            bench.by_hand(rng.choice((0, 1)), volume=0.2)
        case "price":
            bid = round(rng.uniform(1.02, 1.18), 5)
            bench.quote(bid, bid + 0.0001).wait(0.5)
        case "rules":
            bench.bench.set(**rng.choice(MOODS))
        case "halt":
            bench.halt(rng.choice(tuple(TradingState))).wait(0.3)
            bench.do(buy(0.1))
            bench.halt(TradingState.ACTIVE).wait(0.3)
        case "cut":
            bench.again()
        case "kill":
            bench.kill().begin(**bench.limits)
        case "burst":
            before = len(bench.results)
            for number in range(4):
                bench.relay.send(bench.new(buy(0.01 * (number + 1))))
            bench.until(lambda: len(bench.results) >= before + 4)
            bench.wait(0.5)
        case "outage":
            bench.process.disconnect_trade_server()
            bench.wait(1.0)
            bench.process.reconnect_trade_server()
            bench._within(5.0, lambda: bench.until(lambda: bench.relay.active))
        case "read":
            bench.read(rng.choice(("positions", "orders", "account")))


KINDS = (
    *("deal",) * 6, *("pending",) * 2, "stop", "modify", "modify", "cancel", "levels", "levels",
    *("close",) * 4, "close by", "again", "again", "hand", "price", "rules", "rules", "halt",
    "cut", "kill", "read", "burst", "outage",
)  # fmt: skip
LIMITS = (
    {},
    {"max_volume": 0.4},
    {"symbols": "EURUSD,USDJPY", "max_positions": 3},
    {"max_per_minute": 6},
)
IN_POINTS = {"sl": 50.0, "tp": 300.0}
CALM = {
    "reject": 0.0, "partial": 0.0, "lose_reply": 0.0, "lose_request": 0.0, "fill_ms": (0, 0),
    "slippage_points": 0, "visibility_ms": (0, 0), "reply_ms": (0, 0), "comment": CommentMode.KEEP,
    "reply_timeout_ms": 2_000, "market_closed": frozenset(),
}  # fmt: skip
MOODS = [
    {**CALM, **mood}
    for mood in (
        {},
        {"reject": 0.5},
        {"partial": 0.7},
        {"lose_reply": 1.0},
        {"lose_request": 1.0},
        {"fill_ms": (700, 700)},
        {"slippage_points": 3},
        {"visibility_ms": (150, 150)},
        {"reply_ms": (200, 200)},
        {"comment": CommentMode.DROP},
        {"comment": CommentMode.TRUNCATE},
        {"market_closed": frozenset({"EURUSD"})},
    )
]


SCRIPTS = {
    script.__name__: script
    for script in (
        another_ledger,
        every_action,
        events_over_cuts,
        how_orders_fill,
        what_a_query_is_told,
        what_happens_to_the_account,
        what_is_denied,
        what_is_known_after_a_kill,
        what_is_read,
        what_is_rejected,
        what_waits_behind_an_order,
        who_may_stop_it,
    )
}


SOME = ("every_action", "events_over_cuts", "what_a_query_is_told", "what_waits_behind_an_order")


@pytest.mark.parametrize("name", SCRIPTS if EVERYTHING else SOME)
def test_both_terminals_say_the_same(tmp_path, name):
    compare(tmp_path, SCRIPTS[name])


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_both_terminals_say_the_same_whatever_happens(tmp_path, seed, round_):
    compare(tmp_path, random_script(seed, round_), **random_options(round_))


def random_script(seed, round_):
    def script(bench):
        rng = random.Random(f"{seed}/{round_}")
        limits = rng.choice(LIMITS)
        bench.limits = limits
        # No two orders in one millisecond: their deals would have another order.
        bench.bench.set(execution_ms=(50, 50))
        bench.begin(**limits)
        for _ in range(STEPS):
            anything(rng, bench)

    return script


def random_options(round_):
    mode = NETTING if round_ % 2 else AccountMarginMode.RETAIL_HEDGING
    return {"account": {"margin_mode": mode, "balance": 100_000.0}, "seed": round_}
