// What generator, publisher and subscriber share: clock, the tick record, pacing, commands.
//
// The helpers are driven by lines on stdin ("flood round=3 count=800000 batch=64") and answer
// with one JSON document a line on stdout. They live for a whole benchmark, so that starting
// a process is never inside a measurement. End of stdin ends them: nothing is left behind
// when run.py dies.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

#include <poll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

namespace bench {

// --- clock -----------------------------------------------------------------------------

inline int64_t now_ns() {
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

inline int64_t now_us() { return now_ns() / 1000; }

// --- bytes -----------------------------------------------------------------------------

template <typename T>
void put_le(uint8_t* at, T value) {
    for (size_t i = 0; i < sizeof(T); ++i) at[i] = static_cast<uint8_t>(uint64_t(value) >> (8 * i));
}

template <typename T>
T get_le(const uint8_t* at) {
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value |= uint64_t{at[i]} << (8 * i);
    return static_cast<T>(value);
}

template <typename T>
void put_be(uint8_t* at, T value) {
    for (size_t i = 0; i < sizeof(T); ++i)
        at[i] = static_cast<uint8_t>(uint64_t(value) >> (8 * (sizeof(T) - 1 - i)));
}

template <typename T>
T get_be(const uint8_t* at) {
    uint64_t value = 0;
    for (size_t i = 0; i < sizeof(T); ++i) value = value << 8 | at[i];
    return static_cast<T>(value);
}

inline void put_double(uint8_t* at, double value) {
    uint64_t bits;
    std::memcpy(&bits, &value, sizeof bits);
    put_be<uint64_t>(at, bits);
}

inline double get_double(const uint8_t* at) {
    const uint64_t bits = get_be<uint64_t>(at);
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

// --- the tick record (bridge/model/record.py) ---------------------------------------------

constexpr size_t kRecordSize = 66;

// A tick of the benchmark. time_msc carries the microseconds of CLOCK_MONOTONIC at which it
// was sent, because that is the only field of a record that can hold a stamp; volume_real
// carries the round, so that a subscriber tells measured ticks from warm-up (round 0) and
// from late ones of an earlier round.
inline void write_record(uint8_t* at, uint32_t epoch, uint64_t seq, int64_t stamp_us,
                         uint32_t round) {
    at[0] = 0x99;
    at[1] = 0xce;
    put_be<uint32_t>(at + 2, epoch);
    at[6] = 0xcf;
    put_be<uint64_t>(at + 7, seq);
    at[15] = 0xd3;
    put_be<int64_t>(at + 16, stamp_us);
    at[24] = 0xcb;
    put_double(at + 25, 1.08345 + double(seq % 100) * 0.00001);
    at[33] = 0xcb;
    put_double(at + 34, 1.08357 + double(seq % 100) * 0.00001);
    at[42] = 0xcb;
    put_double(at + 43, 0.0);
    at[51] = 0xcb;
    put_double(at + 52, double(round));
    at[60] = 0xcd;
    put_be<uint16_t>(at + 61, 6);  // TICK_FLAG_BID | TICK_FLAG_ASK
    at[63] = 0xd1;
    put_be<int16_t>(at + 64, 120);
}

inline uint32_t record_epoch(const uint8_t* at) { return get_be<uint32_t>(at + 2); }
inline uint64_t record_seq(const uint8_t* at) { return get_be<uint64_t>(at + 7); }
inline int64_t record_stamp(const uint8_t* at) { return get_be<int64_t>(at + 16); }
inline uint32_t record_round(const uint8_t* at) { return uint32_t(get_double(at + 52)); }

// Same names in every helper and in run.py; see symbol_name() there.
inline std::string symbol_name(unsigned index) {
    char name[16];
    std::snprintf(name, sizeof name, "BENCH%03u", index);
    return name;
}

inline std::string message_prefix(const std::string& alias, unsigned index) {
    return "tick/" + alias + "/" + symbol_name(index) + std::string(1, '\0');
}

// --- statistics ------------------------------------------------------------------------

inline int64_t quantile(std::vector<int64_t>& values, double part) {
    if (values.empty()) return 0;
    const size_t k = std::min(values.size() - 1, size_t(part * double(values.size())));
    std::nth_element(values.begin(), values.begin() + long(k), values.end());
    return values[k];
}

// Sends at a steady rate. A sender that is late catches up at once and the delay is kept:
// latencies are counted from the true send, so a stalled sender would otherwise hide the
// queue it did not cause (coordinated omission). Its lag stands beside them in the result.
class Pacer {
  public:
    Pacer(double rate, size_t count) : rate_(rate), begin_ns_(now_ns() + 1'000'000) {
        lag_us_.reserve(count);
    }

    int64_t due_ns(size_t index) const {
        return begin_ns_ + int64_t(double(index) * 1e9 / rate_);
    }

    void sent(size_t index, int64_t at_ns) { lag_us_.push_back((at_ns - due_ns(index)) / 1000); }

    // The part of a JSON document that tells how well the offer was kept.
    std::string report(int64_t first_ns, int64_t last_ns) {
        const double took = double(std::max<int64_t>(last_ns - first_ns, 1)) / 1e9;
        const double reached = double(lag_us_.size() > 1 ? lag_us_.size() - 1 : 1) / took;
        const int64_t p50 = quantile(lag_us_, 0.5);
        const int64_t p99 = quantile(lag_us_, 0.99);
        const int64_t most = quantile(lag_us_, 1.0);
        char text[256];
        std::snprintf(text, sizeof text,
                      "\"rate_offered\":%.1f,\"rate_reached\":%.1f,\"saturated\":%s,"
                      "\"lag_p50_us\":%lld,\"lag_p99_us\":%lld,\"lag_max_us\":%lld",
                      rate_, reached, reached < 0.98 * rate_ ? "true" : "false", (long long)p50,
                      (long long)p99, (long long)most);
        return text;
    }

  private:
    double rate_;
    int64_t begin_ns_;
    std::vector<int64_t> lag_us_;
};

// The default slack of 50 us would be the size of the latencies measured here.
inline void exact_timers() { prctl(PR_SET_TIMERSLACK, 1UL); }

inline void sleep_until_ns(int64_t at_ns) {
    timespec t{time_t(at_ns / 1'000'000'000), long(at_ns % 1'000'000'000)};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, nullptr) == EINTR) {
    }
}

// --- commands in, JSON out --------------------------------------------------------------

struct Command {
    std::string verb;
    std::map<std::string, std::string> values;

    uint64_t number(const std::string& name, uint64_t otherwise) const {
        const auto found = values.find(name);
        if (found == values.end()) return otherwise;
        return std::strtoull(found->second.c_str(), nullptr, 10);
    }
};

// Lines of stdin, read without stdio so that poll() and what is buffered here agree.
class Commands {
  public:
    // Waits up to timeout_ms (-1: for ever). False: nothing came; at the end of stdin the
    // verb is "quit".
    bool next(Command& command, int timeout_ms) {
        for (;;) {
            const size_t end = text_.find('\n');
            if (end != std::string::npos) {
                command = parse(text_.substr(0, end));
                text_.erase(0, end + 1);
                return true;
            }
            pollfd fd{0, POLLIN, 0};
            if (poll(&fd, 1, timeout_ms) <= 0) return false;
            char chunk[4096];
            const ssize_t got = read(0, chunk, sizeof chunk);
            if (got <= 0) {
                command = Command{"quit", {}};
                return true;
            }
            text_.append(chunk, size_t(got));
        }
    }

    bool waiting() const { return text_.find('\n') != std::string::npos; }

  private:
    static Command parse(const std::string& line) {
        Command command;
        size_t at = 0;
        while (at < line.size()) {
            size_t end = line.find(' ', at);
            if (end == std::string::npos) end = line.size();
            const std::string word = line.substr(at, end - at);
            const size_t equals = word.find('=');
            if (equals != std::string::npos)
                command.values[word.substr(0, equals)] = word.substr(equals + 1);
            else if (command.verb.empty())
                command.verb = word;
            at = end + 1;
        }
        return command;
    }

    std::string text_;
};

__attribute__((format(printf, 1, 2))) inline void say(const char* format, ...) {
    va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::fputc('\n', stdout);
    std::fflush(stdout);
}

// Quotes and control characters cannot stand in a JSON text as they are.
inline std::string json_text(const std::string& text) {
    std::string out;
    for (const char c : text) {
        if (c == '"' || c == '\\') out += '\\';
        out += (static_cast<unsigned char>(c) < 0x20) ? ' ' : c;
    }
    return out;
}

// --- command line: --name value -----------------------------------------------------------

class Options {
  public:
    Options(int argc, char** argv) {
        for (int i = 1; i + 1 < argc; i += 2) {
            if (std::strncmp(argv[i], "--", 2) != 0)
                throw std::runtime_error(std::string("not an option: ") + argv[i]);
            values_[argv[i] + 2] = argv[i + 1];
        }
        if (argc % 2 == 0) throw std::runtime_error("every option takes a value");
    }

    std::string text(const std::string& name, const std::string& otherwise = "") const {
        const auto found = values_.find(name);
        return found == values_.end() ? otherwise : found->second;
    }

    unsigned number(const std::string& name, unsigned otherwise) const {
        const auto found = values_.find(name);
        if (found == values_.end()) return otherwise;
        return unsigned(std::strtoul(found->second.c_str(), nullptr, 10));
    }

  private:
    std::map<std::string, std::string> values_;
};

}  // namespace bench
