// Orders, positions, deals: asked of the host, which has the one broker.
//
// What a program selects is copied, and its properties are read from that copy: they stay what
// they were when the position changes or is gone. HistorySelect copies the lists. The manual is
// silent about these, and the runtime takes the stricter side:
//
//   a select that fails    leaves the earlier copy of a position or of an open order as it is
//                          (option `failed_select=clear`: none is selected afterwards)
//   a history select that  leaves an empty list: that page says that it is cleared first
//   fails
//   a ticket that is not   4002, as the book tells of it
//   in the selection
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "api.hpp"
#include "clock.hpp"
#include "failpoints.hpp"
#include "link.hpp"
#include "options.hpp"
#include "terminal.hpp"
#include "terminal_structs.hpp"

namespace mql {

namespace {

using namespace runtime;

constexpr int WRONG_INTERNAL_PARAMETER = 4002;
constexpr int FUNCTION_NOT_ALLOWED = 4014;
constexpr int WRONG_PROPERTY = 4751;
constexpr int POSITION_NOT_FOUND = 4753;
constexpr int ORDER_NOT_FOUND = 4754;
constexpr int DEAL_NOT_FOUND = 4755;

template <class T>
T fail(int error, T value) {
    _LastError = error;
    return value;
}

bool succeeded(const Answer &answer) { return answer.error == 0 || fail(answer.error, false); }

long long as_signed(ulong number) { return static_cast<long long>(number); }

std::string rest_of(Reader &body) {
    const std::size_t size = body.left();
    return std::string(body.take(size), size);
}

// --- the selections: one of positions, one of open orders, two lists of the history

struct Selection {
    Record record;

    bool take(Answer answer) {
        if (!succeeded(answer)) {
            if (option("failed_select", "keep") == "clear") {
                record = Record();
            }
            return false;
        }
        record = Record(rest_of(answer.body));
        return true;
    }

    ulong ticket(int property) const {
        long long value = 0;
        record.find(property, value);
        return static_cast<ulong>(value);
    }
};

// In the place of a record's size: the host has given it before, and it has not changed.
constexpr std::uint32_t GIVEN_BEFORE = 0xFFFFFFFF;

struct History {
    std::vector<std::pair<ulong, Record>> entries;
    //! all that the host has ever given
    std::unordered_map<ulong, Record> given;
    //! where a ticket is, the first one when there are several
    std::unordered_map<ulong, std::size_t> places;

    void clear() {
        entries.clear();
        places.clear();
    }

    void add(Reader &body) {
        const ulong ticket = body.u64();
        const std::uint32_t size = body.u32();
        if (size != GIVEN_BEFORE) {
            given[ticket] = Record(std::string(body.take(size), size));
        }
        places.emplace(ticket, entries.size());
        entries.emplace_back(ticket, given[ticket]);
    }

    void take(Reader &body) {
        clear();
        const std::size_t count = body.u32();
        entries.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            add(body);
        }
    }

    bool take_one(Answer answer) {
        clear();
        if (!succeeded(answer)) {
            return false;
        }
        add(answer.body);
        return true;
    }

    ulong at(int index, int error) const {
        if (index < 0 || static_cast<std::size_t>(index) >= entries.size()) {
            return fail(error, ulong{0});
        }
        return entries[static_cast<std::size_t>(index)].first;
    }

    const Record *of(ulong ticket) const {
        const auto found = places.find(ticket);
        return found == places.end() ? nullptr : &entries[found->second].second;
    }
};

Selection the_position;
Selection the_order;
History history_orders;
History history_deals;

template <class T>
bool read(const Record *record, int property, T &value, int not_selected) {
    if (record == nullptr || record->empty()) {
        return fail(not_selected, false);
    }
    return record->find(property, value) || fail(WRONG_PROPERTY, false);
}

template <class T>
T value_of(const Record *record, int property, T value, int not_selected) {
    read(record, property, value, not_selected);
    return value;
}

int count_of(Call call) { return ask(call, Writer()).body.i32(); }

bool take_history(Answer answer) {
    if (!succeeded(answer)) {
        return false;
    }
    history_orders.take(answer.body);
    history_deals.take(answer.body);
    return true;
}

// --- sending

void block(long long us) {
    const long long until_us = clock_us() + us;
    while (clock_us() < until_us) {
        wait_until(until_us, Why::BLOCKED);
    }
}

// The host answers in two steps: how long the call blocks, and then what came back; in one when it
// does not block.
bool send(const MqlTradeRequest &request, MqlTradeResult &result) {
    failpoint("OrderSend.before");
    Writer question;
    write_request(question, request);
    Answer sent = ask(Call::ORDER_SEND, question);
    failpoint("OrderSend.sent");
    const std::uint32_t number = sent.body.u32();
    block(sent.body.i64());
    if (number == 0) {
        failpoint("OrderSend.after");
        read_result(sent.body, result);
        return succeeded(sent);
    }
    Answer returned = ask(Call::ORDER_RETURNED, Writer().u32(number));
    failpoint("OrderSend.after");
    read_result(returned.body, result);
    return succeeded(returned);
}

bool send_async(const MqlTradeRequest &request, MqlTradeResult &result) {
    failpoint("OrderSendAsync.before");
    Writer question;
    write_request(question, request);
    Answer sent = ask(Call::ORDER_SEND_ASYNC, question);
    failpoint("OrderSendAsync.sent");
    result = MqlTradeResult{};
    result.retcode = sent.body.u32();
    result.request_id = sent.body.u32();
    result.comment = string::from_utf8(sent.body.text());
    failpoint("OrderSendAsync.after");
    return succeeded(sent);
}

}  // namespace

bool OrderSend(MqlTradeRequest &request, MqlTradeResult &result) {
    result = MqlTradeResult{};
    return is_indicator() ? fail(FUNCTION_NOT_ALLOWED, false) : send(request, result);
}

bool OrderSendAsync(MqlTradeRequest &request, MqlTradeResult &result) {
    result = MqlTradeResult{};
    if (is_indicator()) {
        return fail(FUNCTION_NOT_ALLOWED, false);
    }
    // The tester knows no waiting.
    return is_tester() ? send(request, result) : send_async(request, result);
}

bool OrderCheck(MqlTradeRequest &request, MqlTradeCheckResult &result) {
    result = MqlTradeCheckResult{};
    if (is_indicator()) {
        return fail(FUNCTION_NOT_ALLOWED, false);
    }
    Writer question;
    write_request(question, request);
    Answer checked = ask(Call::ORDER_CHECK, question);
    read_check(checked.body, result);
    return succeeded(checked);
}

bool OrderCalcMargin(ENUM_ORDER_TYPE action, const string &symbol, double volume, double price,
                     double &margin) {
    Writer question;
    question.i32(action).text(symbol.utf8()).f64(volume).f64(price);
    Answer answer = ask(Call::CALC_MARGIN, question);
    margin = answer.error == 0 ? answer.body.f64() : 0.0;
    return succeeded(answer);
}

bool OrderCalcProfit(ENUM_ORDER_TYPE action, const string &symbol, double volume,
                     double price_open, double price_close, double &profit) {
    Writer question;
    question.i32(action).text(symbol.utf8()).f64(volume).f64(price_open).f64(price_close);
    Answer answer = ask(Call::CALC_PROFIT, question);
    profit = answer.error == 0 ? answer.body.f64() : 0.0;
    return succeeded(answer);
}

// --- positions

int PositionsTotal() { return count_of(Call::POSITIONS_TOTAL); }

string PositionGetSymbol(int index) {
    if (!the_position.take(ask(Call::POSITION_AT, Writer().i32(index)))) {
        return string("");
    }
    return value_of(&the_position.record, POSITION_SYMBOL, string(""), POSITION_NOT_FOUND);
}

bool PositionSelect(const string &symbol) {
    return the_position.take(ask(Call::POSITION_OF_SYMBOL, Writer().text(symbol.utf8())));
}

bool PositionSelectByTicket(ulong ticket) {
    return the_position.take(ask(Call::POSITION_OF_TICKET, Writer().i64(as_signed(ticket))));
}

ulong PositionGetTicket(int index) {
    return the_position.take(ask(Call::POSITION_AT, Writer().i32(index)))
               ? the_position.ticket(POSITION_TICKET)
               : 0;
}

double PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE property_id) {
    return value_of(&the_position.record, property_id, 0.0, POSITION_NOT_FOUND);
}
bool PositionGetDouble(ENUM_POSITION_PROPERTY_DOUBLE property_id, double &double_var) {
    return read(&the_position.record, property_id, double_var, POSITION_NOT_FOUND);
}
long long PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER property_id) {
    return value_of(&the_position.record, property_id, 0LL, POSITION_NOT_FOUND);
}
bool PositionGetInteger(ENUM_POSITION_PROPERTY_INTEGER property_id, long long &long_var) {
    return read(&the_position.record, property_id, long_var, POSITION_NOT_FOUND);
}
string PositionGetString(ENUM_POSITION_PROPERTY_STRING property_id) {
    return value_of(&the_position.record, property_id, string(""), POSITION_NOT_FOUND);
}
bool PositionGetString(ENUM_POSITION_PROPERTY_STRING property_id, string &string_var) {
    return read(&the_position.record, property_id, string_var, POSITION_NOT_FOUND);
}

// --- open orders

int OrdersTotal() { return count_of(Call::ORDERS_TOTAL); }

ulong OrderGetTicket(int index) {
    return the_order.take(ask(Call::ORDER_AT, Writer().i32(index)))
               ? the_order.ticket(ORDER_TICKET)
               : 0;
}

bool OrderSelect(ulong ticket) {
    return the_order.take(ask(Call::ORDER_OF_TICKET, Writer().i64(as_signed(ticket))));
}

double OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE property_id) {
    return value_of(&the_order.record, property_id, 0.0, ORDER_NOT_FOUND);
}
bool OrderGetDouble(ENUM_ORDER_PROPERTY_DOUBLE property_id, double &double_var) {
    return read(&the_order.record, property_id, double_var, ORDER_NOT_FOUND);
}
long long OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER property_id) {
    return value_of(&the_order.record, property_id, 0LL, ORDER_NOT_FOUND);
}
bool OrderGetInteger(ENUM_ORDER_PROPERTY_INTEGER property_id, long long &long_var) {
    return read(&the_order.record, property_id, long_var, ORDER_NOT_FOUND);
}
string OrderGetString(ENUM_ORDER_PROPERTY_STRING property_id) {
    return value_of(&the_order.record, property_id, string(""), ORDER_NOT_FOUND);
}
bool OrderGetString(ENUM_ORDER_PROPERTY_STRING property_id, string &string_var) {
    return read(&the_order.record, property_id, string_var, ORDER_NOT_FOUND);
}

// --- the history

bool HistorySelect(datetime from_date, datetime to_date) {
    return take_history(ask(Call::HISTORY_OF_TIME, Writer().i64(from_date).i64(to_date)));
}

bool HistorySelectByPosition(ulong position_id) {
    return take_history(
        ask(Call::HISTORY_OF_POSITION, Writer().i64(as_signed(position_id))));
}

bool HistoryOrderSelect(ulong ticket) {
    return history_orders.take_one(ask(Call::HISTORY_ORDER, Writer().i64(as_signed(ticket))));
}

int HistoryOrdersTotal() { return static_cast<int>(history_orders.entries.size()); }
ulong HistoryOrderGetTicket(int index) { return history_orders.at(index, ORDER_NOT_FOUND); }

double HistoryOrderGetDouble(ulong ticket_number, ENUM_ORDER_PROPERTY_DOUBLE property_id) {
    return value_of(history_orders.of(ticket_number), property_id, 0.0, WRONG_INTERNAL_PARAMETER);
}
bool HistoryOrderGetDouble(ulong ticket_number, ENUM_ORDER_PROPERTY_DOUBLE property_id,
                           double &double_var) {
    return read(history_orders.of(ticket_number), property_id, double_var,
                WRONG_INTERNAL_PARAMETER);
}
long long HistoryOrderGetInteger(ulong ticket_number, ENUM_ORDER_PROPERTY_INTEGER property_id) {
    return value_of(history_orders.of(ticket_number), property_id, 0LL, WRONG_INTERNAL_PARAMETER);
}
bool HistoryOrderGetInteger(ulong ticket_number, ENUM_ORDER_PROPERTY_INTEGER property_id,
                            long long &long_var) {
    return read(history_orders.of(ticket_number), property_id, long_var, WRONG_INTERNAL_PARAMETER);
}
string HistoryOrderGetString(ulong ticket_number, ENUM_ORDER_PROPERTY_STRING property_id) {
    return value_of(history_orders.of(ticket_number), property_id, string(""),
                    WRONG_INTERNAL_PARAMETER);
}
bool HistoryOrderGetString(ulong ticket_number, ENUM_ORDER_PROPERTY_STRING property_id,
                           string &string_var) {
    return read(history_orders.of(ticket_number), property_id, string_var,
                WRONG_INTERNAL_PARAMETER);
}

bool HistoryDealSelect(ulong ticket) {
    return history_deals.take_one(ask(Call::HISTORY_DEAL, Writer().i64(as_signed(ticket))));
}

int HistoryDealsTotal() { return static_cast<int>(history_deals.entries.size()); }
ulong HistoryDealGetTicket(int index) { return history_deals.at(index, DEAL_NOT_FOUND); }

double HistoryDealGetDouble(ulong ticket_number, ENUM_DEAL_PROPERTY_DOUBLE property_id) {
    return value_of(history_deals.of(ticket_number), property_id, 0.0, WRONG_INTERNAL_PARAMETER);
}
bool HistoryDealGetDouble(ulong ticket_number, ENUM_DEAL_PROPERTY_DOUBLE property_id,
                          double &double_var) {
    return read(history_deals.of(ticket_number), property_id, double_var, WRONG_INTERNAL_PARAMETER);
}
long long HistoryDealGetInteger(ulong ticket_number, ENUM_DEAL_PROPERTY_INTEGER property_id) {
    return value_of(history_deals.of(ticket_number), property_id, 0LL, WRONG_INTERNAL_PARAMETER);
}
bool HistoryDealGetInteger(ulong ticket_number, ENUM_DEAL_PROPERTY_INTEGER property_id,
                           long long &long_var) {
    return read(history_deals.of(ticket_number), property_id, long_var, WRONG_INTERNAL_PARAMETER);
}
string HistoryDealGetString(ulong ticket_number, ENUM_DEAL_PROPERTY_STRING property_id) {
    return value_of(history_deals.of(ticket_number), property_id, string(""),
                    WRONG_INTERNAL_PARAMETER);
}
bool HistoryDealGetString(ulong ticket_number, ENUM_DEAL_PROPERTY_STRING property_id,
                          string &string_var) {
    return read(history_deals.of(ticket_number), property_id, string_var,
                WRONG_INTERNAL_PARAMETER);
}

}  // namespace mql
