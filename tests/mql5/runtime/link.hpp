// The link to the Python host: a stream socket with frames of a length (u32), a kind (u8) and a
// body, little endian, texts as u32 length and UTF-8.
//
//   program -> host   'Q' call, arguments        answered by one 'A'
//                     'W' now, until, why        a wait of the virtual clock, answered by 'A'
//                     'J' JSON text              what happened; no answer
//   host -> program   'A' error, blocked ms, ... the answer to the one question that is open
//                     'H' question, answer       before an 'A': holds until the program waits or acts
//                     'E' event, fields          see terminal.cpp
//
// What must change together: this file and tests/mql5/link.py.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace mql::runtime {

enum class Call : std::uint8_t {
    COPY_TICKS = 1,
    COPY_TICKS_RANGE = 2,
    SYMBOL_TICK = 3,
    SYMBOL_INFO = 4,
    SYMBOL_SELECT = 5,
    SYMBOLS_TOTAL = 6,
    SYMBOL_NAME = 7,
    SYMBOL_EXIST = 8,
    SYMBOL_SYNCHRONIZED = 9,
    BOOK_ADD = 10,
    BOOK_RELEASE = 11,
    BOOK_GET = 12,
    ACCOUNT_INFO = 13,
    TERMINAL_INFO = 14,
    MQL_INFO = 15,
    TIME_LAST = 16,
    COPY_RATES = 17,
    TIME_SERVER = 18,
    MARGIN_RATE = 19,
    ORDER_CHECK = 32,
    ORDER_SEND = 33,
    ORDER_SEND_ASYNC = 34,
    ORDER_RETURNED = 35,
    CALC_MARGIN = 36,
    CALC_PROFIT = 37,
    POSITIONS_TOTAL = 40,
    POSITION_AT = 41,
    POSITION_OF_SYMBOL = 42,
    POSITION_OF_TICKET = 43,
    ORDERS_TOTAL = 44,
    ORDER_AT = 45,
    ORDER_OF_TICKET = 46,
    HISTORY_OF_TIME = 47,
    HISTORY_OF_POSITION = 48,
    HISTORY_ORDER = 49,
    HISTORY_DEAL = 50,
};

enum class Why : std::uint8_t { IDLE = 0, SLEEP = 1, SOCKET = 2, BLOCKED = 3 };

class Writer {
public:
    Writer &u8(std::uint8_t value) { return raw(&value, sizeof value); }
    Writer &i32(std::int32_t value) { return raw(&value, sizeof value); }
    Writer &u32(std::uint32_t value) { return raw(&value, sizeof value); }
    Writer &i64(long long value) { return raw(&value, sizeof value); }
    Writer &f64(double value) { return raw(&value, sizeof value); }
    Writer &text(const std::string &value) {
        u32(static_cast<std::uint32_t>(value.size()));
        return raw(value.data(), value.size());
    }
    Writer &raw(const void *data, std::size_t size) {
        m_bytes.append(static_cast<const char *>(data), size);
        return *this;
    }
    const std::string &bytes() const { return m_bytes; }

private:
    std::string m_bytes;
};

// Reads what a Writer wrote. Reading past the end ends the program: host and runtime disagree.
class Reader {
public:
    explicit Reader(std::string bytes) : m_bytes(std::move(bytes)) {}
    std::uint8_t u8() { return number<std::uint8_t>(); }
    std::int32_t i32() { return number<std::int32_t>(); }
    std::uint32_t u32() { return number<std::uint32_t>(); }
    long long i64() { return number<long long>(); }
    unsigned long long u64() { return number<unsigned long long>(); }
    double f64() { return number<double>(); }
    std::string text();
    const char *take(std::size_t size);
    std::size_t left() const { return m_bytes.size() - m_at; }

private:
    template <typename T> T number() {
        T value;
        std::memcpy(&value, take(sizeof value), sizeof value);
        return value;
    }

    std::string m_bytes;
    std::size_t m_at = 0;
};

struct Answer {
    int error;
    Reader body;
};

void link_open(int fd);
bool link_is_open();
int link_fd();

// Asks, waits for the answer, and then for as long as MQL5 would have blocked.
Answer ask(Call call, const Writer &arguments);
// Forgets the answers that hold until the program waits.
void forget_held_answers();
// Reports a wait of the virtual clock; returns the time that it is now.
long long ask_wait(long long now_us, long long until_us, Why why);
// Tells the host something, as a JSON object.
void tell(const std::string &json);
// Takes what has arrived, without waiting; returns whether there was anything.
bool link_drain();

std::string json_text(const std::string &utf8);

// Takes one event of the host; terminal.cpp.
void take_event(Reader event);

}  // namespace mql::runtime
