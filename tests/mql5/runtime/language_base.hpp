// Types, critical errors, _LastError, checked integer division.
#pragma once

#include <cstddef>
#include <cstring>
#include <type_traits>

// The place of the call in the .mq5: the generated code has #line directives, and a default
// argument of the builtin is evaluated where the call stands.
#define MQL_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()

namespace mql {

using uchar = unsigned char;
using ushort = unsigned short;
using uint = unsigned int;
using long_ = long long;
using ulong_ = unsigned long long;
using ulong = unsigned long long;
using datetime = long long;
using color = unsigned int;

// What new memory is filled with when it has no value yet (with MQL_POISON).
constexpr int POISON = 0xCD;

inline void poison([[maybe_unused]] void *memory, [[maybe_unused]] std::size_t size) {
#ifdef MQL_POISON
    if (size > 0) {
        std::memset(memory, POISON, size);
    }
#endif
}

// Ends the program as MetaTrader does: at once, without OnDeinit and destructors.
[[noreturn]] void critical(const char *what, MQL_PLACE);

// Set in builds for coverage, to be called by stop_program: the counters are written by exit(),
// which it skips.
extern void (*before_end)();

extern int _LastError;

int GetLastError();
void ResetLastError();
void SetUserError(ushort user_error);

// Of real numbers too: MetaTrader ends a program that divides 1.0 by 0.0.
template <class T>
inline T div(T left, T right, MQL_PLACE) {
    static_assert(std::is_arithmetic_v<T>);
    if (__builtin_expect(right == 0, 0)) {
        critical("zero divide", file, line);
    }
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
        // x86 raises a hardware exception for the smallest number by -1.
        if (right == -1 && left == static_cast<T>(T{1} << (sizeof(T) * 8 - 1))) {
            critical("integer overflow in a division", file, line);
        }
    }
    return static_cast<T>(left / right);
}

template <class T>
inline T mod(T left, T right, MQL_PLACE) {
    static_assert(std::is_integral_v<T>);
    if (__builtin_expect(right == 0, 0)) {
        critical("zero divide", file, line);
    }
    if constexpr (std::is_signed_v<T>) {
        if (right == -1) {
            return 0;
        }
    }
    return static_cast<T>(left % right);
}

// `target /= value` and `target %= value`: calculated in the type of both.
template <class T, class V>
inline T &assign_div(T &target, V value, MQL_PLACE) {
    using Both = decltype(target + value);
    return target = static_cast<T>(
               div<Both>(static_cast<Both>(target), static_cast<Both>(value), file, line));
}

template <class T, class V>
inline T &assign_mod(T &target, V value, MQL_PLACE) {
    using Both = decltype(target + value);
    return target = static_cast<T>(
               mod<Both>(static_cast<Both>(target), static_cast<Both>(value), file, line));
}

}  // namespace mql
