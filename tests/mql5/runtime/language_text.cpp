// Values as text and back, and the engine of StringFormat.
#include "language_text.hpp"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace mql {

namespace {

// The largest width or precision: a format of the source asks for a few digits, never for more.
constexpr int WIDTH_MAX = 4096;

string ascii(const std::string &text) { return string(std::u16string(text.begin(), text.end())); }

template <class... Values>
std::string printed(const char *format, Values... values) {
    const int size = std::snprintf(nullptr, 0, format, values...);
    std::string text(static_cast<std::size_t>(size) + 1, '\0');
    std::snprintf(text.data(), text.size(), format, values...);
    text.pop_back();
    return text;
}

bool is_digit(char letter) { return letter >= '0' && letter <= '9'; }

// What is no ASCII cannot be part of a number.
std::string narrowed(const string &text) {
    std::string narrow;
    for (const char16_t unit : text.units()) {
        if (unit == 0 || unit >= 0x80) {
            break;
        }
        narrow += static_cast<char>(unit);
    }
    return narrow;
}

// Days since 1970 to year, month, day in the Gregorian calendar.
void civil(long long days, long long &year, int &month, int &day) {
    days += 719468;  // days from 0000-03-01 to 1970-01-01
    const long long era = (days >= 0 ? days : days - 146096) / 146097;
    const long long of_era = days - era * 146097;
    const long long year_of_era =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    const long long of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int shifted = static_cast<int>((5 * of_year + 2) / 153);
    day = static_cast<int>(of_year - (153 * shifted + 2) / 5) + 1;
    month = shifted < 10 ? shifted + 3 : shifted - 9;
    year = year_of_era + era * 400 + (month <= 2 ? 1 : 0);
}

}  // namespace

string text(bool value) { return ascii(value ? "true" : "false"); }
string text(int value) { return ascii(std::to_string(value)); }
string text(uint value) { return ascii(std::to_string(value)); }
string text(long_ value) { return ascii(std::to_string(value)); }
string text(ulong value) { return ascii(std::to_string(value)); }

string text(double value) {
    std::string digits = printed("%.16g", value);
    if (std::isfinite(value) && digits.find_first_of(".e") == std::string::npos) {
        digits += ".0";
    }
    return ascii(digits);
}

string text(float value) { return ascii(printed("%.5f", static_cast<double>(value))); }

string text_datetime(datetime value) {
    long long days = value / 86400;
    long long second = value % 86400;
    if (second < 0) {
        second += 86400;
        --days;
    }
    long long year = 0;
    int month = 0;
    int day = 0;
    civil(days, year, month, day);
    return ascii(printed("%04lld.%02d.%02d %02lld:%02lld:%02lld", year, month, day, second / 3600,
                         second / 60 % 60, second % 60));
}

string text_color(color value) {
    return ascii(printed("%u,%u,%u", value & 0xFFU, value >> 8U & 0xFFU, value >> 16U & 0xFFU));
}

long_ parse_integer(const string &text) {
    return std::strtoll(narrowed(text).c_str(), nullptr, 10);
}

double parse_double(const string &text) {
    const std::string digits = narrowed(text);
    // strtod knows "inf", "nan" and hexadecimal numbers, MQL5 does not.
    const std::size_t first = digits.find_first_not_of(" \t+-");
    const auto letter = [&](std::size_t at) { return at < digits.size() ? digits[at] : '\0'; };
    if (first == std::string::npos || (letter(first) != '.' && !is_digit(letter(first))) ||
        (letter(first) == '0' && (letter(first + 1) == 'x' || letter(first + 1) == 'X'))) {
        return 0.0;
    }
    return std::strtod(digits.c_str(), nullptr);
}

bool parse_bool(const string &text) {
    std::string word = narrowed(text);
    for (char &letter : word) {
        if (letter >= 'A' && letter <= 'Z') {
            letter = static_cast<char>(letter - 'A' + 'a');
        }
    }
    return word == "true" || parse_double(text) != 0.0;
}

string enum_to_string(const char *enumeration, const EnumName *names, std::size_t count,
                      int value) {
    for (std::size_t index = 0; index < count; ++index) {
        if (names[index].value == value) {
            return string(names[index].name);
        }
    }
    constexpr int INVALID_PARAMETER = 4003;
    _LastError = INVALID_PARAMETER;
    return string(enumeration) + string("::") + text(value);
}

// --- StringFormat ---------------------------------------------------------------------------

namespace {

// One specification behind its '%'.
struct Specification {
    std::string flags;
    int width = -1;
    int precision = -1;
    int size = 4;  // bytes of the integer that it takes
    bool sized = false;
    char16_t type = 0;
};

class Formatter {
  public:
    Formatter(const Format &format, const Argument *arguments, std::size_t count)
        : format_(format), units_(format.text.units()), arguments_(arguments), count_(count) {}

    string run() {
        while (position_ < units_.size()) {
            const char16_t unit = units_[position_++];
            if (unit != u'%') {
                result_ += unit;
            } else if (position_ < units_.size() && units_[position_] == u'%') {
                ++position_;
                result_ += u'%';
            } else {
                specification();
            }
        }
        if (next_ != count_) {
            fail("more arguments than format specifications");
        }
        return string(std::move(result_));
    }

  private:
    [[noreturn]] void fail(const std::string &what) const {
        critical((what + " in format \"" + format_.text.utf8() + "\"").c_str(), format_.file,
                 format_.line);
    }

    char16_t peek() const { return position_ < units_.size() ? units_[position_] : u'\0'; }

    bool skip(const char16_t *word) {
        const std::u16string_view text(word);
        if (units_.compare(position_, text.size(), text) != 0) {
            return false;
        }
        position_ += text.size();
        return true;
    }

    const Argument &argument() {
        if (next_ == count_) {
            fail("fewer arguments than format specifications");
        }
        return arguments_[next_++];
    }

    // A number, or the int argument that stands for it behind '*'.
    int number() {
        if (peek() == u'*') {
            ++position_;
            const Argument &value = argument();
            if (value.kind != Argument::SIGNED || value.size > 4) {
                fail("no int for '*'");
            }
            return static_cast<int>(value.integer);
        }
        int value = 0;
        for (; peek() >= u'0' && peek() <= u'9' && value <= WIDTH_MAX; ++position_) {
            value = value * 10 + (peek() - u'0');
        }
        return value;
    }

    void size_prefix(Specification &wanted) {
        wanted.sized = true;
        if (skip(u"I64") || skip(u"ll")) {
            wanted.size = 8;
        } else if (skip(u"I32") || skip(u"l")) {
            wanted.size = 4;
        } else if (skip(u"h")) {
            wanted.size = 2;
        } else {
            wanted.sized = false;
        }
    }

    void specification() {
        Specification wanted;
        while (peek() == u'-' || peek() == u'+' || peek() == u'0' || peek() == u' ' ||
               peek() == u'#') {
            wanted.flags += static_cast<char>(units_[position_++]);
        }
        if (peek() == u'*' || (peek() >= u'0' && peek() <= u'9')) {
            wanted.width = number();
            if (wanted.width < 0) {
                wanted.flags += '-';
                wanted.width = -wanted.width;
            }
        }
        if (peek() == u'.') {
            ++position_;
            wanted.precision = number();
        }
        size_prefix(wanted);
        if (wanted.width > WIDTH_MAX || wanted.precision > WIDTH_MAX) {
            fail("width or precision above 4096");
        }
        wanted.type = peek();
        ++position_;
        switch (wanted.type) {
            case u'd':
            case u'i':
            case u'u':
            case u'o':
            case u'x':
            case u'X':
                integer(wanted, argument());
                break;
            case u'e':
            case u'E':
            case u'f':
            case u'g':
            case u'G':
            case u'a':
            case u'A':
                real(wanted, argument());
                break;
            case u'c':
            case u'C':
                character(wanted, argument());
                break;
            case u's':
                words(wanted, argument());
                break;
            default:
                fail("unknown format specification");
        }
    }

    std::string c_format(const Specification &wanted, const char *type) const {
        std::string format = "%" + wanted.flags;
        if (wanted.width >= 0) {
            format += std::to_string(wanted.width);
        }
        if (wanted.precision >= 0) {
            format += "." + std::to_string(wanted.precision);
        }
        return format + type;
    }

    void append(const std::string &text) { result_.append(text.begin(), text.end()); }

    void integer(const Specification &wanted, const Argument &value) {
        if (value.kind != Argument::SIGNED && value.kind != Argument::UNSIGNED) {
            fail("no integer for an integer specification");
        }
        // What is shorter than int is passed as int.
        const int size = std::max(value.size, 4);
        if (size != std::max(wanted.size, 4)) {
            fail(size == 8 ? "64 bits for a specification without I64 or ll"
                           : "no 64 bits for I64 or ll");
        }
        const bool is_signed = wanted.type == u'd' || wanted.type == u'i';
        // The same bits mean another number: only where they do is it a mistake.
        const bool other_sign =
            value.kind == Argument::UNSIGNED
                ? is_signed && (size == 8 ? value.integer < 0 : value.integer > INT32_MAX)
                : wanted.type == u'u' && value.integer < 0;
        if (other_sign) {
            fail("a number that the specification shows as another one");
        }
        const std::string type = std::string("ll") + static_cast<char>(wanted.type);
        long_ bits = value.integer;
        if (!is_signed && size == 4) {
            bits &= 0xFFFFFFFFLL;
        }
        append(printed(c_format(wanted, type.c_str()).c_str(), bits));
    }

    void real(const Specification &wanted, const Argument &value) {
        if (value.kind != Argument::REAL) {
            fail("no double for a real specification");
        }
        const std::array<char, 2> type = {static_cast<char>(wanted.type), '\0'};
        append(printed(c_format(wanted, type.data()).c_str(), value.real));
    }

    void character(const Specification &wanted, const Argument &value) {
        if ((value.kind != Argument::SIGNED && value.kind != Argument::UNSIGNED) ||
            value.size > 4) {
            fail("no character for %c");
        }
        if (wanted.type == u'C' && (value.integer < 0 || value.integer > 0x7F)) {
            fail("no ASCII for %C: what it prints depends on the machine's code page");
        }
        padded(wanted, std::u16string(1, static_cast<char16_t>(value.integer)));
    }

    void words(const Specification &wanted, const Argument &value) {
        if (value.kind != Argument::TEXT) {
            fail("no string for %s");
        }
        std::u16string shown = value.text->is_null() ? u"(null)" : value.text->units();
        if (wanted.precision >= 0 && shown.size() > static_cast<std::size_t>(wanted.precision)) {
            shown.resize(static_cast<std::size_t>(wanted.precision));
        }
        padded(wanted, shown);
    }

    void padded(const Specification &wanted, const std::u16string &shown) {
        const std::size_t width = wanted.width < 0 ? 0 : static_cast<std::size_t>(wanted.width);
        const std::u16string spaces(width > shown.size() ? width - shown.size() : 0, u' ');
        const bool left = wanted.flags.find('-') != std::string::npos;
        result_ += left ? shown + spaces : spaces + shown;
    }

    const Format &format_;
    const std::u16string &units_;
    const Argument *arguments_;
    std::size_t count_;
    std::size_t position_ = 0;
    std::size_t next_ = 0;
    std::u16string result_;
};

}  // namespace

string format_text(const Format &format, const Argument *arguments, std::size_t count) {
    return Formatter(format, arguments, count).run();
}

}  // namespace mql
