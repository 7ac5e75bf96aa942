// The self test of the library: `selftest_library FOLDER` runs all tests and prints a line
// "PASS name" or "FAIL name" for each; `selftest_library FOLDER name` runs one in this process.
// `selftest_library answer` answers lines of standard input, for comparison with Python: a
// function, a blank and its argument (bytes in hexadecimal digits).
#include "selftest_library.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>

#include "clock.hpp"
#include "journal.hpp"
#include "library_globals.hpp"
#include "options.hpp"
#include "program.hpp"

namespace selftest {
namespace {
int failures = 0;
int message_pipe = -1;
std::string folder_of_test;
}  // namespace

Clock clock;

std::vector<Test> &tests() {
    static std::vector<Test> all;
    return all;
}

void report(const char *file, int line, const std::string &expected, const std::string &actual) {
    ++failures;
    std::printf("%s:%d: expected %s, actual %s\n", file, line, expected.c_str(), actual.c_str());
}

void stops(const std::function<void()> &act, const std::string &part, const char *file, int line) {
    std::fflush(nullptr);
    int ends[2];
    if (::pipe(ends) != 0) {
        return report(file, line, "a pipe", "none");
    }
    const pid_t child = ::fork();
    if (child == 0) {
        message_pipe = ends[1];
        act();
        _exit(0);
    }
    ::close(ends[1]);
    std::string message;
    char part_read[256];
    for (ssize_t got; (got = ::read(ends[0], part_read, sizeof part_read)) > 0;) {
        message.append(part_read, static_cast<std::size_t>(got));
    }
    ::close(ends[0]);
    int status = 0;
    ::waitpid(child, &status, 0);
    equal(static_cast<int>(mql::runtime::EXIT_CRITICAL), WEXITSTATUS(status), file, line);
    if (message.find(part) == std::string::npos) {
        report(file, line, part, message);
    }
}

std::string hex(const mql::caref<unsigned char> &bytes) {
    std::string digits;
    for (const unsigned char byte : bytes) {
        char pair[3];
        std::snprintf(pair, sizeof pair, "%02x", byte);
        digits += pair;
    }
    return digits;
}

mql::darr<unsigned char> bytes_of_hex(const std::string &digits) {
    mql::darr<unsigned char> bytes;
    bytes.resize(static_cast<long long>(digits.size() / 2));
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2) {
        bytes.data()[i / 2] =
            static_cast<unsigned char>(std::stoul(digits.substr(i, 2), nullptr, 16));
    }
    return bytes;
}

mql::darr<unsigned char> bytes_of_text(const std::string &text) {
    mql::darr<unsigned char> bytes;
    bytes.resize(static_cast<long long>(text.size()));
    std::copy(text.begin(), text.end(), bytes.data());
    return bytes;
}

std::string folder() { return folder_of_test; }

namespace {

int run_here(const Test &test, const std::string &root) {
    folder_of_test = root + "/" + test.name;
    std::filesystem::remove_all(folder_of_test);
    std::filesystem::create_directories(folder_of_test);
    mql::runtime::set_option("data", folder_of_test);
    test.run();
    mql::runtime::close_library();
    std::fflush(nullptr);
    return failures == 0 ? 0 : 1;
}

int run_all(const std::string &root) {
    int failed = 0;
    for (const Test &test : tests()) {
        std::fflush(nullptr);
        const pid_t child = ::fork();
        if (child == 0) {
            _exit(run_here(test, root));
        }
        int status = 0;
        ::waitpid(child, &status, 0);
        const bool passed = WIFEXITED(status) && WEXITSTATUS(status) == 0;
        failed += passed ? 0 : 1;
        std::printf("%s %s\n", passed ? "PASS" : "FAIL", test.name);
    }
    return failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace selftest

namespace mql {

// The terminal's part of the runtime, as far as the library needs it.
string _Symbol;
ENUM_TIMEFRAMES _Period = PERIOD_M15;

namespace runtime {

long long utc_ms() { return selftest::clock.utc_ms; }
long long local_offset_s() { return selftest::clock.local_offset_s; }

void journal(const char *kind, const std::string &text) {
    std::printf("%s: %s\n", kind, text.c_str());
}

void stop_program(ExitCode code, const std::string &message) {
    if (selftest::message_pipe >= 0) {
        [[maybe_unused]] const ssize_t ignored =
            ::write(selftest::message_pipe, message.data(), message.size());
    } else {
        std::printf("%s\n", message.c_str());
        std::fflush(nullptr);
    }
    _exit(code);
}

}  // namespace runtime
}  // namespace mql

namespace {

std::string answer(const std::string &function, const std::string &argument) {
    using namespace mql;
    if (function == "time") {
        return TimeToString(std::stoll(argument), TIME_DATE | TIME_SECONDS).utf8();
    }
    const darr<uchar> data = selftest::bytes_of_hex(argument);
    const darr<uchar> no_key;
    darr<uchar> result;
    if (function == "utf8") {
        const mql::string text = CharArrayToString(data, 0, WHOLE_ARRAY, CP_UTF8);
        StringToCharArray(text, result, 0, WHOLE_ARRAY, CP_UTF8);
    } else if (function == "sha256") {
        CryptEncode(CRYPT_HASH_SHA256, data, no_key, result);
    } else if (function == "sha1") {
        CryptEncode(CRYPT_HASH_SHA1, data, no_key, result);
    } else if (function == "md5") {
        CryptEncode(CRYPT_HASH_MD5, data, no_key, result);
    } else if (function == "base64") {
        CryptEncode(CRYPT_BASE64, data, no_key, result);
    } else if (function == "number") {
        const double value = StringToDouble(CharArrayToString(data));
        return selftest::shown(value);
    }
    return selftest::hex(result);
}

}  // namespace

int main(int count, char **words) {
    if (count == 2 && std::string(words[1]) == "answer") {
        std::string function;
        std::string argument;
        while (std::cin >> function && std::getline(std::cin, argument)) {
            const std::string bytes = argument.empty() ? "" : argument.substr(1);
            std::printf("%s\n", answer(function, bytes).c_str());
        }
        return 0;
    }
    if (count < 2) {
        std::fprintf(stderr, "usage: selftest_library FOLDER [NAME]\n");
        return mql::runtime::EXIT_USAGE;
    }
    if (count == 2) {
        return selftest::run_all(words[1]);
    }
    for (const selftest::Test &test : selftest::tests()) {
        if (std::string(test.name) == words[2]) {
            return selftest::run_here(test, words[1]);
        }
    }
    std::fprintf(stderr, "no test %s\n", words[2]);
    return mql::runtime::EXIT_USAGE;
}
