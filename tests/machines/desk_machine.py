"""The terminal's trading side, with a broker that tells too little, too much and too late."""

from __future__ import annotations

import random
from unittest import mock

import hypothesis.strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bridge.model.enums import (
    AccountMarginMode,
    OrderState,
    OrderType,
    OrderTypeFilling,
    PositionType,
    SymbolFillingMode,
    SymbolTradeExecution,
)
from bridge.model.symbol import SymbolSpec
from bridge.model.tick import MqlTick
from bridge.model.trade import AccountRecord, asdict, order_tag
from bridge.sim import trading_events
from bridge.sim.exchange import Exchange
from bridge.sim.exchange_records import TransactionType
from bridge.sim.exchange_rules import BrokerRules, CommentMode
from bridge.sim.ledger import MemoryLedger
from bridge.sim.market import Market
from bridge.sim.trading import TradingDesk
from bridge.sim.trading_ports import Moment
from bridge.wire.messages import (
    Busy,
    Event,
    EventAck,
    EventCursor,
    Halt,
    New,
    Query,
    Result,
    Welcome,
)
from bridge.wire.spec import (
    Capability,
    DenyReason,
    EventKind,
    NewFlag,
    OrderOutcome,
    Permission,
    TradingState,
)
from tests.machines.desk_broker import TroubledBroker
from tests.machines.running import Machine
from tests.support.desk_bench import CLOSE_BY, DEAL, MODIFY, PENDING, REMOVE, SLTP, request

__all__ = ["DeskMachine"]

MS = 1_000
LOGIN = 1001
INCARNATION = bytes(range(16))
SERVER_MSC = 1_700_000_000_000
#: longer than any delay below
SETTLE_MS = 6_000
ALL = Permission(31)
SYMBOLS = ("EURUSD", "GBPUSD")
FILLINGS = SymbolFillingMode.FOK | SymbolFillingMode.IOC
#: with one of them what cannot be filled at once may wait
SPECS = (
    SymbolSpec(name="EURUSD", filling_mode=FILLINGS),
    SymbolSpec(name="GBPUSD", filling_mode=FILLINGS, trade_exemode=SymbolTradeExecution.EXCHANGE),
)
#: so few that the window matters
WINDOW = 4

USUAL = (
    {},
    {"partial": 0.6},
    {"partial": 0.6, "fill_ms": (0, 900)},
    {"visibility_ms": (0, 2_000), "state_delay_ms": (0, 700), "partial": 0.4},
    {"execution_ms": (0, 400), "reply_ms": (0, 200), "visibility_ms": (0, 500)},
)
RULES = (
    {"lose_reply": 0.8, "reply_timeout_ms": 3_000},
    {"lose_request": 0.5, "lose_reply": 0.5, "reply_timeout_ms": 3_000},
    {"late_reply": 0.7, "late_reply_ms": 2_500},
    {"reject": 0.5},
    {"connected": False},
    {"shuffle_transactions": True},
    {"visibility_ms": (0, 2_000), "state_delay_ms": (0, 700)},
    {"client_disables_at": True},
)
OPEN = {OrderOutcome.INTENT, OrderOutcome.UNKNOWN}
#: what the ledger can say of a command that it knows, from bad to good
RANK = {
    OrderOutcome.INTENT: 0,
    OrderOutcome.UNKNOWN: 0,
    OrderOutcome.PLACED: 1,
    OrderOutcome.PARTIAL: 2,
    OrderOutcome.DONE: 3,
}
ENDED = {OrderOutcome.REJECTED, OrderOutcome.NOT_FOUND}
HISTORIC = {EventKind.DEAL, EventKind.ORDER_CLOSED}

#: a step's details: its own random numbers
draws = st.binary(min_size=4, max_size=4)


class DeskMachine(Machine):
    """
    A terminal, its broker, and a relay that keeps a place in the events.
    """

    def __init__(self):
        super().__init__()
        self.desk = None
        self.window = mock.patch.object(trading_events, "EVENT_WINDOW", WINDOW)
        self.window.start()

    @initialize(draw=draws)
    def begin(self, draw):
        rng = random.Random(draw)
        self.netting = rng.random() < 0.5
        self.now = 5_000_000
        self.market = Market(SPECS)
        self.prices = dict.fromkeys(SYMBOLS, 1.1)
        for name in SYMBOLS:
            self.market.history.append(name, MqlTick(self.server_msc, 1.1, 1.1001))
        mode = (
            AccountMarginMode.RETAIL_NETTING if self.netting else (AccountMarginMode.RETAIL_HEDGING)
        )
        #: how this broker is when nothing is wrong; one in four rewrites comments
        comment = rng.choice([CommentMode.KEEP] * 6 + [CommentMode.TRUNCATE, CommentMode.DROP])
        self.usual = rng.choice(USUAL) | {"comment": comment}
        self.exchange = Exchange(
            self.market,
            account=AccountRecord(login=LOGIN, currency="USD", balance=100_000.0, margin_mode=mode),
            seed=rng.random(),
            rules=BrokerRules(**self.usual),
            server_clock_offset_us=SERVER_MSC * MS,
        )
        self.broker = TroubledBroker(self.exchange, rng)
        self.broker.trouble = rng.choice([0.0, 0.3, 0.9])
        self.ledger = MemoryLedger(INCARNATION)
        self.blocked_until = self.now
        self.announced = False
        self.active = False
        self.commands = {}
        #: the last RESULT of each command that the ledger knows
        self.results = {}
        #: what the relay has on disk: its place, and the events
        self.epoch = 7
        self.place = None
        self.kept = {}
        #: and what is on its way there
        self.taken = []
        self.told = {}
        self.unacknowledged = []
        self.start()
        self.connect()
        for number in range(2):
            self.submit(draw + bytes([number]))

    @property
    def server_msc(self):
        return SERVER_MSC + self.now // MS

    def moment(self):
        return Moment(self.now, self.server_msc, 0, self.desk.permissions(ALL), 0)

    # --- the terminal's program -----------------------------------------------------------

    def start(self):
        self.desk = TradingDesk(
            self.broker,
            self.ledger,
            specs=self.market.specs,
            quote=self.market.history.newest_of,
            login=LOGIN,
        )
        self.active = self.announced = False
        self.blocked_until = self.now

    @rule()
    def crash(self):
        """
        The program is killed, maybe while its call blocks, and started again.
        """
        for name in self.desk._commands._unwritten:
            # Its end was told and could not be written: it is found out once more.
            self.results.pop(name, None)
        self.start()
        self.turn()
        self.connect()

    @rule(times=st.sampled_from([1, 1, 3]))
    def turn(self, times=1):
        """
        What ``TerminalCore.poll`` does.
        """
        for _ in range(times):
            self.desk.advance(self.now, self.desk.permissions(ALL))
            if self.now < self.blocked_until:
                return
            self.desk.settle(self.moment())
            self.take()
            if not self.active:
                return
            if self.announced:
                self.announced = False
                self.call()
                if self.now < self.blocked_until:
                    return
            self.desk.work(LOGIN, self.moment())
            self.take()
            self.announced = self.desk.wants_call

    def call(self):
        head = self.desk._queue[0] if self.desk._queue else None
        self.broker.command_id = getattr(head, "command_id", "")
        self.blocked_until = max(self.blocked_until, self.desk.call(LOGIN, self.moment()))
        self.desk.settle(self.moment())
        self.take()

    # --- the relay --------------------------------------------------------------------------

    @rule()
    def connect(self):
        if self.active:
            return
        welcome = Welcome("demo", "relay", 1_000, 4_000, 0, self.now, 0, self.place)
        capabilities = int(Capability.TRADE | Capability.EVENTS)
        self.active, self.announced = True, False
        self.told, self.unacknowledged = {}, []
        self.broker.hinted.clear()
        self.desk.welcomed(welcome, self.epoch, capabilities, self.moment())
        self.take()
        if self.place is None:
            self.place = EventCursor(self.server_msc, 0)
        # A relay asks first for what it knows no end of.
        self.query([name for name in list(self.commands)[-8:] if self.is_open(name)])
        self.turn()

    def is_open(self, name):
        result = self.results.get(name)
        return result is None or result.outcome in OPEN

    def query(self, names):
        if self.active and names:
            self.desk.query(Query(tuple(names), SETTLE_MS, self.now, ()), self.moment())
            self.take()

    @rule()
    def cut(self):
        if self.active:
            self.desk.link_lost()
            self.active = self.announced = False

    @rule()
    def kill_the_relay(self):
        self.cut()
        self.taken.clear()
        self.epoch += 1

    @rule(count=st.sampled_from([1, 3, 100]))
    def write(self, count):
        """
        Events get to the relay's disk, and are acknowledged where the session is still there.
        """
        for told in self.taken[:count]:
            event, session = told
            if event.cursor_ticket:
                self.kept.setdefault((event.kind, event.cursor_ticket), event)
                place = EventCursor(event.cursor_time_msc, event.cursor_ticket)
                self.place = max(self.place, place)
                if self.active and session is self.told:
                    self.unacknowledged = [one for one in self.unacknowledged if one > place]
                    self.desk.event_ack(EventAck(*place))
        del self.taken[:count]

    def take(self):
        for message in self.desk.take():
            match message:
                case Event():
                    self.take_event(message)
                case Result():
                    self.take_result(message)
                case _:
                    assert isinstance(message, Busy)

    def take_event(self, event):
        self.taken.append((event, self.told))
        if not event.cursor_ticket:
            assert event.kind not in HISTORIC
            return
        key = (event.kind, event.cursor_ticket)
        assert key not in self.told, "told twice in one session"
        self.told[key] = event
        self.unacknowledged.append((event.cursor_time_msc, event.cursor_ticket))
        assert len(self.unacknowledged) <= WINDOW
        hinted = {
            (EventKind.DEAL, one.deal)
            if one.type is TransactionType.DEAL_ADD
            else (EventKind.ORDER_CLOSED, one.order)
            for one in self.broker.hinted
            if one.type in {TransactionType.DEAL_ADD, TransactionType.HISTORY_ADD}
        }
        assert event.recovered == (key not in hinted)
        records = self.books.deals if event.kind == EventKind.DEAL else self.books.history
        assert asdict(records[event.cursor_ticket]) == event.record

    def take_result(self, result):
        """
        Results only improve, and those of a command in the ledger are of the ledger.
        """
        name, outcome = result.command_id, OrderOutcome(result.outcome)
        if self.ledger.find(name) is None:
            assert outcome in {
                OrderOutcome.DENIED,
                OrderOutcome.EXPIRED_NOT_SENT,
                OrderOutcome.NEVER_SEEN,
            }
            assert name not in self.broker.sent
            return
        if outcome is OrderOutcome.DENIED:
            assert result.reason == DenyReason.DIVERGED
            return
        before = self.results.get(name)
        if before is None:
            assert outcome in RANK or outcome in ENDED
        elif before.outcome in ENDED:
            assert outcome == before.outcome, (before, result)
        elif outcome in ENDED:
            assert before.outcome in OPEN or (before.outcome, outcome) == (
                OrderOutcome.PLACED,
                OrderOutcome.REJECTED,
            )
        else:
            assert RANK.get(outcome, -1) >= RANK[before.outcome]
            assert set(before.deals) <= set(result.deals)
            assert result.volume >= before.volume - 1e-9
        self.results[name] = result

    # --- requests ---------------------------------------------------------------------------

    @rule(draw=draws)
    def submit(self, draw):
        rng = random.Random(draw)
        if rng.random() < 0.7:
            self.connect()
        for _ in range(rng.choice([1, 1, 2])):
            wanted, flags = self.wanted(rng)
            name = f"test/{len(self.commands) + 1}"
            self.commands[name] = new = New(
                command_id=name,
                tag=order_tag(name),
                sent_us=self.now,
                deadline_us=self.now + rng.choice([1, *[500, 5_000, 60_000] * 3]) * MS,
                relay_epoch=self.epoch,
                incarnation=INCARNATION,
                login=LOGIN,
                flags=int(flags),
                request=wanted,
            )
            self.send(new)
        self.turn(3)
        if rng.random() < 0.5:
            self.write(100)

    @rule(draw=draws)
    def trade_for_a_while(self, draw):
        for number in range(4):
            self.connect()
            self.submit(draw + bytes([number]))
            self.now += draw[number] * 3 * MS
            self.turn(2)
            self.write(100)

    def send(self, new):
        if self.active:
            self.desk.new(new, self.moment())
            self.take()

    def wanted(self, rng):
        symbol = rng.choice(SYMBOLS)
        volume = rng.randint(1, 30) / 100
        positions, orders = self.exchange.positions(), self.exchange.orders()
        action = rng.choices([DEAL, PENDING, SLTP, MODIFY, REMOVE, CLOSE_BY], [60, 15, 6, 6, 8, 5])[
            0
        ]
        if action == DEAL and positions and rng.random() < 0.4:
            position = rng.choice(positions)
            flags = NewFlag.REDUCE_ONLY if rng.random() < 0.6 else NewFlag(0)
            closing = {"volume": rng.choice([volume, position.volume])}
            return request(DEAL, position=position.ticket, **closing), flags
        price = self.prices[symbol]
        if action == PENDING:
            kind = rng.choice([2, 3, 4, 5])
            way = -1 if kind in {OrderType.BUY_LIMIT, OrderType.SELL_STOP} else 1
            price = round(price + way * rng.randint(5, 20) / 10_000, 5)
            return request(PENDING, symbol=symbol, volume=volume, type=kind, price=price), 0
        if action == SLTP and positions:
            return request(SLTP, position=rng.choice(positions).ticket, sl=0.5), 0
        if action in {MODIFY, REMOVE} and orders:
            order = rng.choice(orders)
            price = {} if action == REMOVE else {"tp": rng.choice([2.0, 3.0])}
            return request(action, order=order.ticket, **price), 0
        if action == CLOSE_BY and len(positions) > 1:
            first, second = rng.sample(positions, 2)
            return request(CLOSE_BY, position=first.ticket, position_by=second.ticket), 0
        filling = rng.choice([OrderTypeFilling.RETURN, OrderTypeFilling.IOC, OrderTypeFilling.FOK])
        if symbol == "EURUSD" and filling == OrderTypeFilling.RETURN:
            filling = OrderTypeFilling.IOC
        side = rng.randint(0, 1)
        values = {"symbol": symbol, "volume": volume, "type": side, "type_filling": filling}
        return request(DEAL, **values), 0

    @rule(draw=draws)
    def send_again(self, draw):
        """
        The same NEW once more, or another one under its id.
        """
        rng = random.Random(draw)
        new = self.commands[rng.choice(list(self.commands))]
        if rng.random() < 0.2:
            new = New(
                **{
                    **{name: getattr(new, name) for name in New.__slots__},
                    "flags": new.flags ^ int(NewFlag.REDUCE_ONLY),
                }
            )
        self.send(new)
        self.turn()

    @rule(draw=draws)
    def ask(self, draw):
        rng = random.Random(draw)
        names = rng.sample(list(self.commands), min(3, len(self.commands)))
        self.query(names)

    @rule(state=st.sampled_from([*TradingState, *[TradingState.ACTIVE] * 3]))
    def halt(self, state):
        if self.active:
            self.desk.halt(Halt(int(state), "a test", self.epoch))

    # --- the world --------------------------------------------------------------------------

    @rule(draw=draws)
    def tick(self, draw):
        rng = random.Random(draw)
        symbol = rng.choice(SYMBOLS)
        self.now += MS
        price = self.prices[symbol] + rng.choice([-20, -8, -1, 1, 8, 20]) / 10_000
        self.prices[symbol] = price = round(min(max(price, 0.9), 1.3), 5)
        self.market.history.append(symbol, MqlTick(self.server_msc, price, round(price + 1e-4, 5)))
        self.turn()

    @rule(ms=st.sampled_from([1, 100, 700, 3_000, 8_000]))
    def wait(self, ms):
        self.now += ms * MS
        self.turn(2)
        self.write(3)

    @rule(rules=st.sampled_from(RULES), more=st.sampled_from(RULES))
    def behave(self, rules, more):
        self.exchange.rules = BrokerRules(**(self.usual | rules | more))

    @rule()
    def behave_well(self):
        self.exchange.rules = BrokerRules(**self.usual)

    @rule(trouble=st.sampled_from([0.0, 0.3, 0.9]))
    def lose_transactions(self, trouble):
        self.broker.trouble = trouble

    @rule(broken=st.sampled_from([True, False, False]))
    def break_or_mend_the_ledger(self, broken):
        self.ledger.broken = broken

    # --- what holds -------------------------------------------------------------------------

    @property
    def books(self):
        return self.exchange._books

    @invariant()
    def nothing_is_sent_twice(self):
        if self.desk is None:
            return
        assert all(len(requests) == 1 for requests in self.broker.sent.values())
        tags = [tag for tag in self.books.tags.values() if tag]
        assert len(tags) == len(set(tags))

    def teardown(self):
        try:
            if self.desk is not None:
                self.settle()
                self.check_events()
                for name in self.commands:
                    self.check_result(name)
        finally:
            self.window.stop()

    def settle(self):
        self.exchange.rules = BrokerRules(**self.usual)
        self.broker.trouble = 0.0
        self.ledger.broken = False
        self.now += 70_000 * MS
        # A session that lost transactions does not end by itself.
        self.cut()
        for _ in range(3):
            self.turn()
            self.connect()
            self.settled()
            self.now += 3_000 * MS
            self.settled()
            self.now += SETTLE_MS * MS
            names = list(self.commands)
            for at in range(0, len(names), 64):
                self.desk.query(
                    Query(tuple(names[at : at + 64]), SETTLE_MS, self.now, ()), self.moment()
                )
            self.settled()

    def settled(self):
        quiet = 0
        for _ in range(500):
            self.turn()
            quiet = 0 if self.taken or self.desk._queue or self.announced else quiet + 1
            self.write(100)
            self.now += 300 * MS
            if quiet > 4:
                return
        raise AssertionError("the terminal does not come to rest")

    def check_events(self):
        """
        Every deal and closed order was told, once, and the deals are what is held.
        """
        deals = {ticket for kind, ticket in self.kept if kind == EventKind.DEAL}
        closed = {ticket for kind, ticket in self.kept if kind == EventKind.ORDER_CLOSED}
        assert self.books.deals.keys() == deals
        assert self.books.history.keys() == closed
        held = {}
        for event in self.kept.values():
            if event.kind == EventKind.DEAL:
                deal = event.record
                key = deal["symbol"] if self.netting else deal["position_id"]
                sign = -1 if deal["type"] else 1
                held[key] = held.get(key, 0.0) + sign * deal["volume"]
        there = {
            one.symbol if self.netting else one.identifier: one.volume
            if one.type == PositionType.BUY
            else -one.volume
            for one in self.exchange.positions()
        }
        for key in held.keys() | there.keys():
            assert abs(held.get(key, 0.0) - there.get(key, 0.0)) < 1e-9

    def check_result(self, name):
        entry = self.ledger.find(name)
        result = self.results.get(name)
        tag = order_tag(name)
        if entry is None:
            assert name not in self.broker.sent
            return
        outcome = OrderOutcome(result.outcome)
        if entry.request.action not in {DEAL, PENDING}:
            return
        orders = [ticket for ticket, of in self.books.tags.items() if of == tag]
        truth = self.truth(orders[0], entry) if orders else ({OrderOutcome.REJECTED}, ())
        expected, deals = truth
        if not orders or expected == {OrderOutcome.REJECTED}:
            expected = {OrderOutcome.REJECTED, OrderOutcome.NOT_FOUND}
        if self.usual["comment"] is not CommentMode.KEEP:
            expected |= {OrderOutcome.UNKNOWN}
        assert outcome in expected, (name, outcome, expected, result)
        if outcome in {OrderOutcome.PARTIAL, OrderOutcome.DONE}:
            assert set(result.deals) == {deal.ticket for deal in deals}
            filled = sum(deal.volume for deal in deals)
            assert abs(result.volume - filled) < 1e-9, (name, result, deals)
            assert result.order == orders[0]

    def truth(self, ticket, entry):
        deals = [deal for deal in self.books.deals.values() if deal.order == ticket]
        order = self.books.history.get(ticket) or self.books.orders[ticket]
        if order.state == OrderState.FILLED:
            return {OrderOutcome.DONE}, deals
        if deals:
            return {OrderOutcome.PARTIAL}, deals
        if ticket in self.books.orders:
            return {OrderOutcome.PLACED}, deals
        if entry.request.action == PENDING and order.state != OrderState.REJECTED:
            return {OrderOutcome.PLACED}, deals
        return {OrderOutcome.REJECTED}, deals
