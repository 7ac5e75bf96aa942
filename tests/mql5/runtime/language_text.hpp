// Values as text and back, StringFormat, Print.
#pragma once

#include <cstddef>
#include <type_traits>

#include "language_array.hpp"
#include "language_base.hpp"
#include "language_string.hpp"

namespace mql {

// --- values as text, as Print shows them and as (string) converts them ----------------------

string text(bool value);
string text(int value);
string text(uint value);
string text(long_ value);
string text(ulong value);
string text(double value);  // up to 16 significant digits: 0.1, 1.0, 1e-13
string text(float value);   // 5 digits behind the point
inline string text(char value) { return text(static_cast<int>(value)); }
inline string text(signed char value) { return text(static_cast<int>(value)); }
inline string text(uchar value) { return text(static_cast<int>(value)); }
inline string text(short value) { return text(static_cast<int>(value)); }
inline string text(ushort value) { return text(static_cast<int>(value)); }
inline string text(long value) { return text(static_cast<long_>(value)); }
inline string text(unsigned long value) { return text(static_cast<ulong>(value)); }
inline const string &text(const string &value) { return value; }
inline string text(const char *value) { return string(value); }
template <class E, class = std::enable_if_t<std::is_enum_v<E>>>
inline string text(E value) {
    return text(static_cast<int>(value));
}
// A pointer would be a bool: MetaTrader prints its handle, which no program should need.
void text(const void *) = delete;

// datetime and color are plain integers in C++: the code generator knows better.
string text_datetime(datetime value);  // 2024.01.02 03:04:05
string text_color(color value);        // 255,0,0

// --- text as values, as (int)"12" does ------------------------------------------------------

long_ parse_integer(const string &text);  // leading digits, 0 if there are none
double parse_double(const string &text);
bool parse_bool(const string &text);      // "true" or a number other than 0

// `text[index]`: a UTF-16 unit.
inline ushort char_at(const string &text, long long index, MQL_PLACE) {
    detail::check_index(index, static_cast<long long>(text.size()), file, line);
    return text[static_cast<std::size_t>(index)];
}

// --- enumerations ---------------------------------------------------------------------------

struct EnumName {
    int value;
    const char *name;
};

// The name, or "ENUM_X::-1" and ERR_INVALID_PARAMETER when the value has none.
string enum_to_string(const char *enumeration, const EnumName *names, std::size_t count, int value);

template <std::size_t N>
inline string enum_to_string(const char *enumeration, const EnumName (&names)[N], int value) {
    return enum_to_string(enumeration, names, N, value);
}

// --- formatting -----------------------------------------------------------------------------

// One argument of StringFormat with its type, for MQL5 leaves a mismatch undefined.
struct Argument {
    enum Kind { SIGNED, UNSIGNED, REAL, TEXT } kind;
    int size = 0;  // bytes of an integer
    union {
        long_ integer;
        double real;
        const string *text;
    };

    template <class T>
    Argument(const T &value) : integer(0) {
        if constexpr (std::is_same_v<T, string>) {
            kind = TEXT;
            text = &value;
        } else if constexpr (std::is_floating_point_v<T>) {
            kind = REAL;
            real = static_cast<double>(value);
        } else {
            static_assert(std::is_integral_v<T> || std::is_enum_v<T>,
                          "StringFormat takes numbers and strings");
            kind = std::is_unsigned_v<T> ? UNSIGNED : SIGNED;
            size = static_cast<int>(sizeof(T));
            integer = static_cast<long_>(value);
        }
    }
};

// A format string and where it is used.
struct Format {
    string text;
    const char *file;
    int line;
    Format(const string &format, MQL_PLACE) : text(format), file(file), line(line) {}
    Format(const char *format, MQL_PLACE) : text(format), file(file), line(line) {}
};

constexpr std::size_t PARAMETERS_MAX = 64;

string format_text(const Format &format, const Argument *arguments, std::size_t count);

template <class... Values>
inline string StringFormat(const Format &format, const Values &...values) {
    static_assert(sizeof...(Values) < PARAMETERS_MAX);
    if constexpr (sizeof...(Values) == 0) {
        return format_text(format, nullptr, 0);
    } else {
        const Argument arguments[] = {Argument(values)...};
        return format_text(format, arguments, sizeof...(Values));
    }
}

// --- the journal ----------------------------------------------------------------------------

void say(const char *kind, const string &line);  // kinds: see journal.hpp

template <class... Values>
inline string concatenated(const Values &...values) {
    static_assert(sizeof...(Values) <= PARAMETERS_MAX);
    string line("");
    ((line += text(values)), ...);
    return line;
}

template <class... Values>
inline void Print(const Values &...values) {
    say("print", concatenated(values...));
}

template <class... Values>
inline void Alert(const Values &...values) {
    say("alert", concatenated(values...));
}

template <class... Values>
inline void Comment(const Values &...values) {
    say("comment", concatenated(values...));
}

template <class... Values>
inline void PrintFormat(const Format &format, const Values &...values) {
    say("print", StringFormat(format, values...));
}

template <class... Values>
inline void printf(const Format &format, const Values &...values) {
    PrintFormat(format, values...);
}

}  // namespace mql
