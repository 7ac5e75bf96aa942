// Critical errors, strings, objects.
#include "language.hpp"

#include <cxxabi.h>

#include <map>
#include <string>
#include <typeinfo>
#include <unordered_map>
#include <unordered_set>

#include "journal.hpp"
#include "program.hpp"

// The sanitizers ask for these. Undeleted objects are MetaTrader's to report, and a finding has
// an exit code of its own. A pointer that is passed through the terminal hides memory from LSan.
extern "C" const char *__asan_default_options() { return "detect_leaks=0:exitcode=77:malloc_context_size=4"; }
extern "C" const char *__ubsan_default_options() { return "print_stacktrace=1:exitcode=77"; }

namespace mql {

int _LastError = 0;
void (*before_end)() = nullptr;

int GetLastError() { return _LastError; }
void ResetLastError() { _LastError = 0; }
void SetUserError(ushort user_error) {
    constexpr int USER_ERROR_FIRST = 65536;
    _LastError = USER_ERROR_FIRST + user_error;
}

void critical(const char *what, const char *file, int line) {
    runtime::stop_program(runtime::EXIT_CRITICAL, std::string("critical error: ") + what + " at " +
                                                      file + ":" + std::to_string(line));
}

void out_of_range(long long index, long long size, const char *file, int line) {
    const std::string what = "array out of range (index " + std::to_string(index) + " of " +
                             std::to_string(size) + ")";
    critical(what.c_str(), file, line);
}

// --- strings --------------------------------------------------------------------------------

namespace {

constexpr char16_t REPLACEMENT = 0xFFFD;

bool is_continuation(unsigned char byte) { return (byte & 0xC0) == 0x80; }

// The code point at `position`, which moves behind it; REPLACEMENT for one byte that is no UTF-8.
char32_t next_code_point(std::string_view utf8, std::size_t &position) {
    const auto byte = [&](std::size_t offset) {
        return static_cast<unsigned char>(utf8[position + offset]);
    };
    const unsigned char first = byte(0);
    std::size_t size = 1;
    char32_t point = first;
    char32_t smallest = 0;
    if (first >= 0xC2 && first <= 0xDF) {
        size = 2;
        point = first & 0x1FU;
        smallest = 0x80;
    } else if ((first & 0xF0) == 0xE0) {
        size = 3;
        point = first & 0x0FU;
        smallest = 0x800;
    } else if (first >= 0xF0 && first <= 0xF4) {
        size = 4;
        point = first & 0x07U;
        smallest = 0x10000;
    } else if (first >= 0x80) {
        ++position;
        return REPLACEMENT;
    }
    if (position + size > utf8.size()) {
        ++position;
        return REPLACEMENT;
    }
    for (std::size_t offset = 1; offset < size; ++offset) {
        if (!is_continuation(byte(offset))) {
            ++position;
            return REPLACEMENT;
        }
        point = point << 6U | (byte(offset) & 0x3FU);
    }
    if (point < smallest || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
        ++position;
        return REPLACEMENT;
    }
    position += size;
    return point;
}

void append_utf8(std::string &utf8, char32_t point) {
    if (point < 0x80) {
        utf8 += static_cast<char>(point);
    } else if (point < 0x800) {
        utf8 += static_cast<char>(0xC0U | point >> 6U);
        utf8 += static_cast<char>(0x80U | (point & 0x3FU));
    } else if (point < 0x10000) {
        utf8 += static_cast<char>(0xE0U | point >> 12U);
        utf8 += static_cast<char>(0x80U | (point >> 6U & 0x3FU));
        utf8 += static_cast<char>(0x80U | (point & 0x3FU));
    } else {
        utf8 += static_cast<char>(0xF0U | point >> 18U);
        utf8 += static_cast<char>(0x80U | (point >> 12U & 0x3FU));
        utf8 += static_cast<char>(0x80U | (point >> 6U & 0x3FU));
        utf8 += static_cast<char>(0x80U | (point & 0x3FU));
    }
}

}  // namespace

string::string(const char *utf8) {
    if (utf8 != nullptr) {
        *this = from_utf8(utf8);
    }
}

string string::from_utf8(std::string_view utf8) {
    std::u16string units;
    units.reserve(utf8.size());
    for (std::size_t position = 0; position < utf8.size();) {
        const char32_t point = next_code_point(utf8, position);
        if (point < 0x10000) {
            units += static_cast<char16_t>(point);
        } else {
            units += static_cast<char16_t>(0xD800U + ((point - 0x10000) >> 10U));
            units += static_cast<char16_t>(0xDC00U + ((point - 0x10000) & 0x3FFU));
        }
    }
    return string(std::move(units));
}

std::string string::utf8() const {
    std::string bytes;
    bytes.reserve(units_.size());
    for (std::size_t index = 0; index < units_.size(); ++index) {
        const char32_t unit = units_[index];
        if (unit < 0xD800 || unit > 0xDFFF) {
            append_utf8(bytes, unit);
        } else if (unit <= 0xDBFF && index + 1 < units_.size() && units_[index + 1] >= 0xDC00 &&
                   units_[index + 1] <= 0xDFFF) {
            const char32_t low = units_[++index];
            append_utf8(bytes, 0x10000 + ((unit - 0xD800) << 10U) + (low - 0xDC00));
        } else {
            append_utf8(bytes, REPLACEMENT);
        }
    }
    return bytes;
}

void say(const char *kind, const string &line) { runtime::journal(kind, line.utf8()); }

// --- objects --------------------------------------------------------------------------------

namespace {

// Never destroyed: objects of the program may end after this file's statics would.
struct Record {
    std::unordered_set<const void *> alive;
    std::unordered_map<const void *, std::size_t> allocated;  // by `new`, with the size
};

Record &record() {
    static Record *const the_record = new Record;
    return *the_record;
}

// The name as it stands in the source.
std::string class_name(const mql_object &object) {
    int status = 0;
    char *const demangled =
        abi::__cxa_demangle(typeid(object).name(), nullptr, nullptr, &status);
    std::string name = demangled != nullptr ? demangled : typeid(object).name();
    std::free(demangled);
    const std::size_t colons = name.rfind("::");
    return colons == std::string::npos ? name : name.substr(colons + 2);
}

std::string counted(std::size_t count, const char *one, const char *many) {
    return std::to_string(count) + " " + (count == 1 ? one : many);
}

}  // namespace

void mql_object::enter() noexcept { record().alive.insert(this); }

void mql_object::leave() noexcept { record().alive.erase(this); }

void *mql_object::operator new(std::size_t size) {
    void *const memory = ::operator new(size);
    poison(memory, size);
    record().allocated[memory] = size;
    return memory;
}

void mql_object::operator delete(void *memory, std::size_t) noexcept {
    record().allocated.erase(memory);
    ::operator delete(memory);
}

ENUM_POINTER_TYPE pointer_type(const mql_object *object) {
    const void *const place = object;
    if (object == nullptr || record().alive.count(place) == 0) {
        return POINTER_INVALID;
    }
    return record().allocated.count(place) != 0 ? POINTER_DYNAMIC : POINTER_AUTOMATIC;
}

void destroy_object(mql_object *object, const char *file, int line) {
    if (object == nullptr) {
        return;
    }
    switch (pointer_type(object)) {
        case POINTER_DYNAMIC:
            delete object;
            break;
        case POINTER_AUTOMATIC:
            runtime::journal("error", "delete of an object that new did not make at " +
                                          std::string(file) + ":" + std::to_string(line));
            break;
        case POINTER_INVALID:
            critical("delete of an invalid pointer", file, line);
    }
}

std::size_t live_objects() { return record().allocated.size(); }

void report_leaks() {
    if (record().allocated.empty()) {
        return;
    }
    std::map<std::string, std::size_t> classes;
    std::size_t bytes = 0;
    for (const auto &[place, size] : record().allocated) {
        ++classes[class_name(*static_cast<const mql_object *>(place))];
        bytes += size;
    }
    runtime::journal("error", counted(record().allocated.size(), "undeleted object left",
                                      "undeleted objects left"));
    for (const auto &[name, count] : classes) {
        runtime::journal("error", counted(count, "object", "objects") + " of type " + name +
                                      " left");
    }
    runtime::journal("error", std::to_string(bytes) + " bytes of leaked memory");
}

}  // namespace mql
