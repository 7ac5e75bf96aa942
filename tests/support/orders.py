"""The order path of a terminal without sockets, clocks or disks: the test is all of them."""

from __future__ import annotations

from typing import Any

from bridge.bus.bodies import TradeKind
from bridge.bus.order_params import CloseAllParams
from bridge.bus.orders import command_of
from bridge.bus.requests import Method, validate_params
from bridge.config import TradingSettings
from bridge.journal import Journal, MemoryStore, content_hash
from bridge.policy import judge
from bridge.relay.asks import Answer
from bridge.relay.order_commands import Moment, TradeSession, Wanted
from bridge.relay.orders import Orders
from bridge.wire.messages import Halt, New, Query, Result, pack_message
from bridge.wire.spec import OrderOutcome, Permission, TradingState

LEDGER = bytes(15) + b"\x01"
OTHER_LEDGER = bytes(15) + b"\x02"
MS = 1_000
SECOND = 1_000_000
BUY = {"action": "DEAL", "symbol": "EURUSD", "volume": 0.1, "type": "BUY"}
LIMIT = {
    "action": "PENDING",
    "symbol": "EURUSD",
    "volume": 0.1,
    "type": "BUY_LIMIT",
    "price": 1.05,
}


class FakeReply:
    """
    Keeps what it was used for; a second use fails the test.
    """

    def __init__(self) -> None:
        self.results: list[dict[str, Any]] = []
        self.errors: list[dict[str, Any]] = []

    def result(self, result: dict[str, Any]) -> None:
        assert not self.is_used, "a second reply to one request"
        self.results.append(result)

    def error(self, error: dict[str, Any]) -> None:
        assert not self.is_used, "a second reply to one request"
        self.errors.append(error)

    @property
    def is_used(self) -> bool:
        return bool(self.results or self.errors)

    @property
    def outcome(self) -> str:
        """
        How it ended, with the reason if there is one; "" while it did not.
        """
        if not self.results:
            return self.errors[0]["code"] if self.errors else ""
        result = self.results[0]
        reason = f"({result['reason']})" if result["reason"] else ""
        return f"{result['outcome']}{reason}"


class FakeView:
    """
    What the order path looks at in its terminal.
    """

    def __init__(self) -> None:
        self.permissions: Permission | None = Permission(0b11111)
        self.busy_us = 0
        self.price_age: int | None = 0
        self.symbols: list[str] | None = []
        self.tickets: dict[int, str] = {}
        self.ended: list[str] = []
        self.asked: list[tuple[str, dict[str, Any], Any, int]] = []

    def permissions_now(self):
        return self.permissions

    def busy_until_us(self):
        return self.busy_us

    def price_age_ms(self, symbol, utc_msc):
        return self.price_age

    def open_symbols(self):
        return self.symbols

    def symbol_of(self, ticket):
        return self.tickets.get(ticket, "")

    def executed(self, symbol):
        self.ended.append(symbol)

    def ask(self, method, params, done, deadline_us):
        self.asked.append((method, params, done, deadline_us))


class OrderBench:
    """
    ``turn`` lets the disk write and the path go on; time stands still until ``wait``.
    """

    def __init__(self, store: MemoryStore | None = None, **settings: Any) -> None:
        self.store = MemoryStore() if store is None else store
        self.settings = TradingSettings(**{"enabled": True, "settle_ms": 6000, **settings})
        self.us = 1_000 * SECOND
        self.sent: list[Any] = []
        self.ends: list[str] = []
        self.published: list[tuple[TradeKind, dict[str, Any]]] = []
        self.epoch = 0
        self.start()

    def start(self) -> None:
        """
        Begin a relay on this store, as after a kill of the one before.
        """
        self.store.crash()
        self.epoch += 1
        self.view = FakeView()
        self.journal = Journal(self.store)
        self.journal.load()
        self.orders = Orders(
            "demo",
            journal=self.journal,
            judge=judge,
            settings=self.settings,
            view=self.view,
            publish=self._publish,
            relay_epoch=self.epoch,
        )

    def _publish(self, kind, record, utc_msc):
        self.published.append((kind, record))
        self.journal.append_life("demo", lambda *_: b"", lambda _: None, now_utc_msc=utc_msc)

    @property
    def now(self) -> Moment:
        return Moment(self.us, 1_700_000_000_000 + self.us // MS)

    # --- the terminal ---------------------------------------------------------------------

    def connect(self, **fields: Any) -> TradeSession:
        """
        Open a session, and go on until nothing happens any more.
        """
        session = self.link_up(**fields)
        self.turn()
        return session

    def link_up(self, **fields: Any) -> TradeSession:
        """
        Open a session; nothing is written yet.
        """
        values = {
            "login": 1001,
            "server": "Demo-Server",
            "incarnation": LEDGER,
            "netting": False,
            "may_trade": True,
            "send": self._send,
            "begin_anew": self._begin_anew,
        }
        session = TradeSession(**{**values, **fields})
        self.orders.link_up(session, self.now)
        self.orders.poll(self.now)
        return session

    def _send(self, message):
        pack_message(message)  # as the protocol core does: what does not fit raises here
        self.sent.append(message)

    def _begin_anew(self, reason):
        self.ends.append(reason)
        self.orders.link_down(self.now)

    def cut(self) -> None:
        self.orders.link_down(self.now)
        self.turn()

    def answer(self, name: str = "c/1", outcome: int = OrderOutcome.DONE, **fields: Any) -> None:
        """
        Let a RESULT come, and be taken up.
        """
        self.tell(name, outcome, **fields)
        self.turn()

    def tell(self, name: str, outcome: int, **fields: Any) -> None:
        """
        Let a RESULT come; nothing is written yet.
        """
        self.orders.receive(make_result(name, outcome, **fields), self.now)
        self.orders.poll(self.now)

    def taken(self, kind: type) -> list[Any]:
        """
        Return the messages of this kind that were sent since the last time.
        """
        found = [message for message in self.sent if isinstance(message, kind)]
        self.sent = [message for message in self.sent if not isinstance(message, kind)]
        return found

    def news(self) -> list[str]:
        return [new.command_id for new in self.taken(New)]

    def asked(self) -> list[str]:
        return [name for query in self.taken(Query) for name in query.command_ids]

    def halts(self) -> list[TradingState]:
        return [TradingState(halt.trading_state) for halt in self.taken(Halt)]

    def read(self, method: str, records: list[dict[str, Any]]) -> None:
        """
        Let the terminal answer what it was asked to read.
        """
        (found,) = [one for one in self.view.asked if one[0] == method]
        self.view.asked.remove(found)
        found[2](Answer({method: records}))
        self.turn()

    # --- the clients ------------------------------------------------------------------------

    def want(
        self,
        name: str = "1",
        method: Method = Method.ORDER_SEND,
        params: dict[str, Any] | None = None,
        *,
        valid_for_ms: int = 5_000,
        admin: bool = False,
    ) -> Wanted:
        given = validate_params(method, BUY if params is None else params)
        close_all = given if isinstance(given, CloseAllParams) else None
        return Wanted(
            f"c/{name}",
            method,
            content_hash(method, "demo", given.model_dump()),
            valid_for_ms,
            command_of(given) if close_all is None else None,
            close_all,
            admin,
        )

    def submit(self, name: str = "1", *args: Any, **options: Any) -> FakeReply:
        """
        Send a request; nothing is written yet.
        """
        reply = FakeReply()
        self.orders.submit(self.want(name, *args, **options), reply, self.now)
        self.orders.poll(self.now)
        return reply

    def order(self, name: str = "1", *args: Any, **options: Any) -> FakeReply:
        """
        Send a request and let the disk write.
        """
        reply = self.submit(name, *args, **options)
        self.turn()
        return reply

    # --- time and disk ------------------------------------------------------------------------

    def turn(self) -> None:
        """
        Let the disk write and the path go on until nothing happens any more.
        """
        for _ in range(50):
            self.orders.poll(self.now)
            pending = self.journal.pending
            self.store.flush()
            if not pending and self.orders.next_deadline() > 0:
                return
        raise AssertionError("the order path does not come to rest")

    def wait(self, us: int) -> None:
        """
        Let time go by, stopping wherever the path wants to be called.
        """
        until = self.us + us
        for _ in range(10_000):
            deadline = self.orders.next_deadline()
            if deadline > until:
                break
            self.us = max(self.us + 1, deadline)
            self.turn()
        else:
            raise AssertionError("the order path wants to be called all the time")
        self.us = until
        self.turn()

    def status(self, name: str = "c/1") -> str:
        """
        Return outcome and reason of a command, "" when it was never heard of.
        """
        result = self.orders.status(name)
        reply = FakeReply()
        if result is not None:
            reply.result(result)
        return reply.outcome


def make_result(name: str, outcome: int, **fields: Any) -> Result:
    """
    Return a RESULT of the ledger ``LEDGER``, but for ``fields``.
    """
    values: dict[str, Any] = {
        "command_id": name,
        "outcome": int(outcome),
        "incarnation": LEDGER,
        "replayed": False,
        "evidence": 3,
        "retcode": 10009 if outcome == OrderOutcome.DONE else 0,
        "retcode_external": 0,
        "deal": 0,
        "order": 0,
        "position": 0,
        "volume": 0.0,
        "price": 0.0,
        "bid": 0.0,
        "ask": 0.0,
        "comment": "",
        "request_id": 0,
        "time_msc": 0,
        "utc_offset_min": 0,
        "error": 0,
        "text": "",
        "deals": (),
        "reason": 0,
    }
    return Result(**{**values, **fields})
