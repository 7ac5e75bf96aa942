"""Trading of one terminal: its orders, its events and what it holds, and how they meet.

The order path looks at its terminal through here (``TerminalView``).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Final, Protocol

from bridge.bus.topics import account_topic, position_topic
from bridge.config import TradingSettings
from bridge.journal import Account, Journal
from bridge.model.record import unpack_record
from bridge.policy import judge
from bridge.relay.asks import Answer
from bridge.relay.holdings import Holdings
from bridge.relay.order_commands import Moment, TradeSession
from bridge.relay.order_comments import OrderComments
from bridge.relay.orders import Orders
from bridge.relay.publisher import Publisher
from bridge.relay.streams import Stream
from bridge.relay.trade_events import TradeEvents, TradeLog
from bridge.wire.messages import Event as EventMessage
from bridge.wire.messages import EventCursor, Hello, Message, TerminalState
from bridge.wire.messages import Result as ResultMessage
from bridge.wire.spec import Capability, EventKind, LogoutCode, Permission, Role, TradingState

__all__ = ["TerminalTrading", "TradingLink", "TradingTerminal"]

_NETTING: Final = frozenset({0, 1})
#: a newer terminal may send bits that this version does not know
_PERMISSIONS: Final = sum(int(flag) for flag in Permission)


class TradingLink(Protocol):
    """
    A terminal's connection, as far as trading has to know it.
    """

    @property
    def capabilities(self) -> int:
        """
        What both sides can do.
        """

    @property
    def busy_until_us(self) -> int:
        """
        Until when the terminal said that it may block; 0 when it does not.
        """

    def send(self, message: Message) -> None:
        """
        Send in the command lane.
        """

    def close(self, code: int, text: str, retry_after_ms: int = 0) -> None:
        """
        Log out and close.
        """


class TradingTerminal(Protocol):
    """
    What trading needs of its terminal.
    """

    @property
    def state(self) -> TerminalState | None:
        """
        The last heartbeat of this session.
        """

    @property
    def streams(self) -> dict[str, Stream]:
        """
        The tick streams by symbol.
        """

    def ask(
        self, method: str, params: dict[str, Any], done: Callable[[Answer], None], deadline_us: int
    ) -> None:
        """
        Pass a read on; ``done`` is called once.
        """


class TerminalTrading:
    """
    Everything about trading of one terminal.
    """

    def __init__(
        self,
        alias: str,
        terminal: TradingTerminal,
        settings: TradingSettings,
        journal: Journal,
        publisher: Publisher,
        relay_epoch: int,
        clock: Callable[[], Moment],
    ) -> None:
        self.log = TradeLog(alias, journal)
        self.comments = OrderComments(journal)
        self._alias = alias
        self._terminal = terminal
        self._journal = journal
        self._publisher = publisher
        self._clock = clock
        self._link: TradingLink | None = None
        self._account: Account | None = None
        self.holdings = Holdings(
            alias, self.ask, self.comments, self._publish_positions, self._publish_account
        )
        self.events = TradeEvents(alias, journal, self.comments, self._publish_event, self._noticed)
        self.orders = Orders(
            alias,
            journal=journal,
            judge=judge,
            settings=settings,
            view=self,
            publish=self.events.life,
            relay_epoch=relay_epoch,
        )

    # --- the session --------------------------------------------------------------------

    def welcome(self, hello: Hello) -> tuple[TradingState, EventCursor | None]:
        """
        Return what WELCOME says: the trading state, and the newest event on disk.
        """
        cursor = self._journal.event_cursor(self._alias, hello.login, hello.server)
        return self.orders.state, cursor

    def link_up(self, link: TradingLink, hello: Hello) -> None:
        """
        The session is open.
        """
        self._link = link
        self._account = Account(hello.login, hello.server)
        self.events.link_up()
        may_trade = bool(link.capabilities & Capability.TRADE and hello.role & Role.TRADE)
        netting = hello.margin_mode in _NETTING
        session = TradeSession(
            login=hello.login,
            server=hello.server,
            incarnation=hello.incarnation,
            netting=netting,
            may_trade=may_trade,
            send=link.send,
            begin_anew=functools.partial(link.close, LogoutCode.NORMAL),
        )
        self.orders.link_up(session, self._clock())
        if may_trade and link.capabilities & Capability.READS:
            self.holdings.link_up()

    def link_down(self) -> None:
        """
        The session ended.
        """
        self._link = self._account = None
        self.orders.link_down(self._clock())
        self.holdings.link_down()

    def receive(self, message: ResultMessage | EventMessage) -> None:
        """
        Take a message of the trading part.
        """
        now = self._clock()
        if isinstance(message, ResultMessage):
            self.orders.receive(message, now)
            return
        self.holdings.changed()
        if message.kind != EventKind.ACCOUNT and self._account is not None and self._link:
            self.events.receive(message, self._account, self._link.send, now.utc_msc)

    def stir(self) -> None:
        """
        A heartbeat or BUSY came: something may go on.
        """
        self.orders.stir()
        state, account = self._terminal.state, self._account
        if state is not None and account is not None and state.server_time_msc > 0:
            self.events.begin(account, state.server_time_msc)

    def poll(self, now: Moment) -> None:
        """
        Do what is due.
        """
        self.orders.poll(now)
        self.holdings.poll(now.us)
        if self._link is not None and self._may_ask_again():
            # What was lost is read again from the cursor of the next WELCOME.
            self.events.lost = 0
            self._link.close(LogoutCode.NORMAL, "events are asked for again: the disk works again")

    def next_deadline(self) -> int:
        """
        Return when ``poll`` wants to be called, in microseconds; 0 for at once.
        """
        if self._may_ask_again():
            return 0
        holdings = self.holdings.next_deadline()
        orders = self.orders.next_deadline()
        return orders if holdings is None else min(orders, holdings)

    # --- what orders look at (TerminalView) -----------------------------------------------

    def permissions_now(self) -> Permission | None:
        state = self._terminal.state
        return None if state is None else Permission(state.permissions & _PERMISSIONS)

    def busy_until_us(self) -> int:
        return 0 if self._link is None else self._link.busy_until_us

    def price_age_ms(self, symbol: str, utc_msc: int) -> int | None:
        stream = self._terminal.streams.get(symbol)
        record = None if stream is None else stream.ring.last_record()
        state = self._terminal.state
        if record is None or state is None:
            return None
        server_msc = utc_msc + state.utc_offset_min * 60_000
        return server_msc - unpack_record(record).time_msc

    def open_symbols(self) -> list[str] | None:
        return self.holdings.open_symbols()

    def symbol_of(self, ticket: int) -> str:
        return self.holdings.symbol_of(ticket)

    def executed(self, symbol: str) -> None:
        self.holdings.changed(symbol)

    def ask(
        self, method: str, params: dict[str, Any], done: Callable[[Answer], None], deadline_us: int
    ) -> None:
        self._terminal.ask(method, params, done, deadline_us)

    # --- inside -----------------------------------------------------------------------------

    def _may_ask_again(self) -> bool:
        # Events were lost while the disk failed, and it works again.
        return bool(self.events.lost) and self._link is not None and self._journal.healthy is None

    def _noticed(self, tag: str, *, deal: int, order: int, position: int) -> None:
        self.orders.noticed(tag, deal=deal, order=order, position=position, now=self._clock())

    def _publish_event(self, epoch: int, seq: int, body: bytes) -> None:
        self._publisher.publish_trade(self._alias, epoch, seq, body)

    def _publish_positions(self, positions: list[dict[str, Any]]) -> None:
        utc_msc = self._clock().utc_msc
        self._publisher.publish_state(position_topic(self._alias), utc_msc, positions)

    def _publish_account(self, account: dict[str, Any]) -> None:
        utc_msc = self._clock().utc_msc
        self._publisher.publish_state(account_topic(self._alias), utc_msc, account)
