// A small frame for the self tests of the library: named tests, each in a process of its own, so
// that none sees the files, handles and options of another, and a crash is one failure.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "library.hpp"

namespace selftest {

struct Test {
    const char *name;
    void (*run)();
};

std::vector<Test> &tests();

struct Registration {
    Registration(const char *name, void (*run)()) { tests().push_back({name, run}); }
};

// What the clock of clock.hpp says, in the self test's hands.
struct Clock {
    long long utc_ms = 1'700'000'000'000;
    long long local_offset_s = 0;
};
extern Clock clock;

inline std::string shown(const std::string &value) { return '"' + value + '"'; }
inline std::string shown(const char *value) { return shown(std::string(value)); }
inline std::string shown(const mql::string &value) {
    return value.is_null() ? "NULL" : shown(value.utf8());
}
inline std::string shown(double value) {
    char text[40];
    std::snprintf(text, sizeof text, "%.17g", value);
    return text;
}
inline std::string shown(bool value) { return value ? "true" : "false"; }
template <class T>
std::string shown(const T &value) {
    return std::to_string(static_cast<long long>(value));
}

void report(const char *file, int line, const std::string &expected, const std::string &actual);

// Expected first. Types may differ; what is shown decides.
template <class Expected, class Actual>
void equal(const Expected &expected, const Actual &actual, const char *file = __builtin_FILE(),
           int line = __builtin_LINE()) {
    const std::string left = shown(expected);
    const std::string right = shown(actual);
    if (left != right) {
        report(file, line, left, right);
    }
}

// The last error, which is reset, so that each expectation stands for itself.
inline void error(int expected, const char *file = __builtin_FILE(),
                  int line = __builtin_LINE()) {
    equal(expected, mql::_LastError, file, line);
    mql::ResetLastError();
}

// Must end the program with a critical error whose message contains `part`.
void stops(const std::function<void()> &act, const std::string &part,
           const char *file = __builtin_FILE(), int line = __builtin_LINE());

// Bytes as hexadecimal digits and back.
std::string hex(const mql::caref<unsigned char> &bytes);
mql::darr<unsigned char> bytes_of_hex(const std::string &digits);
mql::darr<unsigned char> bytes_of_text(const std::string &text);

// The folder of this test, empty at its start: the option `data`.
std::string folder();

}  // namespace selftest

#define TEST(name)                                                       \
    static void name();                                                  \
    static const selftest::Registration registration_##name(#name, name); \
    static void name()
