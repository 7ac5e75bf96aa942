"""What the client's calls return: frozen models with MetaTrader's names.

The relay may tell more than is listed here: unknown fields are kept and can be read as
attributes. What a terminal that is away cannot tell is 0, ``""`` or ``None``.
"""

from __future__ import annotations

import dataclasses

from pydantic import Field

from bridge.client.record import Model
from bridge.client.values import Event
from bridge.exceptions import RequestError

__all__ = [
    "Pong",
    "RelayStatus",
    "StreamStatus",
    "SymbolInfo",
    "TerminalInfo",
    "TopicSnapshot",
    "TradingStatus",
]


class Pong(Model):
    """
    The relay's answer to ``ping``. ``publish`` is where it publishes, as it sees it.
    """

    version: int
    bus_version: int
    program: str = ""
    time_utc_msc: int = 0
    relay_epoch: int = 0
    publish: str = ""


class TerminalInfo(Model):
    """
    A terminal that is configured in the relay.

    ``state``: ``"connected"`` or ``"away"``. ``since_utc_msc``: since when, in UTC.
    ``trade_mode``, ``margin_mode``: values of ``AccountTradeMode``, ``AccountMarginMode``.
    ``permissions``: the flags of the last heartbeat by name, ``terminal_connected`` (to the
    trade server) among them. ``*_us`` are microseconds. ``streams``: symbols that stream.
    """

    alias: str
    state: str
    login: int = 0
    server: str = ""
    company: str = ""
    currency: str = ""
    leverage: int = 0
    trade_mode: int = 0
    margin_mode: int = 0
    build: int = 0
    program: str = ""
    role: str = ""
    since_utc_msc: int = 0
    permissions: dict[str, bool] = Field(default_factory=dict)
    server_time_msc: int = 0
    utc_offset_min: int = 0
    rtt_us: int | None = None
    loop_interval_us: int = 0
    lag_us: int = 0
    busy: bool = False
    streams: int = 0

    @property
    def connected(self) -> bool:
        """
        Whether the terminal has a session with the relay.
        """
        return self.state == "connected"


class StreamStatus(Model):
    """
    A stream of ticks, as the relay sees it.
    """

    topic: str
    state: str = ""
    epoch: int = 0
    seq: int = 0
    ticks: int = 0
    oldest_seq: int | None = None
    subscribed: bool = False
    error: str = ""


class TradingStatus(Model):
    """
    What the relay lets through to a terminal.

    ``state``: a ``TradingState``, with ``reason``. ``open_orders``: without a final outcome;
    ``unresolved``: those of them that the relay is finding out, by ``command_id``. ``waiting``:
    not sent yet.
    """

    alias: str
    enabled: bool = False
    state: str = ""
    reason: str = ""
    open_orders: int = 0
    unresolved: tuple[str, ...] = ()
    waiting: int = 0


class RelayStatus(Pong):
    """
    The relay's answer to ``status``.
    """

    uptime_ms: int = 0
    endpoints: dict[str, str] = Field(default_factory=dict)
    terminals: list[TerminalInfo] = Field(default_factory=list)
    trading: list[TradingStatus] = Field(default_factory=list)
    streams: list[StreamStatus] = Field(default_factory=list)
    published: int = 0
    requests: int = 0


class SymbolInfo(Model):
    """
    A symbol's properties, with the names of ``SymbolInfoInteger/Double/String``.

    A list of symbols (``symbols``) tells few of them, ``symbol`` all. Levels and spread are
    points, volumes are lots. ``None``: the terminal did not tell.
    """

    name: str
    description: str = ""
    path: str = ""
    digits: int = 0
    point: float | None = None
    currency_base: str = ""
    currency_profit: str = ""
    currency_margin: str = ""
    spread: int | None = None
    spread_float: bool | None = None
    ticks_bookdepth: int | None = None
    trade_calc_mode: int | None = None
    trade_mode: int | None = None
    trade_exemode: int | None = None
    filling_mode: int | None = None
    order_mode: int | None = None
    expiration_mode: int | None = None
    trade_stops_level: int | None = None
    trade_freeze_level: int | None = None
    trade_tick_size: float | None = None
    trade_contract_size: float | None = None
    volume_min: float | None = None
    volume_max: float | None = None
    volume_step: float | None = None
    volume_limit: float | None = None
    select: bool | None = None
    visible: bool | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class TopicSnapshot:
    """
    What the relay knows of a topic.

    ``status``: ``"ok"``, ``"idle"`` (nothing published, nobody subscribed) or ``"error"``,
    and then ``error`` tells why. ``value``: the newest message, ``None`` if there is none.
    ``oldest_seq``: from where on messages can be replayed.
    """

    topic: str
    status: str
    epoch: int | None
    seq: int
    oldest_seq: int | None
    value: Event | None
    error: RequestError | None
