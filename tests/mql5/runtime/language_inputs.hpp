// Texts as values of inputs, as a user types them into MetaTrader's dialog.
#pragma once

#include <cstddef>
#include <cstdlib>
#include <limits>
#include <string>
#include <type_traits>

#include "language_string.hpp"
#include "language_text.hpp"

namespace mql {

// False, and the variable is as it was, when the text is no such value. A datetime is given as
// seconds since 1970, a color as a number.
template <class T>
bool assign_input(T &variable, const std::string &text) {
    if constexpr (std::is_same_v<T, string>) {
        variable = string::from_utf8(text);
        return true;
    } else if constexpr (std::is_same_v<T, bool>) {
        if (text != "true" && text != "false" && text != "1" && text != "0") {
            return false;
        }
        variable = text == "true" || text == "1";
        return true;
    } else {
        if (text.empty() || text.front() == ' ') {
            return false;
        }
        char *end = nullptr;
        if constexpr (std::is_floating_point_v<T>) {
            const double value = std::strtod(text.c_str(), &end);
            variable = *end == '\0' ? static_cast<T>(value) : variable;
            return *end == '\0';
        } else if constexpr (std::is_same_v<T, ulong>) {
            const ulong value = std::strtoull(text.c_str(), &end, 10);
            variable = *end == '\0' && text.front() != '-' ? value : variable;
            return *end == '\0' && text.front() != '-';
        } else {
            const long_ value = std::strtoll(text.c_str(), &end, 10);
            if (*end != '\0' || value < static_cast<long_>(std::numeric_limits<T>::min()) ||
                value > static_cast<long_>(std::numeric_limits<T>::max())) {
                return false;
            }
            variable = static_cast<T>(value);
            return true;
        }
    }
}

// The name of a member, or its number.
template <class E, std::size_t N>
bool assign_enum(E &variable, const std::string &text, const EnumName (&names)[N]) {
    for (const EnumName &entry : names) {
        if (text == entry.name || text == std::to_string(entry.value)) {
            variable = static_cast<E>(entry.value);
            return true;
        }
    }
    return false;
}

}  // namespace mql
