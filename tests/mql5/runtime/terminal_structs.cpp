#include "terminal_structs.hpp"

#include <cstring>

namespace mql::runtime {

void read_transaction(Reader &from, MqlTradeTransaction &to) {
    to.deal = from.u64();
    to.order = from.u64();
    to.symbol = string::from_utf8(from.text());
    to.type = static_cast<ENUM_TRADE_TRANSACTION_TYPE>(from.i32());
    to.order_type = static_cast<ENUM_ORDER_TYPE>(from.i32());
    to.order_state = static_cast<ENUM_ORDER_STATE>(from.i32());
    to.deal_type = static_cast<ENUM_DEAL_TYPE>(from.i32());
    to.time_type = static_cast<ENUM_ORDER_TYPE_TIME>(from.i32());
    to.time_expiration = from.i64();
    to.price = from.f64();
    to.price_trigger = from.f64();
    to.price_sl = from.f64();
    to.price_tp = from.f64();
    to.volume = from.f64();
    to.position = from.u64();
    to.position_by = from.u64();
}

void read_request(Reader &from, MqlTradeRequest &to) {
    to.action = static_cast<ENUM_TRADE_REQUEST_ACTIONS>(from.i32());
    to.magic = from.u64();
    to.order = from.u64();
    to.symbol = string::from_utf8(from.text());
    to.volume = from.f64();
    to.price = from.f64();
    to.stoplimit = from.f64();
    to.sl = from.f64();
    to.tp = from.f64();
    to.deviation = from.u64();
    to.type = static_cast<ENUM_ORDER_TYPE>(from.i32());
    to.type_filling = static_cast<ENUM_ORDER_TYPE_FILLING>(from.i32());
    to.type_time = static_cast<ENUM_ORDER_TYPE_TIME>(from.i32());
    to.expiration = from.i64();
    to.comment = string::from_utf8(from.text());
    to.position = from.u64();
    to.position_by = from.u64();
}

void read_result(Reader &from, MqlTradeResult &to) {
    to.retcode = from.u32();
    to.deal = from.u64();
    to.order = from.u64();
    to.volume = from.f64();
    to.price = from.f64();
    to.bid = from.f64();
    to.ask = from.f64();
    to.comment = string::from_utf8(from.text());
    to.request_id = from.u32();
    to.retcode_external = from.i32();
}

void read_check(Reader &from, MqlTradeCheckResult &to) {
    to.retcode = from.u32();
    to.balance = from.f64();
    to.equity = from.f64();
    to.profit = from.f64();
    to.margin = from.f64();
    to.margin_free = from.f64();
    to.margin_level = from.f64();
    to.comment = string::from_utf8(from.text());
}

void write_request(Writer &to, const MqlTradeRequest &from) {
    to.i32(from.action).i64(static_cast<long long>(from.magic));
    to.i64(static_cast<long long>(from.order)).text(from.symbol.utf8());
    to.f64(from.volume).f64(from.price).f64(from.stoplimit).f64(from.sl).f64(from.tp);
    to.i64(static_cast<long long>(from.deviation)).i32(from.type);
    to.i32(from.type_filling).i32(from.type_time).i64(from.expiration);
    to.text(from.comment.utf8()).i64(static_cast<long long>(from.position));
    to.i64(static_cast<long long>(from.position_by));
}

// Three counts, then pairs of a property and its value: integers, numbers, texts.
namespace {

constexpr std::size_t COUNTS = 3;
constexpr std::size_t PAIR = 12;

template <class T>
T value_at(const std::string &bytes, std::size_t at) {
    T value;
    std::memcpy(&value, bytes.data() + at, sizeof value);
    return value;
}

template <class T>
bool find_number(const std::string &bytes, std::size_t at, int count, int property, T &value) {
    for (int i = 0; i < count; ++i, at += PAIR) {
        if (value_at<std::int32_t>(bytes, at) == property) {
            value = value_at<T>(bytes, at + 4);
            return true;
        }
    }
    return false;
}

}  // namespace

bool Record::find(int property, long long &value) const {
    return !empty() && find_number(bytes_, COUNTS, bytes_[0], property, value);
}

bool Record::find(int property, double &value) const {
    return !empty() && find_number(bytes_, COUNTS + PAIR * static_cast<std::size_t>(bytes_[0]),
                                   bytes_[1], property, value);
}

bool Record::find(int property, string &value) const {
    if (empty()) {
        return false;
    }
    std::size_t at = COUNTS + PAIR * static_cast<std::size_t>(bytes_[0] + bytes_[1]);
    for (int i = 0; i < bytes_[2]; ++i) {
        const auto size = value_at<std::uint32_t>(bytes_, at + 4);
        if (value_at<std::int32_t>(bytes_, at) == property) {
            value = string::from_utf8(std::string_view(bytes_).substr(at + 8, size));
            return true;
        }
        at += 8 + size;
    }
    return false;
}

}  // namespace mql::runtime
