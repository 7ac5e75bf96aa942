"""Every number of wire protocol version 1 that both sides must agree on.

The tables of ``docs/reference/wire-protocol.md`` and the MQL5 constants are
generated from this file; a test compares them.
"""

from __future__ import annotations

import enum
from typing import Final

__all__ = [
    "ACK_EVERY_BYTES",
    "ACK_EVERY_MS",
    "BUSY_LIMIT_MS",
    "CAPABILITIES",
    "CLOCK_WINDOW_MS",
    "COMMAND_QUEUE_MAX",
    "CRITICAL_TYPE_MAX",
    "FRAME_MAGIC",
    "FRAME_MAX",
    "FRAME_OVERHEAD",
    "HEADER_SIZE",
    "HEARTBEAT_INTERVAL_MAX_MS",
    "HEARTBEAT_INTERVAL_MIN_MS",
    "LOGON_FRAME_MAX",
    "MARKET_FRAME_MAX",
    "MARKET_WINDOW",
    "NONCE_SIZE",
    "PAGE_PAYLOAD_MAX",
    "RUN_HEADER_SIZE",
    "SILENCE_LIMIT_MAX_MS",
    "TAG_SIZE",
    "VERSION",
    "VERSION_MIN",
    "BusyKind",
    "Capability",
    "Continuity",
    "DenyReason",
    "ErrorCode",
    "EventKind",
    "Evidence",
    "FrameType",
    "GapReason",
    "LogoutCode",
    "NewFlag",
    "OrderOutcome",
    "PageKind",
    "Permission",
    "Role",
    "StreamKind",
    "TradingState",
]

VERSION: Final = 1
VERSION_MIN: Final = 1

FRAME_MAGIC: Final = 0x354D  # the bytes "M5"
HEADER_SIZE: Final = 16
TAG_SIZE: Final = 16
FRAME_OVERHEAD: Final = HEADER_SIZE + TAG_SIZE
#: The largest frame after logon; h11 allows 16 KiB of headers, FIX engines 64 KiB and more.
FRAME_MAX: Final = 65_536
#: Before the peer has proved itself it may make us hold no more than this.
LOGON_FRAME_MAX: Final = 1_024
MARKET_FRAME_MAX: Final = 8_192
#: TICKS and PAGE frames sent and not acknowledged: what a command may have to wait behind.
MARKET_WINDOW: Final = 131_072
#: A PAGE with its other fields at their largest still fits FRAME_MAX.
PAGE_PAYLOAD_MAX: Final = 60_000
#: More than this in the command lane means that the peer does not read: the session ends.
COMMAND_QUEUE_MAX: Final = 4_194_304
RUN_HEADER_SIZE: Final = 40
#: The relay acknowledges after so many bytes of market data, or after so long.
ACK_EVERY_BYTES: Final = 16_384
ACK_EVERY_MS: Final = 100
#: A BUSY may extend the silence limit by no more than this.
BUSY_LIMIT_MS: Final = 60_000
#: What a terminal accepts in WELCOME; a silence limit is at least two heartbeats long.
HEARTBEAT_INTERVAL_MIN_MS: Final = 10
HEARTBEAT_INTERVAL_MAX_MS: Final = 60_000
SILENCE_LIMIT_MAX_MS: Final = 300_000
#: The clock offset is the least of the last one to two windows. Longer than BUSY_LIMIT_MS, so
#: that a frame from before a block is in it; short enough that two clocks do not drift apart.
CLOCK_WINDOW_MS: Final = 120_000
NONCE_SIZE: Final = 32
#: Unknown types up to here end the session; above it they are ignored.
CRITICAL_TYPE_MAX: Final = 0x7F


class FrameType(enum.IntEnum):
    """
    The second header field. The high nibble groups them.
    """

    HELLO = 0x01
    CHALLENGE = 0x02
    PROOF = 0x03
    WELCOME = 0x04
    LOGOUT = 0x05
    HEARTBEAT = 0x06
    TEST_REQUEST = 0x07
    BUSY = 0x08
    ACK = 0x09

    SUBSCRIBE = 0x10
    UNSUBSCRIBE = 0x11
    STREAM = 0x12
    TICKS = 0x13
    GAP = 0x14
    REFILL = 0x15

    REQUEST = 0x20
    PAGE = 0x21
    CANCEL_REQUEST = 0x22

    NEW = 0x30
    QUERY = 0x31
    RESULT = 0x32
    EVENT = 0x33
    EVENT_ACK = 0x34
    HALT = 0x35


class LogoutCode(enum.IntEnum):
    """
    Why a session ended. Below 100: worth a reconnect; from 100: a person must act.
    """

    NORMAL = 0
    SHUTTING_DOWN = 1
    HEARTBEAT_LOST = 2
    LOGON_TIMEOUT = 3
    REPLACED = 4
    DUPLICATE_SESSION = 5
    ACCOUNT_CHANGED = 6
    REINITIALISED = 7
    QUEUE_FULL = 8
    BAD_FRAME = 10
    BAD_MAGIC = 11
    FRAME_TOO_LARGE = 12
    BAD_TAG = 13
    BAD_SEQUENCE = 14
    BAD_MESSAGE = 15
    UNEXPECTED_TYPE = 16
    UNKNOWN_TYPE = 17
    BAD_RECORDS = 18
    UNKNOWN_KEY = 100
    BAD_RELAY_KEY = 101
    BAD_TERMINAL_KEY = 102
    VERSION_MISMATCH = 103
    WRONG_ACCOUNT = 104
    NOT_DEMO = 105
    STALE_RELAY = 106
    SELF_TEST_FAILED = 107
    ROLE_UNSUPPORTED = 108


class Role(enum.IntEnum):
    """
    What a session may carry: one live session per account and role.
    """

    TRADE = 1
    MARKET = 2
    BOTH = 3


class Capability(enum.IntFlag):
    """
    What a side can do; each side sends its own, the session uses what both have.
    """

    TICKS = 1
    READS = 2
    TRADE = 4
    EVENTS = 8
    BARS = 16
    BOOK = 32
    REFILL = 64
    CALENDAR = 128
    SCREENSHOT = 256
    INDICATORS = 512


#: What this version of relay and simulated terminal have.
CAPABILITIES: Final = Capability.TICKS | Capability.READS


class Permission(enum.IntFlag):
    """
    The permission flags of a heartbeat.

    Sources: https://www.mql5.com/en/docs/constants/environment_state/terminalstatus,
    .../mql5_programm_info, .../accountinformation
    """

    TERMINAL_CONNECTED = 1
    TERMINAL_TRADE_ALLOWED = 2
    MQL_TRADE_ALLOWED = 4
    ACCOUNT_TRADE_ALLOWED = 8
    ACCOUNT_TRADE_EXPERT = 16


class TradingState(enum.IntEnum):
    """
    Whether orders may pass: all, closes and cancels only, none.
    """

    ACTIVE = 0
    REDUCING = 1
    HALTED = 2


class BusyKind(enum.IntEnum):
    """
    What the terminal is about to block in. ``READY`` ends it.
    """

    READY = 0
    ORDER_SEND = 1
    COPY_TICKS = 2
    COPY_RATES = 3
    HISTORY_SELECT = 4
    DATABASE = 5
    OTHER = 255


class StreamKind(enum.IntEnum):
    """
    What SUBSCRIBE asks for.
    """

    TICK = 1
    BAR = 2
    BOOK = 3
    ACCOUNT = 4
    POSITION = 5
    CALENDAR = 6
    INDICATOR = 7


class Continuity(enum.IntEnum):
    """
    How a stream that begins relates to what the relay offered in SUBSCRIBE.
    """

    FRESH = 0
    RESUMED = 1
    GAP = 2


class GapReason(enum.IntEnum):
    """
    Why a stream could not be resumed without a gap.
    """

    TOO_OLD = 1
    HISTORY_REVISED = 2
    HISTORY_MISSING = 3
    ORDER_LOST = 4
    ACCOUNT_CHANGED = 5
    OTHER = 255


class PageKind(enum.IntEnum):
    """
    What the payload of a PAGE is.
    """

    MSGPACK = 0
    MQL_TICK = 1
    MQL_RATES = 2
    BYTES = 3


class ErrorCode(enum.IntEnum):
    """
    Why a SUBSCRIBE, REQUEST or REFILL was refused by the terminal. 0 is success.
    """

    OK = 0
    UNKNOWN_SYMBOL = 1
    SYMBOL_NOT_SELECTED = 2
    NOT_SYNCHRONISED = 3
    UNSUPPORTED = 4
    INVALID = 5
    TOO_MANY = 6
    DEADLINE_PASSED = 7
    NOT_FOUND = 8
    TERMINAL_ERROR = 9
    NOT_ALLOWED = 10
    CANCELLED = 11


class OrderOutcome(enum.IntEnum):
    """
    What the terminal knows of a command; the first three end without a trade.
    """

    NEVER_SEEN = 0
    EXPIRED_NOT_SENT = 1
    DENIED = 2
    REJECTED = 3
    PLACED = 4
    PARTIAL = 5
    DONE = 6
    INTENT = 7
    UNKNOWN = 8
    NOT_FOUND = 9


class NewFlag(enum.IntFlag):
    """
    How a NEW is to be executed; a terminal denies one with a bit that it does not know.
    """

    #: A close: never trade more than is open on the other side, read just before sending.
    REDUCE_ONLY = 1
    #: An administrator asked for it: passes REDUCING and HALTED.
    ADMIN = 2
    #: ``sl`` is a distance in points from the price that the terminal sends.
    SL_POINTS = 4
    #: ``tp`` is a distance in points from the price that the terminal sends.
    TP_POINTS = 8


class Evidence(enum.IntEnum):
    """
    Where the terminal has its RESULT from.
    """

    NONE = 0
    LEDGER = 1
    ORDER_CHECK = 2
    TRADE_SERVER = 3
    TRANSACTION = 4
    ORDERS = 5
    POSITIONS = 6
    HISTORY_ORDERS = 7
    HISTORY_DEALS = 8


class DenyReason(enum.IntEnum):
    """
    Why the terminal denied a NEW. Nothing was sent to the trade server.
    """

    NONE = 0
    INVALID = 1
    WRONG_ACCOUNT = 2
    WRONG_INCARNATION = 3
    STALE_RELAY = 4
    HALTED = 5
    REDUCING = 6
    SYMBOL_NOT_ALLOWED = 7
    VOLUME_LIMIT = 8
    RATE_LIMIT = 9
    POSITION_LIMIT = 10
    READ_ONLY = 11
    DEMO_ONLY = 12
    NOT_DURABLE = 13
    NOT_PERMITTED = 14
    NOT_CONNECTED = 15
    ROLE = 16
    DIVERGED = 17
    NOTHING_TO_CLOSE = 18
    TOO_MANY = 19
    OTHER = 255


class EventKind(enum.IntEnum):
    """
    What an EVENT reports.
    """

    DEAL = 1
    ORDER_CLOSED = 2
    ORDER = 3
    POSITION = 4
    ACCOUNT = 5
    REQUEST = 6
