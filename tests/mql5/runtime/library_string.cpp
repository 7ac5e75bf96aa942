// String*: on UTF-16 units, in place. A string of MQL5 ends at its first 0.
#include <limits>

#include "library.hpp"
#include "library_text.hpp"

namespace mql {
namespace {

using runtime::fail;

// Compares as a dictionary does: the letters first, then lower case before upper case.
int compare_letters(const string &left, const string &right, bool case_sensitive) {
    const std::size_t shared = std::min(left.size(), right.size());
    for (std::size_t i = 0; i < shared; ++i) {
        const char16_t a = runtime::lower(left[i]);
        const char16_t b = runtime::lower(right[i]);
        if (a != b) {
            return a < b ? -1 : 1;
        }
    }
    if (left.size() != right.size()) {
        return left.size() < right.size() ? -1 : 1;
    }
    for (std::size_t i = 0; case_sensitive && i < shared; ++i) {
        if (left[i] != right[i]) {
            return left[i] == runtime::lower(left[i]) ? -1 : 1;
        }
    }
    return 0;
}

int size_of(const string &text) { return static_cast<int>(text.size()); }

}  // namespace

bool StringAdd(string &string_var, const string &add_substring) {
    string_var += add_substring;
    return true;
}

int StringBufferLen(const string &string_var) {
    return static_cast<int>(string_var.units().capacity());
}

int StringCompare(const string &string1, const string &string2, bool case_sensitive) {
    return compare_letters(string1, string2, case_sensitive);
}

bool StringFill(string &string_var, ushort character) {
    std::u16string &units = string_var.change();
    units.assign(character == 0 ? 0 : units.size(), static_cast<char16_t>(character));
    return true;
}

int StringFind(const string &string_value, const string &match_substring, int start_pos) {
    if (match_substring.empty()) {
        critical("StringFind of an empty string: what MetaTrader answers is not documented");
    }
    if (start_pos < 0) {
        fail(ERR_STRINGPOS_OUTOFRANGE);
        return -1;
    }
    const std::size_t found =
        string_value.units().find(match_substring.units(), static_cast<std::size_t>(start_pos));
    return found == std::u16string::npos ? -1 : static_cast<int>(found);
}

ushort StringGetCharacter(const string &string_value, int pos) {
    if (pos < 0 || pos >= size_of(string_value)) {
        fail(ERR_STRINGPOS_OUTOFRANGE);
        return 0;
    }
    return string_value[static_cast<std::size_t>(pos)];
}

bool StringInit(string &string_var, int new_len, ushort character) {
    if (new_len < 0) {
        return fail(ERR_INVALID_PARAMETER);
    }
    if (new_len == 0) {
        string_var = string();
        return true;
    }
    string_var.change().assign(character == 0 ? 0 : static_cast<std::size_t>(new_len),
                               static_cast<char16_t>(character));
    return true;
}

int StringLen(const string &string_value) { return size_of(string_value); }

bool StringSetLength(string &string_var, uint new_length) {
    if (new_length > string_var.size()) {
        return fail(ERR_STRING_SMALL_LEN);
    }
    if (!string_var.is_null()) {
        string_var.change().resize(new_length);
    }
    return true;
}

int StringReplace(string &str, const string &find, const string &replacement) {
    if (str.empty() || find.empty()) {
        fail(ERR_WRONG_STRING_PARAMETER);
        return -1;
    }
    std::u16string result;
    int count = 0;
    std::size_t from = 0;
    for (;;) {
        const std::size_t found = str.units().find(find.units(), from);
        if (found == std::u16string::npos) {
            break;
        }
        result.append(str.units(), from, found - from);
        result += replacement.units();
        from = found + find.size();
        ++count;
    }
    if (count > 0) {
        result.append(str.units(), from);
        str.change() = std::move(result);
    }
    return count;
}

bool StringReserve(string &string_var, uint new_capacity) {
    if (!string_var.is_null()) {
        string_var.change().reserve(new_capacity);
    }
    return true;
}

bool StringSetCharacter(string &string_var, int pos, ushort character) {
    const int size = size_of(string_var);
    if (pos < 0 || pos > size) {
        return fail(ERR_STRINGPOS_OUTOFRANGE);
    }
    if (pos == size && character == 0) {
        return fail(ERR_STRING_ZEROADDED);
    }
    std::u16string &units = string_var.change();
    if (character == 0) {
        units.resize(static_cast<std::size_t>(pos));
    } else if (pos == size) {
        units.push_back(static_cast<char16_t>(character));
    } else {
        units[static_cast<std::size_t>(pos)] = static_cast<char16_t>(character);
    }
    return true;
}

int StringSplit(const string &string_value, const ushort separator, aref<string> result) {
    std::vector<string> parts;
    const std::u16string &units = string_value.units();
    if (!units.empty()) {
        std::size_t from = 0;
        for (;;) {
            const std::size_t end =
                std::min(units.find(static_cast<char16_t>(separator), from), units.size());
            parts.emplace_back(units.substr(from, end - from));
            if (end == units.size()) {
                break;
            }
            from = end + 1;
        }
    }
    if (!result.resize(static_cast<long long>(parts.size()))) {
        fail(ERR_ARRAY_RESIZE_ERROR);
        return -1;
    }
    for (std::size_t i = 0; i < parts.size(); ++i) {
        result.data()[i] = parts[i];
    }
    return static_cast<int>(parts.size());
}

string StringSubstr(const string &string_value, int start_pos, int length) {
    if (start_pos < 0 || start_pos >= size_of(string_value)) {
        fail(ERR_STRINGPOS_OUTOFRANGE);
        return string(std::u16string());
    }
    const std::size_t size = length < 0 ? std::u16string::npos : static_cast<std::size_t>(length);
    return string(string_value.units().substr(static_cast<std::size_t>(start_pos), size));
}

bool StringToLower(string &string_var) {
    if (!string_var.empty()) {
        for (char16_t &unit : string_var.change()) {
            unit = runtime::lower(unit);
        }
    }
    return true;
}

bool StringToUpper(string &string_var) {
    if (!string_var.empty()) {
        for (char16_t &unit : string_var.change()) {
            unit = runtime::upper(unit);
        }
    }
    return true;
}

int StringTrimLeft(string &string_var) {
    std::size_t count = 0;
    while (count < string_var.size() && runtime::is_space(string_var[count])) {
        ++count;
    }
    if (count > 0) {
        string_var.change().erase(0, count);
    }
    return static_cast<int>(count);
}

int StringTrimRight(string &string_var) {
    std::size_t count = 0;
    while (count < string_var.size() &&
           runtime::is_space(string_var[string_var.size() - 1 - count])) {
        ++count;
    }
    if (count > 0) {
        string_var.change().resize(string_var.size() - count);
    }
    return static_cast<int>(count);
}

}  // namespace mql
