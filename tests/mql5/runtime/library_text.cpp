#include "library_text.hpp"

#include <clocale>
#include <cstdio>
#include <cstdlib>
#include <cwctype>
#include <limits>

namespace mql::runtime {
namespace {

constexpr char32_t REPLACEMENT = 0xfffd;

bool is_high_surrogate(char16_t unit) { return (unit & 0xfc00) == 0xd800; }
bool is_low_surrogate(char16_t unit) { return (unit & 0xfc00) == 0xdc00; }

void append_utf8(std::string &bytes, char32_t point) {
    const auto append = [&bytes](char32_t byte) { bytes.push_back(static_cast<char>(byte)); };
    if (point < 0x80) {
        append(point);
    } else if (point < 0x800) {
        append(0xc0 | point >> 6);
        append(0x80 | (point & 0x3f));
    } else if (point < 0x10000) {
        append(0xe0 | point >> 12);
        append(0x80 | (point >> 6 & 0x3f));
        append(0x80 | (point & 0x3f));
    } else {
        append(0xf0 | point >> 18);
        append(0x80 | (point >> 12 & 0x3f));
        append(0x80 | (point >> 6 & 0x3f));
        append(0x80 | (point & 0x3f));
    }
}

// Reads one code point; `at` moves on by what was read, at least by one.
char32_t next_point(std::string_view bytes, std::size_t &at) {
    const auto byte = [&bytes](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
    const unsigned char first = byte(at++);
    if (first < 0x80) {
        return first;
    }
    // The ranges of the second byte are what rules out overlong forms, surrogates and points
    // beyond U+10FFFF (Unicode 15, table 3-7).
    unsigned more = 0;
    unsigned char lowest = 0x80;
    unsigned char highest = 0xbf;
    char32_t point = 0;
    if (first >= 0xc2 && first <= 0xdf) {
        more = 1;
        point = first & 0x1f;
    } else if (first >= 0xe0 && first <= 0xef) {
        more = 2;
        point = first & 0x0f;
        lowest = first == 0xe0 ? 0xa0 : lowest;
        highest = first == 0xed ? 0x9f : highest;
    } else if (first >= 0xf0 && first <= 0xf4) {
        more = 3;
        point = first & 0x07;
        lowest = first == 0xf0 ? 0x90 : lowest;
        highest = first == 0xf4 ? 0x8f : highest;
    } else {
        return REPLACEMENT;
    }
    for (; more > 0; --more) {
        if (at >= bytes.size() || byte(at) < lowest || byte(at) > highest) {
            return REPLACEMENT;
        }
        point = point << 6 | (byte(at++) & 0x3f);
        lowest = 0x80;
        highest = 0xbf;
    }
    return point;
}

// C.UTF-8 has the case of all letters and is part of glibc; without it only ASCII has a case.
locale_t unicode_locale() {
    static const locale_t made = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return made;
}

bool is_digit(char16_t unit) { return unit >= u'0' && unit <= u'9'; }

int hex_digit(char16_t unit) {
    if (is_digit(unit)) {
        return unit - u'0';
    }
    if (unit >= u'a' && unit <= u'f') {
        return unit - u'a' + 10;
    }
    return unit >= u'A' && unit <= u'F' ? unit - u'A' + 10 : -1;
}

// Skips blanks and one sign; returns whether it was a minus.
bool skip_sign(std::u16string_view text, std::size_t &at) {
    while (at < text.size() && is_space(text[at])) {
        ++at;
    }
    if (at < text.size() && (text[at] == u'-' || text[at] == u'+')) {
        return text[at++] == u'-';
    }
    return false;
}

bool is_hexadecimal(std::u16string_view text, std::size_t at) {
    return at + 2 < text.size() && text[at] == u'0' &&
           (text[at + 1] == u'x' || text[at + 1] == u'X') && hex_digit(text[at + 2]) >= 0;
}

}  // namespace

std::string utf8_of(std::u16string_view units) {
    std::string bytes;
    bytes.reserve(units.size());
    for (std::size_t i = 0; i < units.size(); ++i) {
        char32_t point = units[i];
        if (is_high_surrogate(units[i]) && i + 1 < units.size() &&
            is_low_surrogate(units[i + 1])) {
            point = 0x10000 + ((point & 0x3ff) << 10) + (units[i + 1] & 0x3ff);
            ++i;
        } else if (is_high_surrogate(units[i]) || is_low_surrogate(units[i])) {
            point = REPLACEMENT;
        }
        append_utf8(bytes, point);
    }
    return bytes;
}

std::u16string utf16_of(std::string_view bytes) {
    std::u16string units;
    units.reserve(bytes.size());
    for (std::size_t at = 0; at < bytes.size();) {
        const char32_t point = next_point(bytes, at);
        if (point < 0x10000) {
            units.push_back(static_cast<char16_t>(point));
        } else {
            units.push_back(static_cast<char16_t>(0xd800 + ((point - 0x10000) >> 10)));
            units.push_back(static_cast<char16_t>(0xdc00 + (point & 0x3ff)));
        }
    }
    return units;
}

char16_t lower(char16_t unit) {
    if (unit < 0x80 || unicode_locale() == nullptr) {
        return unit >= u'A' && unit <= u'Z' ? static_cast<char16_t>(unit + 32) : unit;
    }
    return static_cast<char16_t>(towlower_l(unit, unicode_locale()));
}

char16_t upper(char16_t unit) {
    if (unit < 0x80 || unicode_locale() == nullptr) {
        return unit >= u'a' && unit <= u'z' ? static_cast<char16_t>(unit - 32) : unit;
    }
    // U+0131, U+017F and their like would land in ASCII, which Windows leaves alone.
    const auto raised = static_cast<char16_t>(towupper_l(unit, unicode_locale()));
    return raised < 0x80 ? unit : raised;
}

bool is_space(char16_t unit) { return unit == u' ' || (unit >= u'\t' && unit <= u'\r'); }

double number_at_start(std::u16string_view text) {
    std::size_t at = 0;
    const bool negative = skip_sign(text, at);
    if (is_hexadecimal(text, at)) {
        double value = 0;
        for (at += 2; at < text.size() && hex_digit(text[at]) >= 0; ++at) {
            value = value * 16 + hex_digit(text[at]);
        }
        return negative ? -value : value;
    }
    // Only what MQL5 allows is copied out: strtod alone would also take "inf", "nan" and "0x1p3".
    std::string number;
    const auto take_digits = [&] {
        const std::size_t before = at;
        while (at < text.size() && is_digit(text[at])) {
            number.push_back(static_cast<char>(text[at++]));
        }
        return at > before;
    };
    bool digits = take_digits();
    if (at < text.size() && text[at] == u'.') {
        number.push_back('.');
        ++at;
        digits = take_digits() || digits;
    }
    if (!digits) {
        return 0;
    }
    if (at < text.size() && (text[at] == u'e' || text[at] == u'E')) {
        const std::string without = number;
        number.push_back('e');
        ++at;
        if (at < text.size() && (text[at] == u'-' || text[at] == u'+')) {
            number.push_back(static_cast<char>(text[at++]));
        }
        if (!take_digits()) {
            number = without;
        }
    }
    const double value = std::strtod(number.c_str(), nullptr);
    return negative ? -value : value;
}

long long integer_at_start(std::u16string_view text, bool &too_large) {
    std::size_t at = 0;
    const bool negative = skip_sign(text, at);
    // LONG_MIN is one further from zero than LONG_MAX.
    const unsigned long long largest =
        static_cast<unsigned long long>(std::numeric_limits<long long>::max()) + (negative ? 1 : 0);
    const unsigned base = is_hexadecimal(text, at) ? 16 : 10;
    if (base == 16) {
        at += 2;
    }
    too_large = false;
    unsigned long long value = 0;
    for (; at < text.size(); ++at) {
        const int digit = hex_digit(text[at]);
        if (digit < 0 || digit >= static_cast<int>(base)) {
            break;
        }
        const auto added = static_cast<unsigned long long>(digit);
        if (value > (largest - added) / base) {
            too_large = true;
            break;
        }
        value = value * base + added;
    }
    if (too_large) {
        return negative ? std::numeric_limits<long long>::min()
                        : std::numeric_limits<long long>::max();
    }
    return static_cast<long long>(negative ? 0 - value : value);
}

std::string fixed(double value, int digits) {
    if (digits < -16 || digits > 16) {
        digits = 8;
    }
    const char *format = digits >= 0 ? "%.*f" : "%.*e";
    char buffer[400];  // 309 digits before the point, 16 after it
    const int length = std::snprintf(buffer, sizeof buffer, format, std::abs(digits), value);
    return std::string(buffer, static_cast<std::size_t>(length));
}

// --- dates: the civil calendar in whole numbers, years counted from 1 March of the year 0 -------

namespace {
constexpr long long DAY = 86400;
constexpr long long DAYS_BEFORE_1970 = 719468;  // from 0000-03-01
constexpr long long DAYS_OF_400_YEARS = 146097;

bool is_leap_year(int year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

int days_of_month(int year, int month) {
    static constexpr int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap_year(year) ? 29 : DAYS[month - 1];
}

long long day_number(int year, int month, int day) {
    const long long years = month > 2 ? year : year - 1;
    const long long months = month > 2 ? month - 3 : month + 9;  // from March
    const long long leap_days = years / 4 - years / 100 + years / 400;
    return years * 365 + leap_days + (months * 153 + 2) / 5 + day - 1 - DAYS_BEFORE_1970;
}
}  // namespace

bool is_datetime(long long seconds) { return seconds >= 0 && seconds <= LAST_DATETIME; }

Date date_of(long long seconds) {
    const long long days = seconds / DAY;
    const auto rest = static_cast<int>(seconds % DAY);
    const long long from_march = days + DAYS_BEFORE_1970;
    const long long era = from_march / DAYS_OF_400_YEARS;
    const long long day_of_era = from_march % DAYS_OF_400_YEARS;
    const long long year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const long long day_of_year =
        day_of_era - (year_of_era * 365 + year_of_era / 4 - year_of_era / 100);
    const auto months = static_cast<int>((day_of_year * 5 + 2) / 153);
    Date date{};
    date.month = months < 10 ? months + 3 : months - 9;
    date.year = static_cast<int>(era * 400 + year_of_era) + (date.month <= 2 ? 1 : 0);
    date.day = static_cast<int>(day_of_year - (months * 153 + 2) / 5) + 1;
    date.hour = rest / 3600;
    date.minute = rest / 60 % 60;
    date.second = rest % 60;
    date.day_of_week = static_cast<int>((days + 4) % 7);  // 1970-01-01 was a Thursday
    date.day_of_year = static_cast<int>(days - day_number(date.year, 1, 1));
    return date;
}

bool seconds_of(const Date &date, long long &seconds) {
    const bool in_range = date.year >= 1970 && date.year <= 3000 && date.month >= 1 &&
                          date.month <= 12 && date.day >= 1 && date.hour >= 0 &&
                          date.hour <= 23 && date.minute >= 0 && date.minute <= 59 &&
                          date.second >= 0 && date.second <= 59;
    if (!in_range || date.day > days_of_month(date.year, date.month)) {
        return false;
    }
    seconds = day_number(date.year, date.month, date.day) * DAY + date.hour * 3600 +
              date.minute * 60 + date.second;
    return true;
}

}  // namespace mql::runtime
