"""Every setting: its name, unit, default, limits and meaning.

Rule 1: a name carries its unit (``_ms``, ``_s``, ``_bytes``).
Rule 2: a description is written for the person who edits the file. The commented
configuration of ``bridge init`` and ``docs/reference/configuration.md`` are made
from here; after a change run ``make docs``.
Rule 3: nothing here touches a disk, the environment or the network, but for the
default folders, which only the platform knows.
"""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path
from typing import Annotated, Final, Literal

import platformdirs
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

__all__ = [
    "ALIAS_PATTERN",
    "DATA_FOLDER",
    "JOURNAL_FILE",
    "KEYS_FOLDER",
    "LOG_FOLDER",
    "EndpointSettings",
    "JournalSettings",
    "LimitSettings",
    "RelaySettings",
    "SessionSettings",
    "Settings",
    "TerminalSettings",
    "TickSettings",
    "TradingSettings",
    "split_endpoint",
]

#: An alias becomes a part of topics, file names and environment names.
ALIAS_PATTERN: Final = r"^[a-z0-9][a-z0-9_-]{0,30}$"

#: Names of the folders below ``BRIDGE_HOME``, and of the keys beside the configuration.
DATA_FOLDER: Final = "data"
LOG_FOLDER: Final = "logs"
KEYS_FOLDER: Final = "keys"
#: In the data folder, whose lock keeps a second relay from it.
JOURNAL_FILE: Final = "journal.sqlite"

_KIB = 1024
_MIB = 1024 * _KIB
_MAX_PORT = 65_535
_MAX_LOGIN = 2**63 - 1
_DAY_S = 86_400
_MINUTE_MS = 60_000
_MAX_SYMBOLS = 1000
_ENDPOINT = re.compile(r"tcp://(?P<host>\[[^\]]*\]|[^:/]+):(?P<port>[0-9]{1,5})")
_LOOPBACK_ONLY = (
    "binding outside loopback needs keys and roles, which this version does not have; "
    "use an SSH tunnel or WireGuard"
)


def split_endpoint(endpoint: str) -> tuple[str, int]:
    """
    Return host and port of a ``tcp://`` endpoint on the loopback interface.

    ``localhost`` becomes ``127.0.0.1``: on Windows it may mean ``::1``, where
    MetaTrader does not look. Port 0 stands for any free port.

    Raises:
        ValueError: it is no such endpoint; the text says why.
    """
    match = _ENDPOINT.fullmatch(endpoint)
    if match is None:
        msg = f"must look like tcp://127.0.0.1:5556, not {endpoint[:80]!r}"
        raise ValueError(msg)
    host, port = match["host"], int(match["port"])
    if port > _MAX_PORT:
        msg = f"port {port} is above {_MAX_PORT}"
        raise ValueError(msg)
    if host == "localhost":
        return "127.0.0.1", port
    if host == "[::1]":
        msg = "MetaTrader connects over IPv4 only; use 127.0.0.1"
        raise ValueError(msg)
    try:
        loopback = ipaddress.IPv4Address(host).is_loopback
    except ipaddress.AddressValueError:
        loopback = False
    if not loopback:
        raise ValueError(_LOOPBACK_ONLY)
    return host, port


def _normal_endpoint(endpoint: str) -> str:
    host, port = split_endpoint(endpoint)
    return f"tcp://{host}:{port}"


def _no_key_as_path(path: Path) -> Path:
    # A key pasted where its file belongs would end up in every log and listing.
    if re.fullmatch(r"[0-9a-fA-F]{64}", path.name):
        msg = "this is a key, not the path of a key file; put the key into a file"
        raise ValueError(msg)
    return path


def _user_data_dir() -> Path:
    return Path(platformdirs.user_data_dir("bridge", appauthor=False))


def _user_log_dir() -> Path:
    return Path(platformdirs.user_log_dir("bridge", appauthor=False))


# TOML knows no paths and JSON-like input gives text: the one place where text is taken.
_Folder = Annotated[Path, Field(strict=False)]
_KeyFile = Annotated[Path, Field(strict=False), AfterValidator(_no_key_as_path)]
_Endpoint = Annotated[str, AfterValidator(_normal_endpoint)]
_Alias = Annotated[str, StringConstraints(pattern=ALIAS_PATTERN)]
_Symbol = Annotated[str, StringConstraints(min_length=1, max_length=128)]


class _Section(BaseModel):
    # strict: "60" is not 60 and 1 is not true in a file that has types.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class RelaySettings(_Section):
    """
    The relay process itself.
    """

    data_dir: _Folder = Field(
        default_factory=_user_data_dir,
        description="Folder of the journal, the tick cursors and the lock; one relay owns it.",
        json_schema_extra={"default_text": "the user's data folder"},
    )
    log_dir: _Folder = Field(
        default_factory=_user_log_dir,
        description="Folder of the log files (JSON lines, 10 files of 10 MB).",
        json_schema_extra={"default_text": "the user's log folder"},
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info",
        description="Least severe level that is logged. BRIDGE_LOG_LEVEL sets it too.",
    )


class EndpointSettings(_Section):
    """
    Where the relay listens. Loopback addresses only; port 0 takes any free port.
    """

    terminal: _Endpoint = Field(
        default="tcp://127.0.0.1:5555",
        description="Plain TCP: the Expert Advisor connects here.",
    )
    request: _Endpoint = Field(
        default="tcp://127.0.0.1:5556",
        description="ZeroMQ ROUTER: requests. The one endpoint a client is given.",
    )
    publish: _Endpoint = Field(
        default="tcp://127.0.0.1:5557",
        description="ZeroMQ XPUB: ticks and events.",
    )
    control: _Endpoint = Field(
        default="tcp://127.0.0.1:5558",
        description="ZeroMQ ROUTER: status and stop, never queued behind other requests.",
    )

    @model_validator(mode="after")
    def _ports_differ(self) -> EndpointSettings:
        taken: dict[int, str] = {}
        for name in type(self).model_fields:
            _, port = split_endpoint(getattr(self, name))
            if port and port in taken:
                msg = f"{taken[port]} and {name} have the same port {port}"
                raise ValueError(msg)
            taken[port] = name
        return self


class TradingSettings(_Section):
    """
    What may be traded through one terminal: nothing, until it is enabled here.

    No limit of this section holds back a close or a cancel.
    """

    enabled: bool = Field(
        default=False,
        description="Take orders for this terminal.",
    )
    # A list in TOML and on the bus; kept as a tuple, because settings do not change.
    symbols: tuple[_Symbol, ...] = Field(
        default=(),
        strict=False,
        max_length=_MAX_SYMBOLS,
        description="Only these symbols, in the broker's spelling; empty: all.",
    )
    max_volume: float = Field(
        default=0.0,
        ge=0,
        le=1_000_000,
        description="Largest volume of one order, in lots; 0: no limit of the bridge.",
    )
    max_open_positions: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description=(
            "Positions open at the same time, those counted that pending orders and orders "
            "under way may still open; 0: no limit of the bridge."
        ),
    )
    max_orders_per_minute: int = Field(
        default=60,
        ge=0,
        le=100_000,
        description=(
            "Orders and modifications in any 60 s, over restarts of the relay; closes and "
            "cancels are counted and never refused; 0: no limit of the bridge."
        ),
    )
    max_price_age_ms: int = Field(
        default=0,
        ge=0,
        le=_DAY_S * 1000,
        description=(
            "A new order needs a tick of its symbol not older than this, so the symbol has to "
            "stream; 0: not checked."
        ),
    )
    settle_ms: int = Field(
        default=6000,
        ge=10,
        le=10 * _MINUTE_MS,
        description=(
            "Deals may appear late: an order that left no trace so long after it was sent "
            "counts as not executed."
        ),
    )
    answer_ms: int = Field(
        default=2000,
        ge=0,
        le=_MINUTE_MS,
        description=(
            "End of an order's valid_for_ms that is kept for the trade server's answer: nothing "
            "is sent in it. Never more than half of valid_for_ms."
        ),
    )


class TerminalSettings(_Section):
    """
    One MetaTrader terminal. The name of the section is its alias in topics and commands.
    """

    key_file: _KeyFile = Field(
        description="File with the key that this terminal and the relay share.",
        json_schema_extra={"default_text": "`keys/<alias>.key` beside this file"},
    )
    login: int | None = Field(
        default=None,
        ge=1,
        le=_MAX_LOGIN,
        description="Only this account may log on, if set.",
    )
    server: str | None = Field(
        default=None,
        min_length=1,
        max_length=128,
        description="Only an account of this trade server may log on, if set.",
    )
    demo_only: bool = Field(
        default=False,
        description="Refuse an account that is not a demo account.",
    )
    trading: TradingSettings = Field(default_factory=TradingSettings)


class JournalSettings(_Section):
    """
    The journal of orders and trade events: journal.sqlite in the data folder.
    """

    retention_days: int = Field(
        default=30,
        ge=30,
        le=3650,
        description=(
            "So long an order's id and its end are kept, and the id is not traded again; "
            "an order whose end is not known is kept until it is."
        ),
    )


class TickSettings(_Section):
    """
    What is held of the ticks, for subscribers that missed some and for resumption.
    """

    ring_bytes_per_topic: int = Field(
        default=2 * _MIB,
        ge=4 * _KIB,
        le=1024 * _MIB,
        description="Newest messages of one topic that can be replayed.",
    )
    ring_bytes_total: int = Field(
        default=256 * _MIB,
        ge=64 * _KIB,
        le=64 * 1024 * _MIB,
        description="The same over all topics; the topic unused for longest gives way.",
    )
    linger_after_last_subscriber_s: float = Field(
        default=60.0,
        ge=0,
        le=_DAY_S,
        description="A stream goes on for so long after its last subscriber left.",
    )
    resume_max_age_s: int = Field(
        default=_DAY_S,
        ge=60,
        le=30 * _DAY_S,
        description="A stream is resumed after an outage up to this long, else a gap is told.",
    )
    resume_overlap_ticks: int = Field(
        default=1000,
        ge=0,
        le=4096,
        description="After its own restart the relay asks again for so many ticks of a symbol.",
    )
    checkpoint_interval_s: float = Field(
        default=1.0,
        ge=0.05,
        le=60,
        description="Time between two writes of the tick cursors.",
    )
    max_streams_per_terminal: int = Field(
        default=1000,
        ge=1,
        le=10_000,
        description="Symbols that one terminal streams at the same time.",
    )

    @model_validator(mode="after")
    def _one_topic_fits(self) -> TickSettings:
        if self.ring_bytes_per_topic > self.ring_bytes_total:
            msg = "ring_bytes_per_topic is above ring_bytes_total"
            raise ValueError(msg)
        return self


class LimitSettings(_Section):
    """
    What one client or terminal may take from the others.
    """

    request_max_bytes: int = Field(
        default=64 * _KIB,
        ge=_KIB,
        le=_MIB,
        description="A larger request is refused before it is read.",
    )
    replay_bytes_per_s_per_client: int = Field(
        default=16 * _MIB,
        ge=64 * _KIB,
        le=1024 * _MIB,
        description="Rate of replays for one client.",
    )
    replay_page_bytes: int = Field(
        default=_MIB,
        ge=4 * _KIB,
        le=_MIB,
        description="Size of one page of a replay; the bus protocol allows 1 MiB at most.",
    )
    send_hwm: int = Field(
        default=100_000,
        ge=10,
        le=10_000_000,
        description="Messages waiting for one subscriber; past it that subscriber misses some.",
    )
    pending_requests_per_terminal: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Requests waiting for one terminal; a further one is refused.",
    )
    sessions_pending_logon: int = Field(
        default=8,
        ge=1,
        le=256,
        description="Connections of terminals that have not proved themselves yet.",
    )


class SessionSettings(_Section):
    """
    How soon a dead link between terminal and relay is noticed.
    """

    heartbeat_interval_ms: int = Field(
        default=1000,
        ge=50,
        le=10_000,
        description="Time between two heartbeats, in both directions.",
    )
    silence_limit_ms: int = Field(
        default=4000,
        ge=100,
        le=60_000,
        description="A link is cut when nothing came for so long.",
    )
    logon_deadline_ms: int = Field(
        default=5000,
        ge=100,
        le=60_000,
        description="A connection that has not logged on by then is cut.",
    )

    @model_validator(mode="after")
    def _one_heartbeat_may_be_late(self) -> SessionSettings:
        if self.silence_limit_ms < 2 * self.heartbeat_interval_ms:
            msg = "silence_limit_ms must be at least twice heartbeat_interval_ms"
            raise ValueError(msg)
        return self


class Settings(_Section):
    """
    All settings of a relay, checked. Frozen: a component that needs others derives its own.
    """

    relay: RelaySettings = Field(default_factory=RelaySettings)
    endpoints: EndpointSettings = Field(default_factory=EndpointSettings)
    terminals: dict[_Alias, TerminalSettings] = Field(default_factory=dict)
    journal: JournalSettings = Field(default_factory=JournalSettings)
    ticks: TickSettings = Field(default_factory=TickSettings)
    limits: LimitSettings = Field(default_factory=LimitSettings)
    session: SessionSettings = Field(default_factory=SessionSettings)

    @property
    def journal_file(self) -> Path:
        """
        The SQLite file of the journal.
        """
        return self.relay.data_dir / JOURNAL_FILE
