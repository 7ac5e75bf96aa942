// What the library knows about text, numbers and dates, on plain C++ types.
//
// The functions of MQL5 in library_string.cpp, library_convert.cpp and library_time.cpp are thin
// shells around these: the self test reaches the edge cases without going through the language.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mql::runtime {

// --- UTF ---------------------------------------------------------------------------------------

// As WideCharToMultiByte does it: half a surrogate pair becomes U+FFFD, nothing is refused.
std::string utf8_of(std::u16string_view units);
// As MultiByteToWideChar does it: every ill-formed part becomes one U+FFFD (Unicode 15, §3.9,
// "maximal subpart"): overlong forms, surrogates, cut sequences, bytes beyond U+10FFFF.
std::u16string utf16_of(std::string_view bytes);

// One unit at a time, as Windows does it: 'ß' stays, pairs stay.
char16_t lower(char16_t unit);
char16_t upper(char16_t unit);
bool is_space(char16_t unit);

// --- numbers -----------------------------------------------------------------------------------

// The longest number at the start, after blanks; 0 when there is none. "0x" is hexadecimal.
double number_at_start(std::u16string_view text);
// `too_large` says that it does not fit; the result is then the nearest one that does.
long long integer_at_start(std::u16string_view text, bool &too_large);
std::string fixed(double value, int digits);  // DoubleToString

// --- dates -------------------------------------------------------------------------------------

struct Date {
    int year;
    int month;
    int day;
    int hour;
    int minute;
    int second;
    int day_of_week;  // 0 is Sunday
    int day_of_year;  // 0 is 1 January
};

constexpr long long LAST_DATETIME = 32535215999LL;  // 3000.12.31 23:59:59, as MetaTrader has it

bool is_datetime(long long seconds);
Date date_of(long long seconds);
// Fields beyond their range are refused (false), except the two derived ones, which are ignored.
bool seconds_of(const Date &date, long long &seconds);

}  // namespace mql::runtime
