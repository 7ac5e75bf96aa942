#include "link.hpp"

#include <cerrno>
#include <cstdio>
#include <map>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "clock.hpp"
#include "journal.hpp"
#include "options.hpp"
#include "program.hpp"

namespace mql::runtime {

namespace {

// A host that knows that an answer stays the same may say so instead of how long the call blocked:
// it holds until the option `told` changes, or until the program waits or does something.
constexpr long long HOLDS_UNTIL_TOLD = 0xFFFFFFFF;
constexpr long long HOLDS_UNTIL_WAIT = 0xFFFFFFFE;

int the_fd = -1;
std::map<std::string, std::string> held_until_told;
std::map<std::string, std::string> held_until_wait;
std::string inbox;
std::size_t inbox_at = 0;

[[noreturn]] void lost() {
    the_fd = -1;
    stop_program(EXIT_LINK_LOST, "the host went away");
}

// Reads once; without `wait`, only what is there. Returns whether anything came.
bool receive(bool wait) {
    static char buffer[65536];  // not on the stack: it would be filled at each call
    const ssize_t size = recv(the_fd, buffer, sizeof buffer, wait ? 0 : MSG_DONTWAIT);
    if (size > 0) {
        inbox.append(buffer, static_cast<std::size_t>(size));
        return true;
    }
    if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
        return false;
    }
    lost();
}

// Takes one whole frame out of the inbox.
bool next_frame(char &kind, std::string &body) {
    std::uint32_t length;
    if (inbox.size() - inbox_at < 5) {
        return false;
    }
    std::memcpy(&length, inbox.data() + inbox_at, sizeof length);
    if (inbox.size() - inbox_at < 4 + static_cast<std::size_t>(length)) {
        return false;
    }
    kind = inbox[inbox_at + 4];
    body.assign(inbox, inbox_at + 5, length - 1);
    inbox_at += 4 + static_cast<std::size_t>(length);
    if (inbox_at == inbox.size()) {
        inbox.clear();
        inbox_at = 0;
    }
    return true;
}

void send_frame(char kind, const std::string &body) {
    std::string frame;
    const std::uint32_t length = static_cast<std::uint32_t>(body.size() + 1);
    frame.append(reinterpret_cast<const char *>(&length), sizeof length);
    frame.push_back(kind);
    frame += body;
    std::size_t at = 0;
    while (at < frame.size()) {
        const ssize_t size =
            send(the_fd, frame.data() + at, frame.size() - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size > 0) {
            at += static_cast<std::size_t>(size);
        } else if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            // The host may be stuck in sending to us: hear it, or both wait for ever.
            pollfd both{the_fd, POLLIN | POLLOUT, 0};
            poll(&both, 1, -1);
            if (both.revents & POLLIN) {
                receive(false);
            }
        } else if (size < 0 && errno == EINTR) {
            continue;
        } else {
            lost();
        }
    }
}

Reader await_answer() {
    for (;;) {
        char kind;
        std::string body;
        while (next_frame(kind, body)) {
            if (kind == 'A') {
                return Reader(std::move(body));
            }
            if (kind == 'H') {
                Reader held(std::move(body));
                const std::string question = held.text();
                const std::size_t size = held.left();
                held_until_wait[question].assign(held.take(size), size);
                continue;
            }
            take_event(Reader(std::move(body)));
        }
        receive(true);
    }
}

// With the option `asks_log`: when each question was asked and answered, in ns of the monotonic clock.
void log_ask(long long begun_ns, long long ended_ns) {
    static std::FILE *log = std::fopen(option("asks_log").c_str(), "wb");
    if (log != nullptr) {
        const long long times[2] = {begun_ns, ended_ns};
        std::fwrite(times, sizeof times, 1, log);
        std::fflush(log);
    }
}

long long monotonic_ns() {
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1'000'000'000LL + now.tv_nsec;
}

// Whether a call may change what other calls are answered.
bool does_something(Call call) {
    switch (call) {
    case Call::SYMBOL_SELECT:
    case Call::BOOK_ADD:
    case Call::BOOK_RELEASE:
    case Call::ORDER_CHECK:
    case Call::ORDER_SEND:
    case Call::ORDER_SEND_ASYNC:
    case Call::ORDER_RETURNED:
        return true;
    default:
        return false;
    }
}

const std::string *held_answer(const std::string &question) {
    static std::string told;
    if (held_until_told.empty() && held_until_wait.empty()) {
        return nullptr;
    }
    if (option("told") != told) {
        told = option("told");
        held_until_told.clear();
    }
    for (const auto *held : {&held_until_told, &held_until_wait}) {
        const auto found = held->find(question);
        if (found != held->end()) {
            return &found->second;
        }
    }
    return nullptr;
}

}  // namespace

std::string Reader::text() {
    const std::size_t size = u32();
    const char *data = take(size);
    return std::string(data, size);
}

const char *Reader::take(std::size_t size) {
    if (size > left()) {
        stop_program(EXIT_LINK_LOST, "the host sent a frame that is too short");
    }
    const char *data = m_bytes.data() + m_at;
    m_at += size;
    return data;
}

void link_open(int fd) { the_fd = fd; }
bool link_is_open() { return the_fd >= 0; }
int link_fd() { return the_fd; }

void forget_held_answers() { held_until_wait.clear(); }

Answer ask(Call call, const Writer &arguments) {
    if (!link_is_open()) {
        stop_program(EXIT_LINK_LOST, "a terminal function was called without a host");
    }
    Writer question;
    question.u8(static_cast<std::uint8_t>(call));
    question.raw(arguments.bytes().data(), arguments.bytes().size());
    if (const std::string *held = held_answer(question.bytes())) {
        return Answer{0, Reader(*held)};
    }
    if (does_something(call)) {
        forget_held_answers();
    }
    const bool logged = !option("asks_log").empty();
    const long long begun_ns = logged ? monotonic_ns() : 0;
    send_frame('Q', question.bytes());
    Reader body = await_answer();
    if (logged) {
        log_ask(begun_ns, monotonic_ns());
    }
    const int error = body.i32();
    const long long blocked_ms = body.u32();
    if (blocked_ms >= HOLDS_UNTIL_WAIT) {
        auto &held = blocked_ms == HOLDS_UNTIL_TOLD ? held_until_told : held_until_wait;
        const std::size_t size = body.left();
        const std::string &answer = held[question.bytes()] = std::string(body.take(size), size);
        return Answer{0, Reader(answer)};
    }
    if (blocked_ms > 0) {
        const long long until_us = clock_us() + blocked_ms * 1000;
        while (clock_us() < until_us) {
            wait_until(until_us, Why::BLOCKED);
        }
    }
    return Answer{error, std::move(body)};
}

long long ask_wait(long long now_us, long long until_us, Why why) {
    forget_held_answers();
    Writer question;
    question.i64(now_us).i64(until_us).u8(static_cast<std::uint8_t>(why));
    send_frame('W', question.bytes());
    Reader body = await_answer();
    body.i32();
    body.u32();
    return body.i64();
}

void tell(const std::string &json) {
    if (link_is_open()) {
        send_frame('J', json);
    }
}

bool link_drain() {
    if (!link_is_open()) {
        return false;
    }
    while (receive(false)) {
    }
    bool any = false;
    char kind;
    std::string body;
    while (next_frame(kind, body)) {
        take_event(Reader(std::move(body)));
        any = true;
    }
    return any;
}

std::string json_text(const std::string &utf8) {
    std::string out = "\"";
    for (const char c : utf8) {
        const unsigned char byte = static_cast<unsigned char>(c);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", byte);
            out += escape;
        } else {
            out += c;
        }
    }
    return out + "\"";
}

void journal(const char *kind, const std::string &text) {
    if (!link_is_open()) {
        std::fprintf(stderr, "%s: %s\n", kind, text.c_str());
        return;
    }
    tell("{\"event\":" + json_text(kind) + ",\"us\":" + std::to_string(clock_us()) +
         ",\"text\":" + json_text(text) + "}");
}

}  // namespace mql::runtime
