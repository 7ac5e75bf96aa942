// Checks of the language runtime: `selftest_language` runs all, `selftest_language NAME` runs one
// of the critical errors, which must end the process with exit code 70.
#include <unistd.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "journal.hpp"
#include "language.hpp"
#include "program.hpp"

static std::vector<std::string> lines;
static int failures = 0;

namespace mql::runtime {
void journal(const char *kind, const std::string &text) {
    lines.push_back(std::string(kind) + ": " + text);
}
void stop_program(ExitCode code, const std::string &message) {
    std::printf("%s\n", message.c_str());
    std::fflush(stdout);
    _exit(code);
}
}  // namespace mql::runtime

using namespace mql;

static std::string shown(const std::string &value) { return value; }
static std::string shown(const char *value) { return value; }
static std::string shown(const mql::string &value) {
    return value.is_null() ? "NULL" : value.utf8();
}
template <class T>
static std::string shown(const T &value) {
    return std::to_string(value);
}

template <class A, class B>
static void check(const A &expected, const B &actual, MQL_PLACE) {
    if (shown(expected) != shown(actual)) {
        ++failures;
        std::printf("%s:%d: expected %s, actual %s\n", file, line, shown(expected).c_str(),
                    shown(actual).c_str());
    }
}

static std::string joined(const caref<int> &array) {
    std::string text;
    for (const int cell : array) {
        text += std::to_string(cell) + " ";
    }
    return text;
}

static void strings() {
    const mql::string null;
    const mql::string empty("");
    check(true, null == mql::string());
    check(false, null == empty);
    check(true, null != empty);
    check(true, null < empty);
    check("NULL", null + null);
    check("", null + empty);
    check("ab", mql::string("a") + u"b"_s);
    mql::string text;
    text += "x";
    check("x", text);
    check(true, mql::string("abc") < mql::string("abd"));
    check(true, mql::string("b") > mql::string("abc"));
    // 2, 3 and 4 bytes, and back
    const std::string utf8 = "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80";
    check(utf8, mql::string::from_utf8(utf8).utf8());
    check(6, mql::string::from_utf8(utf8).size());
    check("\xEF\xBF\xBD" "a", mql::string::from_utf8("\xFF" "a"));
    check("\xEF\xBF\xBD\xEF\xBF\xBD", mql::string::from_utf8("\xE2\x82"));  // cut off
    check("\xEF\xBF\xBD", mql::string(std::u16string(1, char16_t{0xD800})));   // half a pair
}

static void values_as_text() {
    check("0.1", text(0.1));
    check("1.0", text(1.0));
    check("-200.0", text(-200.0));
    check("1e-13", text(1e-13));
    check("1.797693134862316e+308", text(std::numeric_limits<double>::max()));
    check("3.141592653589793", text(M_PI));
    check("3.14159", text(static_cast<float>(M_PI)));
    check("inf", text(std::numeric_limits<double>::infinity()));
    check("true", text(true));
    check("65", text(static_cast<uchar>(65)));
    check("65", text(static_cast<ushort>('A')));
    check("18446744073709551615", text(static_cast<mql::ulong>(-1)));
    check("1970.01.01 00:00:00", text_datetime(0));
    check("2024.02.29 23:59:59", text_datetime(1709251199));
    check("1969.12.31 23:59:59", text_datetime(-1));
    check("2000.03.01 00:00:00", text_datetime(951868800));
    check("255,128,0", text_color(0x0080FF));
    check(12, parse_integer("12abc"));
    check(-7, parse_integer(" -7"));
    check(0, parse_integer("abc"));
    check(0, parse_integer(mql::string()));
    check(1.5, parse_double("1.5"));
    check(0.0, parse_double("nan"));
    check(0.0, parse_double("0x10"));
    check(true, parse_bool("True"));
    check(true, parse_bool("1"));
    check(false, parse_bool("no"));
}

enum ENUM_SIDE : int { SIDE_BUY, SIDE_SELL = 5 };

static void enumerations() {
    static const EnumName names[] = {{SIDE_BUY, "SIDE_BUY"}, {SIDE_SELL, "SIDE_SELL"}};
    check("SIDE_SELL", enum_to_string("ENUM_SIDE", names, SIDE_SELL));
    ResetLastError();
    check("ENUM_SIDE::-1", enum_to_string("ENUM_SIDE", names, -1));
    check(4003, GetLastError());
    SetUserError(3);
    check(65539, _LastError);
    check("5", text(SIDE_SELL));
}

static void formats() {
    const long_ big = -5000000000LL;
    check("-5000000000 18446744073709551615",
          StringFormat("%I64d %I64u", big, static_cast<mql::ulong>(-1)));
    check("-5000000000 ff FF", StringFormat("%lld %x %X", big, 255, 255U));
    check("DEADBEEF", StringFormat("%08X", 0xDEADBEEFU));
    check("4294967295", StringFormat("%u", 4294967295U));
    check("FFFFFFFF", StringFormat("%X", -1));
    check("FFFFFFFFFFFFFFFF", StringFormat("%I64X", -1LL));
    check("1.50|  2.3|1e+10|0.000010", StringFormat("%.2f|%5.1f|%g|%f", 1.5, 2.34, 1e10, 1e-5));
    check("1.235", StringFormat("%.*f", 3, 1.23456));
    const mql::string a("a");
    check("A|a  |  a|ab", StringFormat("%c|%-3s|%3s|%.2s", 'A', a, a, mql::string("abc")));
    check("100%", StringFormat("%d%%", 100));
    check("+7 007 0x1f 017", StringFormat("%+d %03d %#x %#o", 7, 7, 31, 15));
    check("(null)", StringFormat("%s", mql::string()));
    const uchar byte = 200;
    const short few = -3;
    check("1 200 -3", StringFormat("%d %d %hd", true, byte, few));
    check("plain", StringFormat("plain"));
    Print("a", 1, mql::string("b"), 2.0, false);
    PrintFormat("%d of %d", 1, 2);
    Alert("!");
    Comment("c");
    check("print: a1b2.0false", lines[0]);
    check("print: 1 of 2", lines[1]);
    check("alert: !", lines[2]);
    check("comment: c", lines[3]);
}

static void arrays() {
    darr<int> a;
    check(5, ArrayResize(a, 5));
    check(5, ArraySize(a));
    check(static_cast<int>(0xCDCDCDCD), a.data()[4]);
    check(5, ArrayInitialize(a, 1));
    ArrayFill(a, 1, 2, 7);
    check("1 7 7 1 1 ", joined(a));
    ResetLastError();
    ArrayFill(a, 4, 2, 0);
    check(4003, GetLastError());
    check(-1, ArrayResize(a, -1));

    // what comes back is poisoned, not what was there
    check(2, ArrayResize(a, 2, 10));
    check(3, ArrayResize(a, 3));
    check(static_cast<int>(0xCDCDCDCD), a.data()[2]);
    check(5, a.capacity());
    check(20, ArrayResize(a, 20, 10));
    check(30, a.capacity());

    int fixed[4] = {1, 2, 3, 4};
    check(3, ArrayResize(fixed, 3));
    ResetLastError();
    check(-1, ArrayResize(fixed, 5));
    check(4007, GetLastError());
    check(false, ArrayIsDynamic(fixed));
    check(true, ArrayIsDynamic(a));
    check(4, ArrayRange(fixed, 0));

    darr<int> b;
    check(4, ArrayCopy(b, fixed));
    check("1 2 3 4 ", joined(b));
    check(2, ArrayCopy(b, fixed, 3, 2));
    check("1 2 3 3 4 ", joined(b));
    check(3, ArrayCopy(b, b, 1, 0, 3));  // overlapping: as if by way of another array
    check("1 1 2 3 4 ", joined(b));
    check(1, ArrayCopy(b, fixed, 0, 3, 100));
    check(0, ArrayCopy(b, fixed, 0, 4));
    ResetLastError();
    check(0, ArrayCopy(fixed, b));
    check(5052, GetLastError());
    darr<double> real;
    check(4, ArrayCopy(real, fixed));
    check(3.0, at(real, 2));
    darr<uchar> bytes;
    check(2, ArrayCopy(bytes, darr<int>{256, 257}));
    check(1, at(bytes, 1));

    check(true, ArrayRemove(b, 1, 2));
    check("4 3 4 ", joined(b));
    check(false, ArrayRemove(b, 3));
    check(false, ArrayRemove(b, 1, 3));
    check(true, ArrayRemove(b, 1));
    check("4 ", joined(b));
    check(true, ArrayRemove(fixed, 0, 1));
    check("2 3 4 4 ", joined(fixed));

    check(true, ArrayInsert(b, fixed, 0, 1, 2));
    check("3 4 4 ", joined(b));
    check(true, ArrayInsert(b, fixed, 3));
    check("3 4 4 2 3 4 4 ", joined(b));
    check(false, ArrayInsert(b, b, 0));
    check(false, ArrayInsert(fixed, b, 4));
    check(true, ArrayInsert(fixed, b, 2, 0, 3));
    check("2 3 3 4 ", joined(fixed));

    check(true, ArrayReverse(b, 1, 3));
    check("3 2 4 4 3 4 4 ", joined(b));
    darr<int> other;
    check(true, ArraySwap(b, other));
    check(0, ArraySize(b));
    check(7, ArraySize(other));
    check(false, ArraySwap(other, fixed));

    check(0, ArrayCompare(other, other));
    check(1, ArrayCompare(other, fixed));
    check(-1, ArrayCompare(fixed, other));
    check(0, ArrayCompare(other, other, 0, 5, 1) + 1);
    check(-2, ArrayCompare(other, fixed, 0, 0, 5));
    check(-1, ArrayCompare(darr<int>{1}, darr<int>{1, 2}));

    ArrayFree(other);
    check(0, other.capacity());
    const darr<int> copy = a;
    at(a, 0) = 9;
    check(7, at(copy, 1));
    check(1, at(copy, 0));

    darr<mql::string> words;
    ArrayResize(words, 2);
    check("NULL", at(words, 0));
    at(words, 1) = "second";
    ArrayResize(words, 100);
    check("second", at(words, 1));
    check(true, ArrayRemove(words, 0, 1));
    check("second", at(words, 0));
}

static int sum(const caref<int> &array) {
    int total = 0;
    for (int index = 0; index < ArraySize(array); ++index) {
        total += at(array, index);
    }
    return total;
}

static void append(const aref<int> &array, int value) {
    const int size = ArraySize(array);
    check(size + 1, ArrayResize(array, size + 1));
    at(array, size) = value;
}

static void parameters() {
    darr<int> a;
    append(a, 1);
    append(a, 2);
    check(3, sum(a));
    const aref<int> parameter(a);
    append(parameter, 3);
    check(6, sum(parameter));
    int fixed[2] = {4, 5};
    check(9, sum(fixed));
    ZeroMemory(fixed);
    check(0, sum(fixed));
    ZeroMemory(a);
    check(0, sum(a));
}

#pragma pack(push, 1)
struct SPacked {
    uchar kind;
    double price;
    int levels[3];
};
union UDouble {
    double d;
    mql::ulong u;
    uchar b[8];
};
#pragma pack(pop)
struct SText {
    int number;
    mql::string words;
    darr<int> cells;
};

static void twice(int &value) { value *= 2; }

static void memory() {
    check(21, sizeof(SPacked));
    check(8, sizeof(UDouble));
    SPacked packed = {1, 2.5, {1, 2, 3}};
    twice(packed.levels[1]);
    twice(at(packed.levels, 2));
    check("1 4 6 ", joined(packed.levels));
    darr<uchar> bytes;
    check(true, StructToCharArray(packed, bytes, 1));
    check(22, ArraySize(bytes));
    SPacked back{};
    check(true, CharArrayToStruct(back, bytes, 1));
    check(2.5, back.price);
    check(false, CharArrayToStruct(back, bytes, 2));
    UDouble both{};
    both.d = 1.0;
    check(0x3F, at(both.b, 7));
    check(0x3FF0000000000000ULL, both.u);
    SText text{};
    check(0, text.number);
    text.words = "x";
    ArrayResize(text.cells, 2);
    ZeroMemory(text);
    check("NULL", text.words);
    check(0, ArraySize(text.cells));
}

static int ended = 0;

class CBase : public mql_object {
  public:
    int m_number;
    CBase() {}
    virtual ~CBase() { ++ended; }
    virtual int Kind() const { return 1; }
};
class CDerived : public CBase {
  public:
    mql::string m_name;
    virtual int Kind() const override { return 2; }
};
class COther : public CBase {};

static storage<CDerived> global_storage;
static CDerived &global_object = global_storage.value;

static void objects() {
    CBase *const object = new CDerived;
    check(static_cast<int>(0xCDCDCDCD), object->m_number);
    check(2, deref(object).Kind());
    check(POINTER_DYNAMIC, CheckPointer(object));
    check(true, cast_pointer<CDerived>(object) != nullptr);
    check(true, try_pointer<COther>(object) == nullptr);
    check(1, live_objects());
    destroy(object);
    check(1, ended);
    check(POINTER_INVALID, CheckPointer(object));
    check(false, is_valid(object));
    check(POINTER_INVALID, CheckPointer(nullptr));
    destroy(static_cast<CBase *>(nullptr));

    CDerived local;
    check(POINTER_AUTOMATIC, CheckPointer(&local));
    check(POINTER_AUTOMATIC, CheckPointer(GetPointer(local)));
    lines.clear();
    destroy(&local);
    check(1, lines.size());
    check(POINTER_AUTOMATIC, CheckPointer(&local));

    global_storage.poison();
    new (static_cast<void *>(&global_object)) CDerived;
    check(static_cast<int>(0xCDCDCDCD), global_object.m_number);
    check(POINTER_AUTOMATIC, CheckPointer(&global_object));
    global_storage.end();
    check(POINTER_INVALID, CheckPointer(&global_object));

    darr<CDerived> array;
    ArrayResize(array, 2);
    check(POINTER_AUTOMATIC, CheckPointer(&at(array, 1)));
    at(array, 1).m_name = "one";
    ArrayResize(array, 50);
    check("one", at(array, 1).m_name);

    lines.clear();
    report_leaks();
    check(0, lines.size());
    CBase *const first = new COther;
    CBase *const second = new COther;
    CBase *const third = new CDerived;
    report_leaks();
    check("error: 3 undeleted objects left", lines[0]);
    check("error: 1 object of type CDerived left", lines[1]);
    check("error: 2 objects of type COther left", lines[2]);
    const std::size_t bytes = 2 * sizeof(COther) + sizeof(CDerived);
    check("error: " + std::to_string(bytes) + " bytes of leaked memory", lines[3]);
    destroy(first);
    destroy(second);
    destroy(third);
}

static void numbers() {
    check(3, mql::div(7, 2));
    check(-3, mql::div(-7, 2));
    check(-1, mql::mod(-7, 2));
    check(0, mql::mod(std::numeric_limits<int>::min(), -1));
    uchar byte = 200;
    check(28, assign_div(byte, 7));
    check(3, assign_mod(byte, 5LL));
    check(5, MathMax(5, 3));
    check(5.0, MathMax(5, 3.5));
    check(3, MathMin(5, 3));
    check(7, MathAbs(-7));
    check(7.5, MathAbs(-7.5));
    // one bit more is no other number: integers wrap
    volatile int highest = std::numeric_limits<int>::max();
    check(std::numeric_limits<int>::min(), highest + 1);
}

static void critical_error(const std::string &name) {
    darr<int> empty;
    int fixed[3] = {1, 2, 3};
    CBase *nothing = nullptr;
    volatile int zero = 0;
    if (name == "dynamic") {
#line 101 "Bridge/App/Some.mqh"
        at(empty, 0) = 1;
    } else if (name == "fixed") {
#line 102 "Bridge/App/Some.mqh"
        at(fixed, 3) = 1;
    } else if (name == "negative") {
#line 103 "Bridge/App/Some.mqh"
        at(fixed, -1) = 1;
    } else if (name == "divide") {
#line 104 "Bridge/App/Some.mqh"
        std::printf("%d", mql::div<int>(1, zero));
    } else if (name == "modulo") {
#line 105 "Bridge/App/Some.mqh"
        std::printf("%d", mql::mod<int>(1, zero));
    } else if (name == "overflow") {
#line 106 "Bridge/App/Some.mqh"
        std::printf("%d", mql::div(std::numeric_limits<int>::min(), zero - 1));
    } else if (name == "null") {
#line 107 "Bridge/App/Some.mqh"
        deref(nothing).Kind();
    } else if (name == "deleted") {
        CBase *const object = new CBase;
        destroy(object);
#line 108 "Bridge/App/Some.mqh"
        deref(object).Kind();
    } else if (name == "poisoned") {
        darr<CBase *> pointers;
        ArrayResize(pointers, 1);
#line 109 "Bridge/App/Some.mqh"
        deref(at(pointers, 0)).Kind();
    } else if (name == "twice") {
        CBase *const object = new CBase;
        destroy(object);
#line 110 "Bridge/App/Some.mqh"
        destroy(object);
    } else if (name == "cast") {
        CBase object;
#line 111 "Bridge/App/Some.mqh"
        cast_pointer<CDerived>(&object);
    } else if (name == "format_type") {
#line 112 "Bridge/App/Some.mqh"
        StringFormat("%d", 1.0);
    } else if (name == "format_size") {
#line 113 "Bridge/App/Some.mqh"
        StringFormat("%d", 1LL);
    } else if (name == "format_few") {
#line 114 "Bridge/App/Some.mqh"
        PrintFormat("%d %d", 1);
    } else if (name == "format_many") {
#line 115 "Bridge/App/Some.mqh"
        PrintFormat("%d", 1, 2);
    } else if (name == "format_sign") {
#line 116 "Bridge/App/Some.mqh"
        StringFormat("%u", -1);
    } else if (name == "format_unknown") {
#line 117 "Bridge/App/Some.mqh"
        StringFormat("%n", 1);
    } else if (name == "bool") {
        darr<bool> flags;
        ArrayResize(flags, 1);
        std::printf("%d\n", at(flags, 0) ? 1 : 2);  // the sanitizer's to find
    }
}

int main(int count, char **arguments) {
    if (count > 1) {
        critical_error(arguments[1]);
        std::printf("went on\n");
        return 1;
    }
    strings();
    values_as_text();
    enumerations();
    formats();
    arrays();
    parameters();
    memory();
    objects();
    numbers();
    std::printf("%d failures\n", failures);
    return failures == 0 ? 0 : 1;
}
