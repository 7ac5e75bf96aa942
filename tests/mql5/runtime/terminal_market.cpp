// Symbols, ticks, books, account and terminal: asked of the host, which has the one market.
#include <algorithm>
#include <cstring>
#include <string>

#include "api.hpp"
#include "clock.hpp"
#include "link.hpp"
#include "options.hpp"
#include "program.hpp"
#include "terminal.hpp"

namespace mql {

namespace {

using namespace runtime;

constexpr int NO_SUCH_FUNCTION_YET = 4401;  // ERR_HISTORY_NOT_FOUND
constexpr int ARRAY_TOO_SMALL = 4407;
constexpr int NOT_ENOUGH_MEMORY = 4004;
constexpr long long DYNAMIC = -1;

enum Value : std::uint8_t { INTEGER = 0, NUMBER = 1, TEXT = 2 };

// NULL and "" stand for the chart's symbol.
std::string name_of(const string &symbol) {
    return symbol.empty() ? chart_symbol() : symbol.utf8();
}

bool succeeded(const Answer &answer) {
    if (answer.error != 0) {
        _LastError = answer.error;
    }
    return answer.error == 0;
}

bool ask_flag(Call call, const string &symbol) {
    Answer answer = ask(call, Writer().text(name_of(symbol)));
    return succeeded(answer);
}

// The value of a property; `value` keeps what it has when there is none.
bool property(Call call, Value kind, int id, Reader *&body, Answer &answer, const Writer &before) {
    Writer question;
    question.raw(before.bytes().data(), before.bytes().size());
    question.u8(kind).i32(id);
    answer = ask(call, question);
    body = &answer.body;
    return succeeded(answer);
}

bool integer_property(Call call, int id, long long &value, const Writer &before = Writer()) {
    Answer answer{0, Reader("")};
    Reader *body = nullptr;
    if (!property(call, INTEGER, id, body, answer, before)) {
        return false;
    }
    value = body->i64();
    return true;
}

bool number_property(Call call, int id, double &value, const Writer &before = Writer()) {
    Answer answer{0, Reader("")};
    Reader *body = nullptr;
    if (!property(call, NUMBER, id, body, answer, before)) {
        return false;
    }
    value = body->f64();
    return true;
}

bool text_property(Call call, int id, string &value, const Writer &before = Writer()) {
    Answer answer{0, Reader("")};
    Reader *body = nullptr;
    if (!property(call, TEXT, id, body, answer, before)) {
        return false;
    }
    value = string::from_utf8(body->text());
    return true;
}

// Copies whole structures into the program's array; returns how many, -1 when it has no room.
template <class T>
int hand_over(Reader &body, const aref<T> &array) {
    const std::size_t count = body.left() / sizeof(T);
    std::size_t taken = count;
    if (array.is_dynamic()) {
        if (!array.resize(static_cast<long long>(count))) {
            _LastError = NOT_ENOUGH_MEMORY;
            return -1;
        }
    } else {
        taken = std::min<std::size_t>(count, static_cast<std::size_t>(array.size()));
        if (taken < count) {
            _LastError = ARRAY_TOO_SMALL;
        }
    }
    if (taken > 0) {
        std::memcpy(static_cast<void *>(array.data()), body.take(taken * sizeof(T)),
                    taken * sizeof(T));
    }
    return static_cast<int>(taken);
}

// An answer with ticks may bring some and an error, or none at all.
int ticks_of(Answer answer, const aref<MqlTick> &ticks_array) {
    succeeded(answer);
    const bool found = answer.body.u8() != 0;
    return found ? hand_over(answer.body, ticks_array) : -1;
}

}  // namespace

// --- symbols

int SymbolsTotal(bool selected) {
    return ask(Call::SYMBOLS_TOTAL, Writer().u8(selected)).body.i32();
}

bool SymbolExist(const string &name, bool &is_custom) {
    is_custom = false;
    return ask(Call::SYMBOL_EXIST, Writer().text(name_of(name))).body.u8() != 0;
}

string SymbolName(int pos, bool selected) {
    Answer answer = ask(Call::SYMBOL_NAME, Writer().i32(pos).u8(selected));
    return succeeded(answer) ? string::from_utf8(answer.body.text()) : string("");
}

bool SymbolSelect(const string &name, bool select) {
    return succeeded(ask(Call::SYMBOL_SELECT, Writer().text(name_of(name)).u8(select)));
}

bool SymbolIsSynchronized(const string &name) {
    Answer answer = ask(Call::SYMBOL_SYNCHRONIZED, Writer().text(name_of(name)));
    return succeeded(answer) && answer.body.u8() != 0;
}

bool SymbolInfoInteger(const string &name, ENUM_SYMBOL_INFO_INTEGER prop_id, long long &long_var) {
    return integer_property(Call::SYMBOL_INFO, prop_id, long_var, Writer().text(name_of(name)));
}

bool SymbolInfoDouble(const string &name, ENUM_SYMBOL_INFO_DOUBLE prop_id, double &double_var) {
    return number_property(Call::SYMBOL_INFO, prop_id, double_var, Writer().text(name_of(name)));
}

bool SymbolInfoString(const string &name, ENUM_SYMBOL_INFO_STRING prop_id, string &string_var) {
    return text_property(Call::SYMBOL_INFO, prop_id, string_var, Writer().text(name_of(name)));
}

long long SymbolInfoInteger(const string &name, ENUM_SYMBOL_INFO_INTEGER prop_id) {
    long long value = 0;
    SymbolInfoInteger(name, prop_id, value);
    return value;
}

double SymbolInfoDouble(const string &name, ENUM_SYMBOL_INFO_DOUBLE prop_id) {
    double value = 0.0;
    SymbolInfoDouble(name, prop_id, value);
    return value;
}

string SymbolInfoString(const string &name, ENUM_SYMBOL_INFO_STRING prop_id) {
    string value("");
    SymbolInfoString(name, prop_id, value);
    return value;
}

bool SymbolInfoMarginRate(const string &name, ENUM_ORDER_TYPE order_type,
                          double &initial_margin_rate, double &maintenance_margin_rate) {
    Answer answer = ask(Call::MARGIN_RATE, Writer().text(name_of(name)).i32(order_type));
    if (!succeeded(answer)) {
        return false;
    }
    initial_margin_rate = answer.body.f64();
    maintenance_margin_rate = answer.body.f64();
    return true;
}

bool SymbolInfoSessionQuote(const string &name, ENUM_DAY_OF_WEEK day_of_week, uint session_index,
                            datetime &from, datetime &to) {
    // Open round the clock from Monday to Friday.
    from = 0;
    to = 86'400;
    bool is_custom = false;
    if (!SymbolExist(name, is_custom) || day_of_week == SUNDAY || day_of_week == SATURDAY ||
        session_index > 0) {
        _LastError = 4307;
        return false;
    }
    return true;
}

bool SymbolInfoSessionTrade(const string &name, ENUM_DAY_OF_WEEK day_of_week, uint session_index,
                            datetime &from, datetime &to) {
    return SymbolInfoSessionQuote(name, day_of_week, session_index, from, to);
}

// --- ticks, rates, books

bool SymbolInfoTick(const string &symbol, MqlTick &tick) {
    Answer answer = ask(Call::SYMBOL_TICK, Writer().text(name_of(symbol)));
    if (!succeeded(answer)) {
        return false;
    }
    std::memcpy(static_cast<void *>(&tick), answer.body.take(sizeof tick), sizeof tick);
    return true;
}

int CopyTicks(const string &symbol_name, aref<MqlTick> ticks_array, uint flags, ulong from,
              uint count) {
    Writer question;
    question.text(name_of(symbol_name)).u32(flags).i64(static_cast<long long>(from)).u32(count);
    return ticks_of(ask(Call::COPY_TICKS, question), ticks_array);
}

int CopyTicksRange(const string &symbol_name, aref<MqlTick> ticks_array, uint flags,
                   ulong from_msc, ulong to_msc) {
    Writer question;
    question.text(name_of(symbol_name)).u32(flags);
    question.i64(static_cast<long long>(from_msc)).i64(static_cast<long long>(to_msc));
    question.i64(ticks_array.is_dynamic() ? DYNAMIC : ticks_array.size());
    return ticks_of(ask(Call::COPY_TICKS_RANGE, question), ticks_array);
}

bool MarketBookAdd(const string &symbol) { return ask_flag(Call::BOOK_ADD, symbol); }
bool MarketBookRelease(const string &symbol) { return ask_flag(Call::BOOK_RELEASE, symbol); }

bool MarketBookGet(const string &symbol, aref<MqlBookInfo> book) {
    Answer answer = ask(Call::BOOK_GET, Writer().text(name_of(symbol)));
    return succeeded(answer) && hand_over(answer.body, book) >= 0;
}

// Bars are not built yet: the host has ticks alone.
int CopyRates(const string &, ENUM_TIMEFRAMES, int, int, aref<MqlRates>) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return -1;
}
int CopyRates(const string &, ENUM_TIMEFRAMES, datetime, int, aref<MqlRates>) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return -1;
}
int CopyRates(const string &, ENUM_TIMEFRAMES, datetime, datetime, aref<MqlRates>) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return -1;
}
bool SeriesInfoInteger(const string &, ENUM_TIMEFRAMES, ENUM_SERIES_INFO_INTEGER, long long &) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return false;
}
long long SeriesInfoInteger(const string &, ENUM_TIMEFRAMES, ENUM_SERIES_INFO_INTEGER) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return 0;
}
int Bars(const string &, ENUM_TIMEFRAMES) { return 0; }
int Bars(const string &, ENUM_TIMEFRAMES, datetime, datetime) { return 0; }
int iBarShift(const string &, ENUM_TIMEFRAMES, datetime, bool) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return -1;
}
datetime iTime(const string &, ENUM_TIMEFRAMES, int) {
    _LastError = NO_SUCH_FUNCTION_YET;
    return 0;
}

// --- account, terminal, program

long long AccountInfoInteger(ENUM_ACCOUNT_INFO_INTEGER property_id) {
    long long value = 0;
    integer_property(Call::ACCOUNT_INFO, property_id, value);
    return value;
}
double AccountInfoDouble(ENUM_ACCOUNT_INFO_DOUBLE property_id) {
    double value = 0.0;
    number_property(Call::ACCOUNT_INFO, property_id, value);
    return value;
}
string AccountInfoString(ENUM_ACCOUNT_INFO_STRING property_id) {
    string value("");
    text_property(Call::ACCOUNT_INFO, property_id, value);
    return value;
}

int TerminalInfoInteger(ENUM_TERMINAL_INFO_INTEGER property_id) {
    long long value = 0;
    integer_property(Call::TERMINAL_INFO, property_id, value);
    return static_cast<int>(value);
}
double TerminalInfoDouble(ENUM_TERMINAL_INFO_DOUBLE property_id) {
    double value = 0.0;
    number_property(Call::TERMINAL_INFO, property_id, value);
    return value;
}
string TerminalInfoString(ENUM_TERMINAL_INFO_STRING property_id) {
    string value("");
    text_property(Call::TERMINAL_INFO, property_id, value);
    return value;
}

int MQLInfoInteger(ENUM_MQL_INFO_INTEGER property_id) {
    if (property_id == MQL_TESTER) {
        return is_tester();
    }
    long long value = 0;
    integer_property(Call::MQL_INFO, property_id, value);
    return static_cast<int>(value);
}
string MQLInfoString(ENUM_MQL_INFO_STRING property_id) {
    if (property_id == MQL_PROGRAM_NAME) {
        return string(program.name);
    }
    string value("");
    text_property(Call::MQL_INFO, property_id, value);
    return value;
}

}  // namespace mql
