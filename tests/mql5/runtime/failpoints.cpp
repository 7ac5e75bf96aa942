#include "failpoints.hpp"

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <iterator>
#include <map>
#include <string>
#include <unistd.h>

#include "options.hpp"
#include "program.hpp"

namespace mql::runtime {

namespace {

const char *const PLACES[] = {
    "OrderSend.before",      "OrderSend.sent",      "OrderSend.after",
    "OrderSendAsync.before", "OrderSendAsync.sent", "OrderSendAsync.after",
    "Database.before",       "Database.after",      "Commit.before",
    "Commit.after",
};

}  // namespace

void failpoint(const char *place) {
    static std::map<std::string, long long> passed;
    const long long count = ++passed[place];
    const std::string wanted = option("die_at");
    if (wanted.empty()) {
        return;
    }
    const std::size_t at = wanted.find(':');
    const std::string name = wanted.substr(0, at);
    if (std::find(std::begin(PLACES), std::end(PLACES), name) == std::end(PLACES)) {
        stop_program(EXIT_USAGE, "die_at=" + wanted + ": no such place");
    }
    const long long nth =
        at == wanted.npos ? 1 : std::strtoll(wanted.c_str() + at + 1, nullptr, 10);
    if (name == place && count == nth) {
        kill(getpid(), SIGKILL);
        pause();
    }
}

}  // namespace mql::runtime
