// Values as text, text as values, text as bytes.
#include <array>
#include <cmath>

#include "clock.hpp"
#include "library.hpp"
#include "library_text.hpp"

namespace mql {

namespace runtime {

std::string bytes_of(const string &text, uint codepage) {
    const std::string bytes = utf8_of(text.units());
    // Of one unit one byte came: it is ASCII, which all code pages share.
    if (codepage != CP_UTF8 && bytes.size() != text.size()) {
        critical("text that is not ASCII is converted with a code page other than CP_UTF8");
    }
    return bytes;
}

string text_of(std::string_view bytes, uint codepage) {
    if (codepage != CP_UTF8) {
        for (const char byte : bytes) {
            if (static_cast<unsigned char>(byte) >= 0x80) {
                critical("bytes that are not ASCII are read with a code page other than CP_UTF8");
            }
        }
    }
    return string(utf16_of(bytes));
}

}  // namespace runtime

namespace {

using runtime::fail;

string ascii(const std::string &text) { return string(std::u16string(text.begin(), text.end())); }

// Copies text and the 0 behind it into an array; returns how many cells it filled.
template <class T, class Text>
int copy_text(const Text &text, const aref<T> &array, int start, int count) {
    if (start < 0 || count < WHOLE_ARRAY) {
        fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    long long wanted = static_cast<long long>(text.size()) + 1;
    if (count != WHOLE_ARRAY) {
        wanted = std::min<long long>(wanted, count);
    }
    // A static array takes what fits; the 0 is what gets lost.
    if (start + wanted > array.size() && !array.resize(start + wanted)) {
        if (array.is_dynamic() || start > array.size()) {
            fail(array.is_dynamic() ? ERR_ARRAY_RESIZE_ERROR : ERR_SMALL_ARRAY);
            return 0;
        }
        wanted = array.size() - start;
    }
    for (long long i = 0; i < wanted; ++i) {
        const auto at = static_cast<std::size_t>(i);
        array.data()[start + i] = at < text.size() ? static_cast<T>(text[at]) : T{0};
    }
    return static_cast<int>(wanted);
}

// The cells from `start` up to the first 0 and at most `count` of them; false if there are none
// because the place is wrong.
template <class T>
bool text_cells(const caref<T> &array, int start, int count, const T *&from, std::size_t &size) {
    if (count == 0) {
        critical("an array is converted to a string with count 0: not documented what that gives");
    }
    from = array.data();
    size = 0;
    if (start < 0 || start > array.size() || count < WHOLE_ARRAY) {
        return fail(ERR_INVALID_PARAMETER);
    }
    const int rest = array.size() - start;
    const auto most = static_cast<std::size_t>(count < 0 ? rest : std::min(count, rest));
    from += start;
    while (size < most && from[size] != 0) {
        ++size;
    }
    return true;
}

}  // namespace

string CharToString(uchar char_code) {
    if (char_code == 0) {
        return string(std::u16string());
    }
    const char byte = static_cast<char>(char_code);
    return runtime::text_of(std::string_view(&byte, 1), CP_ACP);
}

string ShortToString(ushort symbol_code) {
    return string(std::u16string(symbol_code == 0 ? 0 : 1, static_cast<char16_t>(symbol_code)));
}

int StringToCharArray(const string &text_string, aref<uchar> array, int start, int count,
                      uint codepage) {
    const std::string bytes = runtime::bytes_of(text_string, codepage);
    if (count != WHOLE_ARRAY && bytes.size() != text_string.size()) {
        critical("StringToCharArray with a count and text that is not ASCII: it is not documented "
                 "whether characters or bytes are counted");
    }
    return copy_text(bytes, array, start, count);
}

int StringToShortArray(const string &text_string, aref<ushort> array, int start, int count) {
    return copy_text(text_string.units(), array, start, count);
}

string CharArrayToString(caref<uchar> array, int start, int count, uint codepage) {
    const uchar *from = nullptr;
    std::size_t size = 0;
    if (!text_cells(array, start, count, from, size) || size == 0) {
        return string(std::u16string());
    }
    return runtime::text_of(std::string_view(reinterpret_cast<const char *>(from), size),
                            codepage);
}

string ShortArrayToString(caref<ushort> array, int start, int count) {
    const ushort *from = nullptr;
    std::size_t size = 0;
    text_cells(array, start, count, from, size);
    return string(std::u16string(from, from + size));
}

string IntegerToString(long_ number, int str_len, ushort fill_symbol) {
    const std::string digits = std::to_string(number);
    const std::size_t width = str_len < 0 ? 0 : static_cast<std::size_t>(str_len);
    const std::size_t missing = digits.size() < width ? width - digits.size() : 0;
    return string(std::u16string(missing, static_cast<char16_t>(fill_symbol)) +
                  std::u16string(digits.begin(), digits.end()));
}

string DoubleToString(double value, int digits) { return ascii(runtime::fixed(value, digits)); }

double StringToDouble(const string &value) { return runtime::number_at_start(value.units()); }

long_ StringToInteger(const string &value) {
    bool too_large = false;
    const long_ number = runtime::integer_at_start(value.units(), too_large);
    if (too_large) {
        fail(ERR_STRING_TOO_BIGNUMBER);
    }
    return number;
}

double NormalizeDouble(double value, int digits) {
    static constexpr double POWERS[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    const double power = POWERS[std::clamp(digits, 0, 8)];
    const double rounded = std::round(value * power) / power;
    return std::isfinite(rounded) ? rounded : value;
}

string TimeToString(datetime value, int mode) {
    if (!runtime::is_datetime(value)) {
        fail(ERR_INVALID_DATETIME);
        return string(u"wrong datetime", 14);
    }
    const runtime::Date date = runtime::date_of(value);
    char text[32] = "";
    int length = 0;
    if ((mode & TIME_DATE) != 0) {
        length = std::snprintf(text, sizeof text, "%04d.%02d.%02d", date.year, date.month,
                               date.day);
    }
    if ((mode & (TIME_MINUTES | TIME_SECONDS)) != 0) {
        length += std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length),
                                "%s%02d:%02d", length > 0 ? " " : "", date.hour, date.minute);
    }
    if ((mode & TIME_SECONDS) != 0) {
        std::snprintf(text + length, sizeof text - static_cast<std::size_t>(length), ":%02d",
                      date.second);
    }
    return ascii(text);
}

namespace {

// The digits of a date or a time, in groups: "2024.01.02" is 2024, 1, 2.
struct Groups {
    std::array<int, 3> value{};
    std::array<std::size_t, 3> digits{};
    std::size_t count = 0;
    bool good = false;
};

Groups groups_of(std::u16string_view text, std::u16string_view separators) {
    Groups groups;
    char16_t separator = 0;
    for (std::size_t at = 0; at < text.size();) {
        if (groups.count == 3) {
            return groups;
        }
        std::size_t &digits = groups.digits[groups.count];
        int &value = groups.value[groups.count];
        while (at < text.size() && text[at] >= u'0' && text[at] <= u'9' && digits < 8) {
            value = value * 10 + (text[at++] - u'0');
            ++digits;
        }
        ++groups.count;
        if (digits == 0) {
            return groups;
        }
        if (at == text.size()) {
            break;
        }
        // One separator, the same one everywhere, and something behind it.
        if (separators.find(text[at]) == separators.npos ||
            (separator != 0 && separator != text[at]) || at + 1 == text.size()) {
            return groups;
        }
        separator = text[at++];
    }
    groups.good = groups.count > 0;
    return groups;
}

bool date_of_text(std::u16string_view text, runtime::Date &date) {
    const Groups groups = groups_of(text, u"./-");
    if (!groups.good) {
        return false;
    }
    if (groups.count == 1 && groups.digits[0] == 8) {  // yyyymmdd
        date.year = groups.value[0] / 10000;
        date.month = groups.value[0] / 100 % 100;
        date.day = groups.value[0] % 100;
    } else if (groups.count == 3 && groups.digits[0] == 4) {
        date.year = groups.value[0];
        date.month = groups.value[1];
        date.day = groups.value[2];
    } else if (groups.count == 3 && groups.digits[2] == 4) {  // dd.mm.yyyy
        date.year = groups.value[2];
        date.month = groups.value[1];
        date.day = groups.value[0];
    } else {
        return false;
    }
    long long ignored = 0;
    return runtime::seconds_of(date, ignored);
}

bool time_of_text(std::u16string_view text, runtime::Date &date) {
    const Groups groups = groups_of(text, u":");
    if (!groups.good) {
        return false;
    }
    if (groups.count == 1 && groups.digits[0] == 6) {  // hhmmss
        date.hour = groups.value[0] / 10000;
        date.minute = groups.value[0] / 100 % 100;
        date.second = groups.value[0] % 100;
    } else if (groups.count >= 2) {
        date.hour = groups.value[0];
        date.minute = groups.value[1];
        date.second = groups.value[2];
    } else {
        return false;
    }
    return date.hour <= 23 && date.minute <= 59 && date.second <= 59;
}

}  // namespace

datetime StringToTime(const string &time_string) {
    std::u16string_view text = time_string.units();
    while (!text.empty() && runtime::is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && runtime::is_space(text.back())) {
        text.remove_suffix(1);
    }
    std::size_t end = 0;
    while (end < text.size() && !runtime::is_space(text[end])) {
        ++end;
    }
    std::size_t next = end;
    while (next < text.size() && runtime::is_space(text[next])) {
        ++next;
    }
    const std::u16string_view first = text.substr(0, end);
    const std::u16string_view second = text.substr(next);

    // Without a date it is today, by the clock of the PC.
    runtime::Date date = runtime::date_of(runtime::utc_ms() / 1000 + runtime::local_offset_s());
    date.hour = date.minute = date.second = 0;
    datetime today = 0;
    runtime::seconds_of(date, today);

    runtime::Date parsed = date;
    if (first.empty()) {
        fail(ERR_NO_STRING_DATE);
        return today;
    }
    if (second.empty() && first.find(u':') != first.npos) {
        if (!time_of_text(first, parsed)) {
            fail(ERR_WRONG_STRING_TIME);
            return today;
        }
    } else if (!date_of_text(first, parsed)) {
        fail(ERR_WRONG_STRING_DATE);
        return today;
    } else if (!second.empty() && !time_of_text(second, parsed)) {
        fail(ERR_WRONG_STRING_TIME);
        return today;
    }
    datetime seconds = 0;
    runtime::seconds_of(parsed, seconds);
    return seconds;
}

}  // namespace mql
