// Theory of operation
// -------------------
// One thread. `run_program` takes events from one queue and calls one handler at a time. What the
// host tells is taken in at every wait, at IsStopped and after every handler; the rules of the
// queue are applied when an event is taken in:
//
//   NewTick, Timer, ChartEvent  none is queued while one of the kind is queued or being handled
//   BookEvent, Trade            always queued
//   TradeTransaction            always queued; beyond 1,024 the oldest one is displaced
//
// After a handler the host is heard *before* the handler counts as over, so that a tick that came
// while OnTick ran is ignored, as in MetaTrader, whether or not somebody looked in between.
#include "terminal.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <deque>
#include <map>
#include <sys/time.h>
#include <unistd.h>

#include "api.hpp"
#include "clock.hpp"
#include "journal.hpp"
#include "link.hpp"
#include "options.hpp"
#include "program.hpp"
#include "terminal_structs.hpp"

namespace mql::runtime {

namespace {

constexpr std::size_t TRANSACTIONS_MAX = 1024;
constexpr long long DEINIT_LIMIT_US = 2'500'000;

// Events of the host and of the queue; the numbers are those of the link.
enum class Kind : std::uint8_t {
    TICK = 1,
    BOOK = 2,
    CHART = 3,
    TRADE = 4,
    TRANSACTION = 5,
    DEINIT = 6,
    OPTION = 7,
    INPUT = 8,
    TIMER = 9,  // the runtime's own
};

constexpr const char *HANDLER_NAMES[] = {
    "", "OnTick", "OnBookEvent", "OnChartEvent", "OnTrade", "OnTradeTransaction", "", "", "",
    "OnTimer"};

struct Event {
    explicit Event(Kind of, std::string about = "") : kind(of), text(std::move(about)) {}

    Kind kind;
    std::string text;  // symbol of BOOK, sparam of CHART
    int id = 0;
    long long lparam = 0;
    double dparam = 0.0;
    std::string fields;  // of TRANSACTION, as they came
};

struct Terminal {
    std::deque<Event> queue;
    std::array<std::size_t, 10> queued{};  // by kind
    Kind handling{};
    bool accepting = false;
    bool removed = false;
    bool ending = false;  // OnDeinit runs
    bool deinit_requested = false;
    bool reinit = false;
    int requested_reason = 0;
    int reason = 0;
    long long deinit_until_us = NEVER_US;
    long long timer_us = 0;
    long long timer_next_us = NEVER_US;
    std::string symbol;
    int period = 1;
    std::map<std::string, std::string> inputs;
    std::map<std::string, long long> counts;  // handlers called, events lost
};

Terminal &terminal() {
    static Terminal one;
    return one;
}

std::size_t &queued(Kind kind) { return terminal().queued[static_cast<std::size_t>(kind)]; }

bool is_pending(Kind kind) { return terminal().handling == kind || queued(kind) > 0; }

bool has_handler(Kind kind) {
    switch (kind) {
        case Kind::TICK: return program.OnTick != nullptr;
        case Kind::BOOK: return program.OnBookEvent != nullptr;
        case Kind::CHART: return program.OnChartEvent != nullptr;
        case Kind::TRADE: return program.OnTrade != nullptr;
        case Kind::TRANSACTION: return program.OnTradeTransaction != nullptr;
        case Kind::TIMER: return program.OnTimer != nullptr;
        default: return false;
    }
}

bool is_coalesced(Kind kind) {
    return kind == Kind::TICK || kind == Kind::TIMER || kind == Kind::CHART;
}

void displace_oldest_transaction() {
    Terminal &t = terminal();
    const auto oldest = std::find_if(t.queue.begin(), t.queue.end(), [](const Event &event) {
        return event.kind == Kind::TRANSACTION;
    });
    t.queue.erase(oldest);
    --queued(Kind::TRANSACTION);
    ++t.counts["displaced"];
}

void post(Event event) {
    Terminal &t = terminal();
    if (!t.accepting || !has_handler(event.kind)) {
        return;
    }
    if (is_coalesced(event.kind) && is_pending(event.kind)) {
        ++t.counts["coalesced"];
        return;
    }
    if (event.kind == Kind::TRANSACTION && queued(event.kind) >= TRANSACTIONS_MAX) {
        displace_oldest_transaction();
    }
    if (t.queue.size() >= static_cast<std::size_t>(option_integer("queue_limit", 65'536))) {
        ++t.counts["overflowed"];
        return;
    }
    ++queued(event.kind);
    t.queue.push_back(std::move(event));
}

// Queues the timer's event if it is due. What is due while OnTimer runs is lost.
void run_timer() {
    Terminal &t = terminal();
    if (t.timer_next_us == NEVER_US) {
        return;
    }
    const long long now_us = clock_us();
    if (now_us < t.timer_next_us) {
        return;
    }
    post(Event{Kind::TIMER});
    const long long missed = (now_us - t.timer_next_us) / t.timer_us;
    t.timer_next_us += (missed + 1) * t.timer_us;
}

void call_handler(Event &event) {
    switch (event.kind) {
        case Kind::TICK: program.OnTick(); break;
        case Kind::TIMER: program.OnTimer(); break;
        case Kind::TRADE: program.OnTrade(); break;
        case Kind::BOOK: {
            const string symbol = string::from_utf8(event.text);
            program.OnBookEvent(symbol);
            break;
        }
        case Kind::CHART: {
            const string sparam = string::from_utf8(event.text);
            program.OnChartEvent(event.id, event.lparam, event.dparam, sparam);
            break;
        }
        case Kind::TRANSACTION: {
            MqlTradeTransaction transaction = {};
            MqlTradeRequest request = {};
            MqlTradeResult result = {};
            Reader fields(std::move(event.fields));
            read_transaction(fields, transaction);
            // Only TRADE_TRANSACTION_REQUEST brings the other two.
            if (fields.left() > 0) {
                read_request(fields, request);
                read_result(fields, result);
            }
            program.OnTradeTransaction(transaction, request, result);
            break;
        }
        default: break;
    }
}

void handle_next() {
    Terminal &t = terminal();
    Event event = std::move(t.queue.front());
    t.queue.pop_front();
    --queued(event.kind);
    t.handling = event.kind;
    ++t.counts[HANDLER_NAMES[static_cast<int>(event.kind)]];
    call_handler(event);
    // While this handler still counts as running: see above.
    link_drain();
    run_timer();
    t.handling = Kind{};
}

std::string counts_json() {
    std::string out = "{";
    for (const auto &[name, count] : terminal().counts) {
        out += (out.size() > 1 ? "," : "") + json_text(name) + ":" + std::to_string(count);
    }
    return out + "}";
}

void tell_event(const char *event, const char *field, long long value) {
    tell("{\"event\":" + json_text(event) + ",\"us\":" + std::to_string(clock_us()) + ",\"" +
         field + "\":" + std::to_string(value) + ",\"counts\":" + counts_json() + "}");
}

void assign_inputs() {
    const Terminal &t = terminal();
    for (std::size_t i = 0; i < program.input_count; ++i) {
        const Input &input = program.inputs[i];
        input.reset();
        const auto given = t.inputs.find(input.name);
        if (given != t.inputs.end() && !input.assign(given->second)) {
            stop_program(EXIT_USAGE, "input " + given->first + "=" + given->second +
                                         ": expected a value of type " + input.type);
        }
    }
    for (const auto &[name, value] : t.inputs) {
        const bool known = std::any_of(
            program.inputs, program.inputs + program.input_count,
            [&name = name](const Input &input) { return name == input.name; });
        if (!known) {
            stop_program(EXIT_USAGE, "input " + name + ": the program has no such input");
        }
    }
}

extern "C" void deinit_alarm(int) {
    // Nothing else is safe in a signal's handler; the exit code tells the host.
    _exit(EXIT_DEINIT_TIMEOUT);
}

void set_alarm(long long us) {
    std::signal(SIGALRM, deinit_alarm);
    itimerval timer{};
    timer.it_value.tv_sec = us / 1'000'000;
    timer.it_value.tv_usec = us % 1'000'000;
    setitimer(ITIMER_REAL, &timer, nullptr);
}

void deinitialize(int reason) {
    Terminal &t = terminal();
    t.reason = reason;
    t.accepting = false;
    t.ending = true;
    set_stop_flag(true, reason);
    t.counts["discarded"] += static_cast<long long>(t.queue.size());
    t.queue.clear();
    t.queued.fill(0);
    kill_timer();
    if (program.OnDeinit != nullptr) {
        t.deinit_until_us = clock_us() + DEINIT_LIMIT_US;
        if (!clock_is_virtual()) {
            set_alarm(DEINIT_LIMIT_US);
        }
        program.OnDeinit(reason);
        check_deinit_limit();
        set_alarm(0);
        t.deinit_until_us = NEVER_US;
    }
    tell_event("deinitialized", "reason", reason);
}

// Runs one life, from OnInit to OnDeinit; returns OnInit's result.
int live() {
    Terminal &t = terminal();
    t.removed = t.ending = t.deinit_requested = t.reinit = false;
    // Only here: a program that goes for a new symbol sees the old one until it is gone.
    t.symbol = option("symbol", "EURUSD");
    t.period = static_cast<int>(option_integer("period", 1));
    set_chart_variables();
    set_stop_flag(false, t.reason);
    assign_inputs();
    const int code = program.OnInit == nullptr ? 0 : program.OnInit();
    // Events that came before OnInit returned are dropped.
    link_drain();
    tell_event("initialized", "code", code);
    if (code != 0) {
        deinitialize(8);
        t.reinit = false;
        return code;
    }
    t.accepting = true;
    while (!t.removed) {
        link_drain();
        if (t.deinit_requested) {
            break;
        }
        run_timer();
        if (t.queue.empty()) {
            wait_until(t.timer_next_us, Why::IDLE);
        } else {
            handle_next();
        }
    }
    deinitialize(t.deinit_requested ? t.requested_reason : 0);
    return 0;
}

}  // namespace

int run_program() {
    Terminal &t = terminal();
    if (program.OnStart != nullptr) {
        t.symbol = option("symbol", "EURUSD");
        set_chart_variables();
        assign_inputs();
        const int code = program.OnStart();
        tell_event("started", "code", code);
        return EXIT_ENDED;
    }
    do {
        if (live() != 0) {
            return EXIT_INIT_FAILED;
        }
    } while (t.reinit);
    return EXIT_ENDED;
}

void take_event(Reader event) {
    Terminal &t = terminal();
    const Kind kind = static_cast<Kind>(event.u8());
    switch (kind) {
        case Kind::TICK: {
            if (event.text() == t.symbol) {
                post(Event{Kind::TICK});
            }
            break;
        }
        case Kind::BOOK: post(Event{Kind::BOOK, event.text()}); break;
        case Kind::CHART: {
            Event chart{Kind::CHART};
            chart.id = event.i32();
            chart.lparam = event.i64();
            chart.dparam = event.f64();
            chart.text = event.text();
            post(std::move(chart));
            break;
        }
        case Kind::TRADE: post(Event{Kind::TRADE}); break;
        case Kind::TRANSACTION: {
            Event transaction{Kind::TRANSACTION};
            const std::size_t size = event.left();
            transaction.fields.assign(event.take(size), size);
            post(std::move(transaction));
            break;
        }
        case Kind::DEINIT: {
            t.deinit_requested = true;
            t.requested_reason = event.i32();
            t.reinit = event.u8() != 0;
            set_stop_flag(true, t.reason);
            break;
        }
        case Kind::OPTION: {
            const std::string name = event.text();
            set_option(name, event.text());
            break;
        }
        case Kind::INPUT: {
            const std::string name = event.text();
            give_input(name, event.text());
            break;
        }
        default: stop_program(EXIT_LINK_LOST, "the host sent an event that is not known");
    }
}

void give_input(const std::string &name, const std::string &value) {
    terminal().inputs[name] = value;
}

bool stop_requested() {
    link_drain();
    const Terminal &t = terminal();
    return t.removed || t.ending || t.deinit_requested;
}

void check_deinit_limit() {
    if (clock_us() > terminal().deinit_until_us) {
        stop_program(EXIT_DEINIT_TIMEOUT, "OnDeinit ran longer than 2.5 s");
    }
}

bool is_tester() { return option_integer("tester", 0) != 0; }
bool is_indicator() { return option("program_type") == "indicator"; }

bool set_timer(long long period_ms) {
    Terminal &t = terminal();
    if (period_ms <= 0 || option_integer("timer_fails", 0) != 0) {
        return false;
    }
    t.timer_us = std::max(period_ms, option_integer("timer_floor_ms", 16)) * 1000;
    t.timer_next_us = clock_us() + t.timer_us;
    return true;
}

void kill_timer() { terminal().timer_next_us = NEVER_US; }

void request_removal() {
    terminal().removed = true;
    set_stop_flag(true, terminal().reason);
}

int uninitialize_reason() { return terminal().reason; }

void post_chart_event(int id, long long lparam, double dparam, const std::string &sparam) {
    Event chart{Kind::CHART};
    chart.id = id;
    chart.lparam = lparam;
    chart.dparam = dparam;
    chart.text = sparam;
    post(std::move(chart));
}

const std::string &chart_symbol() { return terminal().symbol; }
int chart_period() { return terminal().period; }

}  // namespace mql::runtime
