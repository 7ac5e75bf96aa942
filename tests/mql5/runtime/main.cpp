// The process of one program:
//
//   <program> [--link-fd N] [--option name=value]... [--input name=value]...
//
// The host sends options and inputs over the link. As arguments they are for running a program
// by hand, or without a host, such as a self test: then what it says goes to standard error.
//
// Exit codes: see program.hpp.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/prctl.h>
#include <unistd.h>

#include "clock.hpp"
#include "journal.hpp"
#include "language.hpp"
#include "library_globals.hpp"
#include "link.hpp"
#include "options.hpp"
#include "program.hpp"
#include "terminal.hpp"

namespace mql::runtime {

void stop_program(ExitCode code, const std::string &message) {
    static bool stopping = false;
    if (!stopping) {
        stopping = true;
        journal("error", message);
        // The terminal outlives a program that it stops.
        save_globals();
    }
    std::fflush(nullptr);
    if (before_end != nullptr) {
        before_end();  // writes what a build for coverage has counted
    }
    _exit(code);
}

namespace {

[[noreturn]] void wrong_usage(const char *what) {
    std::fprintf(stderr, "%s: expected --link-fd N, --option name=value, --input name=value\n",
                 what);
    std::exit(EXIT_USAGE);
}

void read_command_line(int count, char **words) {
    for (int i = 1; i < count; ++i) {
        const char *word = words[i];
        if (++i == count) {
            wrong_usage(word);
        }
        const std::string value = words[i];
        if (std::strcmp(word, "--link-fd") == 0) {
            link_open(std::atoi(value.c_str()));
            continue;
        }
        const std::size_t at = value.find('=');
        if (at == std::string::npos) {
            wrong_usage(value.c_str());
        }
        if (std::strcmp(word, "--option") == 0) {
            set_option(value.substr(0, at), value.substr(at + 1));
        } else if (std::strcmp(word, "--input") == 0) {
            give_input(value.substr(0, at), value.substr(at + 1));
        } else {
            wrong_usage(word);
        }
    }
}

}  // namespace

}  // namespace mql::runtime

int main(int count, char **words) {
    using namespace mql::runtime;
    // Linux may let every timer be 50 us late, to save power.
    prctl(PR_SET_TIMERSLACK, 1UL);
    read_command_line(count, words);
    // The host has sent options and inputs before it started this process.
    link_drain();
    clock_start();
    if (program.construct_globals != nullptr) {
        program.construct_globals();
    }
    const int code = run_program();
    if (program.destroy_globals != nullptr) {
        program.destroy_globals();
    }
    mql::report_leaks();
    close_library();
    return code;
}
