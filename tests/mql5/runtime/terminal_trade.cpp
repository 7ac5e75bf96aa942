// Orders, positions, deals: an account without any, on which an expert must not trade.
#include "api.hpp"

namespace mql {

namespace {

constexpr int TRADE_DISABLED = 4752;
constexpr int POSITION_NOT_FOUND = 4753;
constexpr int ORDER_NOT_FOUND = 4754;
constexpr int DEAL_NOT_FOUND = 4755;
constexpr int CALCULATION_FAILED = 4758;
constexpr uint RETCODE_CLIENT_DISABLES_AT = 10027;

template <class T>
T fail(int error, T value) {
    _LastError = error;
    return value;
}

}  // namespace

bool OrderCalcMargin(ENUM_ORDER_TYPE, const string &, double, double, double &margin) {
    margin = 0.0;
    return fail(CALCULATION_FAILED, false);
}
bool OrderCalcProfit(ENUM_ORDER_TYPE, const string &, double, double, double, double &profit) {
    profit = 0.0;
    return fail(CALCULATION_FAILED, false);
}
bool OrderCheck(MqlTradeRequest &, MqlTradeCheckResult &result) {
    result = MqlTradeCheckResult{};
    result.retcode = RETCODE_CLIENT_DISABLES_AT;
    return fail(TRADE_DISABLED, false);
}
bool OrderSend(MqlTradeRequest &, MqlTradeResult &result) {
    result = MqlTradeResult{};
    result.retcode = RETCODE_CLIENT_DISABLES_AT;
    return fail(TRADE_DISABLED, false);
}
bool OrderSendAsync(MqlTradeRequest &request, MqlTradeResult &result) {
    return OrderSend(request, result);
}

int PositionsTotal() { return 0; }
string PositionGetSymbol(int) { return fail(POSITION_NOT_FOUND, string("")); }
bool PositionSelect(const string &) { return fail(POSITION_NOT_FOUND, false); }
bool PositionSelectByTicket(ulong) { return fail(POSITION_NOT_FOUND, false); }
ulong PositionGetTicket(int) { return fail(POSITION_NOT_FOUND, ulong{0}); }
double PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE) { return fail(POSITION_NOT_FOUND, 0.0); }
bool PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE, double &) {
    return fail(POSITION_NOT_FOUND, false);
}
long long PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER) {
    return fail(POSITION_NOT_FOUND, 0LL);
}
bool PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER, long long &) {
    return fail(POSITION_NOT_FOUND, false);
}
string PositionGetString(ENUM_POSITION_PROPERTY_STRING) {
    return fail(POSITION_NOT_FOUND, string(""));
}
bool PositionGetString(ENUM_POSITION_PROPERTY_STRING, string &) {
    return fail(POSITION_NOT_FOUND, false);
}

int OrdersTotal() { return 0; }
ulong OrderGetTicket(int) { return fail(ORDER_NOT_FOUND, ulong{0}); }
bool OrderSelect(ulong) { return fail(ORDER_NOT_FOUND, false); }
double OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE) { return fail(ORDER_NOT_FOUND, 0.0); }
bool OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE, double &) { return fail(ORDER_NOT_FOUND, false); }
long long OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER) { return fail(ORDER_NOT_FOUND, 0LL); }
bool OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER, long long &) {
    return fail(ORDER_NOT_FOUND, false);
}
string OrderGetString(ENUM_ORDER_PROPERTY_STRING) { return fail(ORDER_NOT_FOUND, string("")); }
bool OrderGetString(ENUM_ORDER_PROPERTY_STRING, string &) { return fail(ORDER_NOT_FOUND, false); }

bool HistorySelect(datetime, datetime) { return true; }
bool HistorySelectByPosition(ulong) { return true; }
bool HistoryOrderSelect(ulong) { return fail(ORDER_NOT_FOUND, false); }
int HistoryOrdersTotal() { return 0; }
ulong HistoryOrderGetTicket(int) { return fail(ORDER_NOT_FOUND, ulong{0}); }
double HistoryOrderGetDouble(ulong, ENUM_ORDER_PROPERTY_DOUBLE) {
    return fail(ORDER_NOT_FOUND, 0.0);
}
bool HistoryOrderGetDouble(ulong, ENUM_ORDER_PROPERTY_DOUBLE, double &) {
    return fail(ORDER_NOT_FOUND, false);
}
long long HistoryOrderGetInteger(ulong, ENUM_ORDER_PROPERTY_INTEGER) {
    return fail(ORDER_NOT_FOUND, 0LL);
}
bool HistoryOrderGetInteger(ulong, ENUM_ORDER_PROPERTY_INTEGER, long long &) {
    return fail(ORDER_NOT_FOUND, false);
}
string HistoryOrderGetString(ulong, ENUM_ORDER_PROPERTY_STRING) {
    return fail(ORDER_NOT_FOUND, string(""));
}
bool HistoryOrderGetString(ulong, ENUM_ORDER_PROPERTY_STRING, string &) {
    return fail(ORDER_NOT_FOUND, false);
}
bool HistoryDealSelect(ulong) { return fail(DEAL_NOT_FOUND, false); }
int HistoryDealsTotal() { return 0; }
ulong HistoryDealGetTicket(int) { return fail(DEAL_NOT_FOUND, ulong{0}); }
double HistoryDealGetDouble(ulong, ENUM_DEAL_PROPERTY_DOUBLE) { return fail(DEAL_NOT_FOUND, 0.0); }
bool HistoryDealGetDouble(ulong, ENUM_DEAL_PROPERTY_DOUBLE, double &) {
    return fail(DEAL_NOT_FOUND, false);
}
long long HistoryDealGetInteger(ulong, ENUM_DEAL_PROPERTY_INTEGER) {
    return fail(DEAL_NOT_FOUND, 0LL);
}
bool HistoryDealGetInteger(ulong, ENUM_DEAL_PROPERTY_INTEGER, long long &) {
    return fail(DEAL_NOT_FOUND, false);
}
string HistoryDealGetString(ulong, ENUM_DEAL_PROPERTY_STRING) {
    return fail(DEAL_NOT_FOUND, string(""));
}
bool HistoryDealGetString(ulong, ENUM_DEAL_PROPERTY_STRING, string &) {
    return fail(DEAL_NOT_FOUND, false);
}

}  // namespace mql
