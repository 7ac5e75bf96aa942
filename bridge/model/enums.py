"""MetaTrader 5's enumerations with MQL5's values.

A class is named after MQL5's enumeration without ``ENUM_``, a member after MQL5's constant
without the prefix the enumeration shares: ``ORDER_TYPE_BUY_LIMIT`` is ``OrderType.BUY_LIMIT``.
Pages are below https://www.mql5.com/en/docs/. MQL5's manual prints names without values; the
values are those of MetaQuotes' own Python package, and a test compares them.

``TickFlag`` is in ``bridge.model.tick``. ``ENUM_TRADE_TRANSACTION_TYPE`` is not here, because no
public source gives its values: it travels by name.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag

__all__ = [
    "AccountMarginMode",
    "AccountStopoutMode",
    "AccountTradeMode",
    "BookType",
    "CopyTicks",
    "DealEntry",
    "DealReason",
    "DealType",
    "MqlError",
    "OrderReason",
    "OrderState",
    "OrderType",
    "OrderTypeFilling",
    "OrderTypeTime",
    "PositionReason",
    "PositionType",
    "SymbolCalcMode",
    "SymbolExpirationMode",
    "SymbolFillingMode",
    "SymbolOrderMode",
    "SymbolSwapMode",
    "SymbolTradeExecution",
    "SymbolTradeMode",
    "Timeframes",
    "TradeRequestActions",
    "TradeRetcode",
]


class Timeframes(IntEnum):
    """
    ``ENUM_TIMEFRAMES``: minutes up to M30; 0x4000 counts hours, 0x8000 weeks, 0xC000 months.

    MQL5 page: constants/chartconstants/enum_timeframes
    """

    M1 = 1
    M2 = 2
    M3 = 3
    M4 = 4
    M5 = 5
    M6 = 6
    M10 = 10
    M12 = 12
    M15 = 15
    M20 = 20
    M30 = 30
    H1 = 0x4001
    H2 = 0x4002
    H3 = 0x4003
    H4 = 0x4004
    H6 = 0x4006
    H8 = 0x4008
    H12 = 0x400C
    D1 = 0x4018
    W1 = 0x8001
    MN1 = 0xC001


class CopyTicks(IntEnum):
    """
    ``ENUM_COPY_TICKS``: which ticks ``CopyTicks`` returns.

    MQL5 page: series/copyticks
    """

    ALL = -1
    INFO = 1
    TRADE = 2


class SymbolTradeMode(IntEnum):
    """
    ``ENUM_SYMBOL_TRADE_MODE``: what may be traded on a symbol.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    DISABLED = 0
    LONGONLY = 1
    SHORTONLY = 2
    CLOSEONLY = 3
    FULL = 4


class SymbolTradeExecution(IntEnum):
    """
    ``ENUM_SYMBOL_TRADE_EXECUTION``: how a symbol's market orders are executed.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    REQUEST = 0
    INSTANT = 1
    MARKET = 2
    EXCHANGE = 3


class SymbolFillingMode(IntFlag):
    """
    Bits of ``SYMBOL_FILLING_MODE``; 0 means that only ``ORDER_FILLING_RETURN`` is allowed.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    FOK = 1
    IOC = 2
    BOC = 4


class SymbolOrderMode(IntFlag):
    """
    Bits of ``SYMBOL_ORDER_MODE``: the order types a symbol allows.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    MARKET = 1
    LIMIT = 2
    STOP = 4
    STOP_LIMIT = 8
    SL = 16
    TP = 32
    CLOSEBY = 64


class SymbolExpirationMode(IntFlag):
    """
    Bits of ``SYMBOL_EXPIRATION_MODE``: the lifetimes of orders a symbol allows.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    GTC = 1
    DAY = 2
    SPECIFIED = 4
    SPECIFIED_DAY = 8


class SymbolCalcMode(IntEnum):
    """
    ``ENUM_SYMBOL_CALC_MODE``: how margin and profit of a symbol are calculated.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    FOREX = 0
    FUTURES = 1
    CFD = 2
    CFDINDEX = 3
    CFDLEVERAGE = 4
    FOREX_NO_LEVERAGE = 5
    EXCH_STOCKS = 32
    EXCH_FUTURES = 33
    EXCH_OPTIONS = 34
    EXCH_OPTIONS_MARGIN = 36
    EXCH_BONDS = 37
    EXCH_STOCKS_MOEX = 38
    EXCH_BONDS_MOEX = 39
    SERV_COLLATERAL = 64


class SymbolSwapMode(IntEnum):
    """
    ``ENUM_SYMBOL_SWAP_MODE``: the unit of ``SYMBOL_SWAP_LONG`` and ``SYMBOL_SWAP_SHORT``.

    MQL5 page: constants/environment_state/marketinfoconstants
    """

    DISABLED = 0
    POINTS = 1
    CURRENCY_SYMBOL = 2
    CURRENCY_MARGIN = 3
    CURRENCY_DEPOSIT = 4
    INTEREST_CURRENT = 5
    INTEREST_OPEN = 6
    REOPEN_CURRENT = 7
    REOPEN_BID = 8


class OrderType(IntEnum):
    """
    ``ENUM_ORDER_TYPE``: market and pending orders.

    MQL5 page: constants/tradingconstants/orderproperties
    """

    BUY = 0
    SELL = 1
    BUY_LIMIT = 2
    SELL_LIMIT = 3
    BUY_STOP = 4
    SELL_STOP = 5
    BUY_STOP_LIMIT = 6
    SELL_STOP_LIMIT = 7
    CLOSE_BY = 8


class OrderState(IntEnum):
    """
    ``ENUM_ORDER_STATE``: where an order is in its life.

    MQL5 page: constants/tradingconstants/orderproperties
    """

    STARTED = 0
    PLACED = 1
    CANCELED = 2
    PARTIAL = 3
    FILLED = 4
    REJECTED = 5
    EXPIRED = 6
    REQUEST_ADD = 7
    REQUEST_MODIFY = 8
    REQUEST_CANCEL = 9


class OrderTypeFilling(IntEnum):
    """
    ``ENUM_ORDER_TYPE_FILLING``: not the bits of ``SymbolFillingMode``.

    MQL5 page: constants/tradingconstants/orderproperties
    """

    FOK = 0
    IOC = 1
    RETURN = 2
    BOC = 3


class OrderTypeTime(IntEnum):
    """
    ``ENUM_ORDER_TYPE_TIME``: how long a pending order stays.

    MQL5 page: constants/tradingconstants/orderproperties
    """

    GTC = 0
    DAY = 1
    SPECIFIED = 2
    SPECIFIED_DAY = 3


class OrderReason(IntEnum):
    """
    ``ENUM_ORDER_REASON``: who or what placed an order.

    MQL5 page: constants/tradingconstants/orderproperties
    """

    CLIENT = 0
    MOBILE = 1
    WEB = 2
    EXPERT = 3
    SL = 4
    TP = 5
    SO = 6


class PositionType(IntEnum):
    """
    ``ENUM_POSITION_TYPE``: the side of a position.

    MQL5 page: constants/tradingconstants/positionproperties
    """

    BUY = 0
    SELL = 1


class PositionReason(IntEnum):
    """
    ``ENUM_POSITION_REASON``: who opened a position.

    MQL5 page: constants/tradingconstants/positionproperties
    """

    CLIENT = 0
    MOBILE = 1
    WEB = 2
    EXPERT = 3


class DealType(IntEnum):
    """
    ``ENUM_DEAL_TYPE``: trades, and every other booking on an account.

    MQL5 page: constants/tradingconstants/dealproperties
    """

    BUY = 0
    SELL = 1
    BALANCE = 2
    CREDIT = 3
    CHARGE = 4
    CORRECTION = 5
    BONUS = 6
    COMMISSION = 7
    COMMISSION_DAILY = 8
    COMMISSION_MONTHLY = 9
    COMMISSION_AGENT_DAILY = 10
    COMMISSION_AGENT_MONTHLY = 11
    INTEREST = 12
    BUY_CANCELED = 13
    SELL_CANCELED = 14
    DIVIDEND = 15
    DIVIDEND_FRANKED = 16
    TAX = 17


class DealEntry(IntEnum):
    """
    ``ENUM_DEAL_ENTRY``: what a deal did to its position.

    MQL5 page: constants/tradingconstants/dealproperties
    """

    IN = 0
    OUT = 1
    INOUT = 2
    OUT_BY = 3


class DealReason(IntEnum):
    """
    ``ENUM_DEAL_REASON``: who or what caused a deal.

    MQL5 page: constants/tradingconstants/dealproperties
    """

    CLIENT = 0
    MOBILE = 1
    WEB = 2
    EXPERT = 3
    SL = 4
    TP = 5
    SO = 6
    ROLLOVER = 7
    VMARGIN = 8
    SPLIT = 9


class TradeRequestActions(IntEnum):
    """
    ``ENUM_TRADE_REQUEST_ACTIONS``: what a trade request asks for.

    MQL5 page: constants/tradingconstants/enum_trade_request_actions
    """

    DEAL = 1
    PENDING = 5
    SLTP = 6
    MODIFY = 7
    REMOVE = 8
    CLOSE_BY = 10


class BookType(IntEnum):
    """
    ``ENUM_BOOK_TYPE``: the kind of a line in the order book.

    MQL5 page: constants/tradingconstants/enum_book_type
    """

    SELL = 1
    BUY = 2
    SELL_MARKET = 3
    BUY_MARKET = 4


class AccountTradeMode(IntEnum):
    """
    ``ENUM_ACCOUNT_TRADE_MODE``: demo, contest or real money.

    MQL5 page: constants/environment_state/accountinformation
    """

    DEMO = 0
    CONTEST = 1
    REAL = 2


class AccountMarginMode(IntEnum):
    """
    ``ENUM_ACCOUNT_MARGIN_MODE``: netting, exchange or hedging.

    MQL5 page: constants/environment_state/accountinformation
    """

    RETAIL_NETTING = 0
    EXCHANGE = 1
    RETAIL_HEDGING = 2


class AccountStopoutMode(IntEnum):
    """
    ``ENUM_ACCOUNT_STOPOUT_MODE``: the unit of the stop-out levels.

    MQL5 page: constants/environment_state/accountinformation
    """

    PERCENT = 0
    MONEY = 1


class TradeRetcode(IntEnum):
    """
    Return codes of the trade server; 10005 and 10037 are not used by MetaTrader.

    A code that is not listed is possible (a newer server): look codes up with care.

    MQL5 page: constants/errorswarnings/enum_trade_return_codes
    """

    REQUOTE = 10004
    REJECT = 10006
    CANCEL = 10007
    PLACED = 10008
    DONE = 10009
    DONE_PARTIAL = 10010
    ERROR = 10011
    TIMEOUT = 10012
    INVALID = 10013
    INVALID_VOLUME = 10014
    INVALID_PRICE = 10015
    INVALID_STOPS = 10016
    TRADE_DISABLED = 10017
    MARKET_CLOSED = 10018
    NO_MONEY = 10019
    PRICE_CHANGED = 10020
    PRICE_OFF = 10021
    INVALID_EXPIRATION = 10022
    ORDER_CHANGED = 10023
    TOO_MANY_REQUESTS = 10024
    NO_CHANGES = 10025
    SERVER_DISABLES_AT = 10026
    CLIENT_DISABLES_AT = 10027
    LOCKED = 10028
    FROZEN = 10029
    INVALID_FILL = 10030
    CONNECTION = 10031
    ONLY_REAL = 10032
    LIMIT_ORDERS = 10033
    LIMIT_VOLUME = 10034
    INVALID_ORDER = 10035
    POSITION_CLOSED = 10036
    INVALID_CLOSE_VOLUME = 10038
    CLOSE_ORDER_EXIST = 10039
    LIMIT_POSITIONS = 10040
    REJECT_CANCEL = 10041
    LONG_ONLY = 10042
    SHORT_ONLY = 10043
    CLOSE_ONLY = 10044
    FIFO_CLOSE = 10045
    HEDGE_PROHIBITED = 10046


class MqlError(IntEnum):
    """
    Runtime error codes (``_LastError``), the groups this project meets; ``ERR_`` left off.

    MQL5 page: constants/errorswarnings/errorcodes
    """

    SUCCESS = 0
    INTERNAL_ERROR = 4001
    WRONG_INTERNAL_PARAMETER = 4002
    INVALID_PARAMETER = 4003
    NOT_ENOUGH_MEMORY = 4004
    STRUCT_WITHOBJECTS_ORCLASS = 4005
    INVALID_ARRAY = 4006
    ARRAY_RESIZE_ERROR = 4007
    STRING_RESIZE_ERROR = 4008
    NOTINITIALIZED_STRING = 4009
    INVALID_DATETIME = 4010
    ARRAY_BAD_SIZE = 4011
    INVALID_POINTER = 4012
    INVALID_POINTER_TYPE = 4013
    FUNCTION_NOT_ALLOWED = 4014
    RESOURCE_NAME_DUPLICATED = 4015
    RESOURCE_NOT_FOUND = 4016
    RESOURCE_UNSUPPORTED_TYPE = 4017
    RESOURCE_NAME_IS_TOO_LONG = 4018
    MATH_OVERFLOW = 4019
    SLEEP_ERROR = 4020
    PROGRAM_STOPPED = 4022
    INVALID_TYPE = 4023
    INVALID_HANDLE = 4024
    CHART_CANNOT_CREATE_TIMER = 4108
    MARKET_UNKNOWN_SYMBOL = 4301
    MARKET_NOT_SELECTED = 4302
    MARKET_WRONG_PROPERTY = 4303
    MARKET_LASTTIME_UNKNOWN = 4304
    MARKET_SELECT_ERROR = 4305
    MARKET_SELECT_LIMIT = 4306
    MARKET_SESSION_INDEX = 4307
    HISTORY_NOT_FOUND = 4401
    HISTORY_WRONG_PROPERTY = 4402
    HISTORY_TIMEOUT = 4403
    HISTORY_BARS_LIMIT = 4404
    HISTORY_LOAD_ERRORS = 4405
    HISTORY_SMALL_BUFFER = 4407
    GLOBALVARIABLE_NOT_FOUND = 4501
    GLOBALVARIABLE_EXISTS = 4502
    GLOBALVARIABLE_NOT_MODIFIED = 4503
    GLOBALVARIABLE_CANNOTREAD = 4504
    GLOBALVARIABLE_CANNOTWRITE = 4505
    ACCOUNT_WRONG_PROPERTY = 4701
    TRADE_WRONG_PROPERTY = 4751
    TRADE_DISABLED = 4752
    TRADE_POSITION_NOT_FOUND = 4753
    TRADE_ORDER_NOT_FOUND = 4754
    TRADE_DEAL_NOT_FOUND = 4755
    TRADE_SEND_FAILED = 4756
    TRADE_CALC_FAILED = 4758
    INDICATOR_UNKNOWN_SYMBOL = 4801
    INDICATOR_CANNOT_CREATE = 4802
    INDICATOR_NO_MEMORY = 4803
    INDICATOR_CANNOT_APPLY = 4804
    INDICATOR_CANNOT_ADD = 4805
    INDICATOR_DATA_NOT_FOUND = 4806
    INDICATOR_WRONG_HANDLE = 4807
    INDICATOR_WRONG_PARAMETERS = 4808
    INDICATOR_PARAMETERS_MISSING = 4809
    INDICATOR_CUSTOM_NAME = 4810
    INDICATOR_PARAMETER_TYPE = 4811
    INDICATOR_WRONG_INDEX = 4812
    BOOKS_CANNOT_ADD = 4901
    BOOKS_CANNOT_DELETE = 4902
    BOOKS_CANNOT_GET = 4903
    BOOKS_CANNOT_SUBSCRIBE = 4904
    TOO_MANY_FILES = 5001
    WRONG_FILENAME = 5002
    TOO_LONG_FILENAME = 5003
    CANNOT_OPEN_FILE = 5004
    FILE_CACHEBUFFER_ERROR = 5005
    CANNOT_DELETE_FILE = 5006
    INVALID_FILEHANDLE = 5007
    WRONG_FILEHANDLE = 5008
    FILE_NOTTOWRITE = 5009
    FILE_NOTTOREAD = 5010
    FILE_NOTBIN = 5011
    FILE_NOTTXT = 5012
    FILE_NOTTXTORCSV = 5013
    FILE_NOTCSV = 5014
    FILE_READERROR = 5015
    FILE_BINSTRINGSIZE = 5016
    INCOMPATIBLE_FILE = 5017
    FILE_IS_DIRECTORY = 5018
    FILE_NOT_EXIST = 5019
    FILE_CANNOT_REWRITE = 5020
    WRONG_DIRECTORYNAME = 5021
    DIRECTORY_NOT_EXIST = 5022
    FILE_ISNOT_DIRECTORY = 5023
    CANNOT_DELETE_DIRECTORY = 5024
    CANNOT_CLEAN_DIRECTORY = 5025
    FILE_WRITEERROR = 5026
    FILE_ENDOFFILE = 5027
    NO_STRING_DATE = 5030
    WRONG_STRING_DATE = 5031
    WRONG_STRING_TIME = 5032
    STRING_TIME_ERROR = 5033
    STRING_OUT_OF_MEMORY = 5034
    STRING_SMALL_LEN = 5035
    STRING_TOO_BIGNUMBER = 5036
    WRONG_FORMATSTRING = 5037
    TOO_MANY_FORMATTERS = 5038
    TOO_MANY_PARAMETERS = 5039
    WRONG_STRING_PARAMETER = 5040
    STRINGPOS_OUTOFRANGE = 5041
    STRING_ZEROADDED = 5042
    STRING_UNKNOWNTYPE = 5043
    WRONG_STRING_OBJECT = 5044
    INCOMPATIBLE_ARRAYS = 5050
    SMALL_ASSERIES_ARRAY = 5051
    SMALL_ARRAY = 5052
    ZEROSIZE_ARRAY = 5053
    NUMBER_ARRAYS_ONLY = 5054
    ONEDIM_ARRAYS_ONLY = 5055
    SERIES_ARRAY = 5056
    DOUBLE_ARRAY_ONLY = 5057
    FLOAT_ARRAY_ONLY = 5058
    LONG_ARRAY_ONLY = 5059
    INT_ARRAY_ONLY = 5060
    SHORT_ARRAY_ONLY = 5061
    CHAR_ARRAY_ONLY = 5062
    STRING_ARRAY_ONLY = 5063
    DATABASE_INTERNAL = 5120
    DATABASE_INVALID_HANDLE = 5121
    DATABASE_TOO_MANY_OBJECTS = 5122
    DATABASE_CONNECT = 5123
    DATABASE_EXECUTE = 5124
    DATABASE_PREPARE = 5125
    DATABASE_NO_MORE_DATA = 5126
    DATABASE_STEP = 5127
    DATABASE_NOT_READY = 5128
    DATABASE_BIND_PARAMETERS = 5129
    WEBREQUEST_INVALID_ADDRESS = 5200
    WEBREQUEST_CONNECT_FAILED = 5201
    WEBREQUEST_TIMEOUT = 5202
    WEBREQUEST_REQUEST_FAILED = 5203
    NETSOCKET_INVALIDHANDLE = 5270
    NETSOCKET_TOO_MANY_OPENED = 5271
    NETSOCKET_CANNOT_CONNECT = 5272
    NETSOCKET_IO_ERROR = 5273
    NETSOCKET_HANDSHAKE_FAILED = 5274
    NETSOCKET_NO_CERTIFICATE = 5275
    CALENDAR_MORE_DATA = 5400
    CALENDAR_TIMEOUT = 5401
    CALENDAR_NO_DATA = 5402
    DATABASE_ERROR = 5601
    DATABASE_LOGIC = 5602
    DATABASE_PERM = 5603
    DATABASE_ABORT = 5604
    DATABASE_BUSY = 5605
    DATABASE_LOCKED = 5606
    DATABASE_NOMEM = 5607
    DATABASE_READONLY = 5608
    DATABASE_INTERRUPT = 5609
    DATABASE_IOERR = 5610
    DATABASE_CORRUPT = 5611
    DATABASE_NOTFOUND = 5612
    DATABASE_FULL = 5613
    DATABASE_CANTOPEN = 5614
    DATABASE_PROTOCOL = 5615
    DATABASE_EMPTY = 5616
    DATABASE_SCHEMA = 5617
    DATABASE_TOOBIG = 5618
    DATABASE_CONSTRAINT = 5619
    DATABASE_MISMATCH = 5620
    DATABASE_MISUSE = 5621
    DATABASE_NOLFS = 5622
    DATABASE_AUTH = 5623
    DATABASE_FORMAT = 5624
    DATABASE_RANGE = 5625
    DATABASE_NOTADB = 5626
    USER_ERROR_FIRST = 65536
