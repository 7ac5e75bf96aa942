// What the translated program hands to the runtime, and the exit codes of its process.
//
// The code generator defines exactly one `const Program program`. Handlers that the source does
// not define are nullptr.
#pragma once

#include <cstddef>
#include <string>

namespace mql {

class string;
struct MqlTradeTransaction;
struct MqlTradeRequest;
struct MqlTradeResult;

namespace runtime {

// One `input` variable. MetaTrader assigns inputs anew before each OnInit, so each can go back
// to what the source says.
struct Input {
    const char *name;
    const char *type;                     // as in the source: "int", "string", "ENUM_LOG_LEVEL"
    void (*reset)();                      // assigns the initialiser of the source
    bool (*assign)(const std::string &);  // assigns a text (UTF-8); false: it is no such value
};

// `#property name value`, as it stands in the source.
struct Property {
    const char *name;
    const char *value;
};

struct Program {
    const char *name;  // file name without extension
    int (*OnInit)();
    void (*OnDeinit)(int reason);
    int (*OnStart)();
    void (*OnTick)();
    void (*OnTimer)();
    void (*OnTrade)();
    void (*OnTradeTransaction)(const MqlTradeTransaction &, const MqlTradeRequest &,
                               const MqlTradeResult &);
    void (*OnBookEvent)(const string &symbol);
    void (*OnChartEvent)(int id, const long long &lparam, const double &dparam,
                         const string &sparam);
    // Constructs what stands at file scope (globals with constructors run in order of the
    // source); called once, before the first OnInit. May be nullptr: C++ did it before main().
    void (*construct_globals)();
    // Ends them, in the other order; called once, when the program is unloaded. May be nullptr.
    void (*destroy_globals)();
    const Input *inputs;
    std::size_t input_count;
    const Property *properties;
    std::size_t property_count;
};

extern const Program program;

// Exit codes of the process.
enum ExitCode : int {
    EXIT_ENDED = 0,              // removed or deinitialised as asked
    EXIT_INIT_FAILED = 3,        // OnInit was not 0; OnDeinit(8) ran
    EXIT_USAGE = 64,             // bad command line
    EXIT_CRITICAL = 70,          // array out of range, division by zero, bad pointer ...
    EXIT_DEINIT_TIMEOUT = 71,    // OnDeinit ran longer than its 2.5 s
    EXIT_LINK_LOST = 72,         // the host went away
    EXIT_BUSY_LOOP = 73,         // virtual clock: the program looks at the clock and never waits
    EXIT_SANITIZER = 77,         // ASan or UBSan (see log_path in the host)
};

// Ends the process at once, as a critical error ends an expert: no OnDeinit, no destructors.
// `message` says where (file:line of the source) and what.
[[noreturn]] void stop_program(ExitCode code, const std::string &message);

}  // namespace runtime
}  // namespace mql
