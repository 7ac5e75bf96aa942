#include "clock.hpp"

#include <algorithm>
#include <poll.h>
#include <time.h>

#include "link.hpp"
#include "options.hpp"
#include "program.hpp"
#include "terminal.hpp"

namespace mql::runtime {

namespace {

// A program that looks at the virtual clock so often without waiting will never stop: nothing
// moves that clock but waits.
constexpr long long READS_WITHOUT_WAIT = 10'000'000;
// What a virtual machine has been running for when the program starts.
constexpr long long VIRTUAL_UPTIME_MS = 1'000'000'000;

bool is_virtual = false;
long long virtual_us = 0;
long long reads = 0;
long long start_us = 0;
long long virtual_start_utc_ms = 0;

long long read_us(clockid_t clock) {
    timespec now;
    clock_gettime(clock, &now);
    return now.tv_sec * 1'000'000LL + now.tv_nsec / 1000;
}

bool is_ready(int fd, short events) {
    if (fd < 0) {
        return false;
    }
    pollfd one{fd, events, 0};
    return poll(&one, 1, 0) > 0;
}

bool wait_virtual(long long until_us, Why why, int fd, short events) {
    if (is_ready(fd, events)) {
        return true;
    }
    reads = 0;
    virtual_us = std::max(virtual_us, ask_wait(virtual_us, until_us, why));
    return is_ready(fd, events);
}

bool wait_real(long long until_us, int fd, short events) {
    forget_held_answers();
    // What came behind an answer is in memory already, where poll() does not see it.
    if (link_drain()) {
        return is_ready(fd, events);
    }
    pollfd both[2] = {{link_fd(), POLLIN, 0}, {fd, events, 0}};
    const long long left_us = std::max(0LL, std::min(until_us - clock_us(), 3'600'000'000LL));
    const timespec limit{left_us / 1'000'000, left_us % 1'000'000 * 1000};
    ppoll(both, fd < 0 ? 1 : 2, &limit, nullptr);
    if (both[0].revents != 0) {
        link_drain();
    }
    return fd >= 0 && both[1].revents != 0;
}

}  // namespace

void clock_start() {
    is_virtual = option("clock", "real") == "virtual";
    start_us = read_us(CLOCK_MONOTONIC);
    virtual_start_utc_ms = option_integer("start_utc_ms", 1'704'153'600'000LL);
}

long long clock_us() {
    if (!is_virtual) {
        return read_us(CLOCK_MONOTONIC) - start_us;
    }
    if (++reads > READS_WITHOUT_WAIT) {
        stop_program(EXIT_BUSY_LOOP, "the program reads the virtual clock and never waits");
    }
    return virtual_us;
}

long long utc_ms() {
    const long long shift_ms = option_integer("utc_shift_ms", 0);
    if (is_virtual) {
        return virtual_start_utc_ms + shift_ms + clock_us() / 1000;
    }
    return read_us(CLOCK_REALTIME) / 1000 + shift_ms;
}

long long uptime_ms() {
    return is_virtual ? option_integer("start_uptime_ms", VIRTUAL_UPTIME_MS) + clock_us() / 1000
                      : read_us(CLOCK_BOOTTIME) / 1000;
}

long long local_offset_s() { return option_integer("local_offset_s", 0); }
long long server_offset_s() { return option_integer("server_offset_s", 7200); }
long long server_last_msc() { return ask(Call::TIME_LAST, Writer()).body.i64(); }
bool server_is_asked() { return option("server_time") == "asked"; }
long long server_now_msc() { return ask(Call::TIME_SERVER, Writer()).body.i64(); }
bool clock_is_virtual() { return is_virtual; }

bool wait_until(long long until_us, Why why, int fd, short events) {
    const bool ready = is_virtual ? wait_virtual(until_us, why, fd, events)
                                  : wait_real(until_us, fd, events);
    check_deinit_limit();
    return ready;
}

}  // namespace mql::runtime
