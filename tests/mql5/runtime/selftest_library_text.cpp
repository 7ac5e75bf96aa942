// Self tests: strings, conversions, dates, numbers, hashes.
#include <cmath>
#include <cstring>
#include <limits>
#include <random>

#include "library_text.hpp"
#include "options.hpp"
#include "selftest_library.hpp"

using namespace mql;
using selftest::bytes_of_hex;
using selftest::bytes_of_text;
using selftest::equal;
using selftest::error;
using selftest::hex;
using selftest::stops;

// --- strings -------------------------------------------------------------------------------------

TEST(strings_are_searched_from_a_position) {
    equal(2, StringFind(u"abcabc"_s, u"c"_s));
    equal(5, StringFind(u"abcabc"_s, u"c"_s, 3));
    equal(-1, StringFind(u"abcabc"_s, u"d"_s));
    equal(-1, StringFind(u"abc"_s, u"c"_s, 100));
    equal(-1, StringFind(string(), u"c"_s));
    error(0);
    equal(-1, StringFind(u"abc"_s, u"a"_s, -1));
    error(ERR_STRINGPOS_OUTOFRANGE);
    stops([] { StringFind(u"abc"_s, string()); }, "not documented");
}

TEST(a_substring_ends_with_its_string) {
    equal("CAD", StringSubstr(u"ABRACADABRA"_s, 4, 3));
    equal("CADABRA", StringSubstr(u"ABRACADABRA"_s, 4, 100));
    equal("CADABRA", StringSubstr(u"ABRACADABRA"_s, 4));
    equal("", StringSubstr(u"ABRA"_s, 1, 0));
    error(0);
    equal("", StringSubstr(u"ABRACADABRA"_s, 100));
    error(ERR_STRINGPOS_OUTOFRANGE);
    equal("", StringSubstr(u"ABRA"_s, -1));
    error(ERR_STRINGPOS_OUTOFRANGE);
}

TEST(replacing_counts_and_refuses_nothing) {
    string text = u"ABRACADABRA"_s;
    equal(2, StringReplace(text, u"ABRA"_s, u"-ABRA-"_s));
    equal("-ABRA-CAD-ABRA-", text);
    equal(1, StringReplace(text, u"CAD"_s, string()));
    equal("-ABRA--ABRA-", text);
    equal(0, StringReplace(text, u"xyz"_s, u"q"_s));
    error(0);
    equal(-1, StringReplace(text, u""_s, u"XYZ"_s));
    error(ERR_WRONG_STRING_PARAMETER);
    string null;
    equal(-1, StringReplace(null, u"a"_s, u"b"_s));
    error(ERR_WRONG_STRING_PARAMETER);
    // What was put in is not searched again.
    string twins = u"aaaa"_s;
    equal(2, StringReplace(twins, u"aa"_s, u"aaa"_s));
    equal("aaaaaa", twins);
}

TEST(splitting_keeps_empty_parts) {
    darr<string> parts;
    equal(4, StringSplit(u",a,,b"_s, u',', parts));
    equal("", at(parts, 0));
    equal("a", at(parts, 1));
    equal("", at(parts, 2));
    equal("b", at(parts, 3));
    equal(2, StringSplit(u"a,"_s, u',', parts));
    equal(1, StringSplit(u"abc"_s, u',', parts));
    equal("abc", at(parts, 0));
    equal(0, StringSplit(u""_s, u',', parts));
    equal(0, StringSplit(string(), u',', parts));
    error(0);
    string two[2];
    equal(-1, StringSplit(u"a,b,c"_s, u',', two));
    error(ERR_ARRAY_RESIZE_ERROR);
}

TEST(characters_are_read_and_written_in_place) {
    string text = u"0123456789"_s;
    equal(53, StringGetCharacter(text, 5));
    equal(0, StringGetCharacter(text, 10));
    error(ERR_STRINGPOS_OUTOFRANGE);
    equal(0, StringGetCharacter(text, -1));
    error(ERR_STRINGPOS_OUTOFRANGE);
    equal(true, StringSetCharacter(text, 7, 0));
    equal("0123456", text);
    equal(true, StringSetCharacter(text, 7, '*'));
    equal("0123456*", text);
    equal(true, StringSetCharacter(text, 0, 'x'));
    equal("x123456*", text);
    equal(false, StringSetCharacter(text, 8, 0));
    error(ERR_STRING_ZEROADDED);
    equal(false, StringSetCharacter(text, 9, 'x'));
    error(ERR_STRINGPOS_OUTOFRANGE);
}

TEST(blanks_are_cut_off_at_both_ends) {
    string text = u"  \tAbCdE F1 \r\n"_s;
    equal(3, StringTrimLeft(text));
    equal(3, StringTrimRight(text));
    equal("AbCdE F1", text);
    equal(0, StringTrimRight(text));
    string blanks = u" \t"_s;
    equal(2, StringTrimLeft(blanks));
    equal(0, StringLen(blanks));
    string null;
    equal(0, StringTrimRight(null));
    equal(true, null.is_null());
}

TEST(letters_change_case_one_by_one) {
    string text = u"straßenführung Ж"_s;
    equal(true, StringToUpper(text));
    equal("STRAßENFÜHRUNG Ж", text);
    equal(true, StringToLower(text));
    equal("straßenführung ж", text);
}

TEST(comparing_puts_capitals_behind) {
    equal(1, StringCompare(u"A"_s, u"a"_s));
    equal(0, StringCompare(u"A"_s, u"a"_s, false));
    equal(-1, StringCompare(u"x"_s, u"y"_s));
    equal(1, StringCompare(u"abcd"_s, u"abc"_s));
    equal(-1, StringCompare(u"abc"_s, u"ABD"_s));
    equal(0, StringCompare(u""_s, string()));
}

TEST(strings_are_filled_and_initialised) {
    string text = u"message"_s;
    equal(true, StringSetLength(text, 4));
    equal("mess", text);
    equal(false, StringSetLength(text, 8));
    error(ERR_STRING_SMALL_LEN);
    equal(true, StringInit(text, 3, '$'));
    equal("$$$", text);
    equal(true, StringFill(text, 'x'));
    equal("xxx", text);
    equal(true, StringFill(text, 0));
    equal("", text);
    equal(true, StringInit(text, 5));
    equal(0, StringLen(text));
    equal(false, text.is_null());
    equal(true, StringInit(text));
    equal(true, text.is_null());
    equal(false, StringInit(text, -1));
    error(ERR_INVALID_PARAMETER);
    equal(true, StringAdd(text, u"ab"_s));
    equal(true, StringAdd(text, text));
    equal("abab", text);
    equal(3, StringConcatenate(text, 1, u"a"_s, 2));
    equal("1a2", text);
}

// --- text and bytes ------------------------------------------------------------------------------

TEST(a_string_becomes_bytes_with_their_zero) {
    darr<uchar> bytes;
    equal(4, StringToCharArray(u"abc"_s, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("61626300", hex(bytes));
    equal(1, StringToCharArray(u""_s, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("00626300", hex(bytes));  // an array never gets smaller
    equal(1, StringToCharArray(string(), bytes));
    equal(2, StringToCharArray(u"xyz"_s, bytes, 3, 2));
    equal("0062637879", hex(bytes));
    darr<uchar> umlaut;
    equal(3, StringToCharArray(u"ü"_s, umlaut, 0, WHOLE_ARRAY, CP_UTF8));
    equal("c3bc00", hex(umlaut));
    error(0);
    equal(0, StringToCharArray(u"a"_s, bytes, -1));
    error(ERR_INVALID_PARAMETER);
}

TEST(a_static_array_takes_what_fits) {
    uchar small[3] = {9, 9, 9};
    equal(3, StringToCharArray(u"abcde"_s, small));
    equal("616263", hex(small));
    equal(1, StringToCharArray(u"xy"_s, small, 2));
    equal("616278", hex(small));
    error(0);
    equal(0, StringToCharArray(u"x"_s, small, 4));
    error(ERR_SMALL_ARRAY);
}

TEST(other_code_pages_take_ascii_alone) {
    darr<uchar> bytes;
    equal(3, StringToCharArray(u"ab"_s, bytes));
    stops([] { darr<uchar> a; StringToCharArray(u"ü"_s, a); }, "not ASCII");
    stops([] { darr<uchar> a; StringToCharArray(u"ü"_s, a, 0, 1, CP_UTF8); }, "not documented");
    stops([] { CharArrayToString(darr<uchar>{0xc3, 0xbc}); }, "not ASCII");
    stops([] { CharToString(0xa9); }, "not ASCII");
    equal("A", CharToString(65));
    equal(0, StringLen(CharToString(0)));
}

TEST(bytes_become_a_string_up_to_their_first_zero) {
    const darr<uchar> bytes = bytes_of_hex("616200636465");
    equal("ab", CharArrayToString(bytes));
    equal("cde", CharArrayToString(bytes, 3, WHOLE_ARRAY, CP_UTF8));
    equal("cd", CharArrayToString(bytes, 3, 2, CP_UTF8));
    equal("cde", CharArrayToString(bytes, 3, 100, CP_UTF8));
    equal("", CharArrayToString(bytes, 6));
    equal("", CharArrayToString(darr<uchar>()));
    error(0);
    equal("", CharArrayToString(bytes, 7));
    error(ERR_INVALID_PARAMETER);
    equal("", CharArrayToString(bytes, -1));
    error(ERR_INVALID_PARAMETER);
    stops([] { CharArrayToString(darr<uchar>{65}, 0, 0); }, "not documented");
}

TEST(ill_formed_utf8_is_replaced_part_by_part) {
    const auto replaced = [](const std::string &digits) {
        return CharArrayToString(bytes_of_hex(digits), 0, WHOLE_ARRAY, CP_UTF8);
    };
    equal("a\xef\xbf\xbd" "b", replaced("61ff62"));
    equal("\xef\xbf\xbd", replaced("e282"));          // cut
    equal("\xef\xbf\xbd" "x", replaced("f09f9878"));  // cut, and it goes on
    equal("\xef\xbf\xbd\xef\xbf\xbd", replaced("c080"));            // overlong
    equal("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", replaced("eda080"));  // a surrogate
    equal("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", replaced("f4908080"));
    equal("\xf0\x9f\x98\x80", replaced("f09f9880"));
    equal(2, StringLen(replaced("f09f9880")));  // a pair of units
    equal("\xf4\x8f\xbf\xbf", replaced("f48fbfbf"));  // the last code point
}

TEST(half_a_surrogate_pair_is_replaced) {
    darr<uchar> bytes;
    const string high(std::u16string{0xd83d});
    const string low(std::u16string{0xde00});
    const string swapped(std::u16string{0xde00, 0xd83d});
    equal(4, StringToCharArray(high, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("efbfbd00", hex(bytes));
    equal(4, StringToCharArray(low, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("efbfbd00", hex(bytes));
    equal(7, StringToCharArray(swapped, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("efbfbdefbfbd00", hex(bytes));
    equal(5, StringToCharArray(high + low, bytes, 0, WHOLE_ARRAY, CP_UTF8));
    equal("f09f988000", hex(bytes).substr(0, 10));
}

TEST(strings_survive_the_way_to_bytes_and_back) {
    // What is drawn: code points of all lengths, never 0, never half a pair.
    const char *seed_text = std::getenv("BRIDGE_TEST_SEED");
    std::mt19937_64 random(seed_text == nullptr ? 1 : std::strtoull(seed_text, nullptr, 10));
    const char32_t limits[] = {0x80, 0x800, 0xd800, 0x110000};
    for (int round = 0; round < 3000; ++round) {
        std::u16string units;
        for (std::uint64_t length = random() % 40; length > 0; --length) {
            char32_t point = static_cast<char32_t>(random() % (limits[random() % 4] - 1) + 1);
            if (point >= 0xd800 && point < 0xe000) {
                point = 0xe000;
            }
            if (point >= 0x10000) {
                units.push_back(static_cast<char16_t>(0xd7c0 + (point >> 10)));
                units.push_back(static_cast<char16_t>(0xdc00 | (point & 0x3ff)));
            } else {
                units.push_back(static_cast<char16_t>(point));
            }
        }
        const string text(units);
        darr<uchar> bytes;
        const int start = static_cast<int>(random() % 3);
        const int count = StringToCharArray(text, bytes, start, WHOLE_ARRAY, CP_UTF8);
        equal(ArraySize(bytes), start + count);
        equal(text, CharArrayToString(bytes, start, WHOLE_ARRAY, CP_UTF8));
        equal(text, CharArrayToString(bytes, start, count, CP_UTF8));
        // The language's own conversion agrees.
        equal(text.utf8(), std::string(reinterpret_cast<char *>(bytes.data()) + start,
                                       static_cast<std::size_t>(count - 1)));
        darr<ushort> shorts;
        equal(StringLen(text) + 1, StringToShortArray(text, shorts));
        equal(text, ShortArrayToString(shorts));
    }
    error(0);
}

TEST(any_bytes_become_some_string_that_stays) {
    const char *seed_text = std::getenv("BRIDGE_TEST_SEED");
    std::mt19937_64 random(seed_text == nullptr ? 2 : std::strtoull(seed_text, nullptr, 10));
    // Bytes that matter to UTF-8 come more often than they would by chance.
    const uchar pool[] = {0x00, 0x41, 0x7f, 0x80, 0xbf, 0xc0, 0xc2, 0xdf, 0xe0, 0xed,
                          0xef, 0xf0, 0xf4, 0xf5, 0xff, 0xa0, 0x9f, 0x90, 0x8f};
    for (int round = 0; round < 20000; ++round) {
        darr<uchar> bytes;
        ArrayResize(bytes, static_cast<int>(random() % 12));
        for (uchar &byte : as_ref(bytes)) {
            byte = random() % 4 == 0 ? static_cast<uchar>(random()) : pool[random() % sizeof pool];
        }
        const string text = CharArrayToString(bytes, 0, WHOLE_ARRAY, CP_UTF8);
        darr<uchar> again;
        StringToCharArray(text, again, 0, WHOLE_ARRAY, CP_UTF8);
        equal(text, CharArrayToString(again, 0, WHOLE_ARRAY, CP_UTF8));
        // A proper string comes back byte for byte.
        if (text.units().find(u'\xfffd') == std::u16string::npos) {
            const std::string digits = hex(bytes);
            equal(hex(again), digits.substr(0, hex(again).size() - 2) + "00");
        }
    }
}

TEST(units_become_a_string_up_to_their_first_zero) {
    equal("ab", ShortArrayToString(darr<ushort>{'a', 'b', 0, 'c'}));
    equal("b", ShortArrayToString(darr<ushort>{'a', 'b', 'c'}, 1, 1));
    equal("", ShortArrayToString(darr<ushort>()));
    equal("Σ", ShortToString(0x3a3));
    equal(0, StringLen(ShortToString(0)));
}

// --- numbers -------------------------------------------------------------------------------------

TEST(numbers_become_text) {
    equal("2147483647", IntegerToString(INT_MAX));
    equal("2147483647", IntegerToString(INT_MAX, 5));
    equal("0000002147483647", IntegerToString(INT_MAX, 16, '0'));
    equal("   -5", IntegerToString(-5, 5));
    equal("-9223372036854775808", IntegerToString(LONG_MIN));
    equal("123.45678901", DoubleToString(123.4567890123456789));
    equal("123.45679", DoubleToString(123.4567890123456789, 5));
    equal("1.23457e+02", DoubleToString(123.4567890123456789, -5));
    equal("0.1250000000000000", DoubleToString(0.125, 16));
    equal("1", DoubleToString(1.0, 0));
    equal("1.00000000", DoubleToString(1.0, 17));
    equal(326, StringLen(DoubleToString(DBL_MAX, 16)));
}

TEST(text_becomes_numbers_as_far_as_it_goes) {
    equal(123.45, StringToDouble(u"123.45"_s));
    equal(123.0, StringToDouble(u"\t   123"_s));
    equal(0.00123, StringToDouble(u"123e-5 buckazoid"_s));
    equal(74565.0, StringToDouble(u"0x12345"_s));
    equal(0.0, StringToDouble(u"x12345"_s));
    equal(12.0, StringToDouble(u"   12 3"_s));
    equal(123.4, StringToDouble(u"123.4.5"_s));
    equal(1.0, StringToDouble(u"1,234.50"_s));
    equal(0.0, StringToDouble(u"-+12345"_s));
    equal(0.5, StringToDouble(u".5"_s));
    equal(5.0, StringToDouble(u"5.e"_s));
    equal(0.0, StringToDouble(u"inf"_s));
    equal(0.0, StringToDouble(u"nan"_s));
    equal(0.0, StringToDouble(string()));
    equal(true, std::isinf(StringToDouble(u"1e999"_s)));
    equal(123, StringToInteger(u"123.456"_s));
    equal(-123, StringToInteger(u"-123e-5"_s));
    equal(255, StringToInteger(u"0xFF"_s));
    equal(0, StringToInteger(u"0x"_s));
    equal(0, StringToInteger(u""_s));
    equal(LONG_MIN, StringToInteger(u"-9223372036854775808"_s));
    error(0);
    equal(LONG_MAX, StringToInteger(u"9223372036854775808"_s));
    error(ERR_STRING_TOO_BIGNUMBER);
}

TEST(rounding_goes_away_from_zero) {
    equal(1.23457, NormalizeDouble(1.2345678, 5));
    equal(-1.5, NormalizeDouble(-1.45, 1));
    equal(1.0, NormalizeDouble(1.4, -3));
    equal(2.0, NormalizeDouble(1.5, 0));
    equal(DBL_MAX, NormalizeDouble(DBL_MAX, 8));
    equal(-3.0, MathRound(-2.5));
    equal(-1.0, MathMod(-10.0, 3.0));
}

TEST(mathematics_has_its_edges) {
    equal(false, MathIsValidNumber(std::numeric_limits<double>::quiet_NaN()));
    equal(false, MathIsValidNumber(MathLog(0.0)));
    equal(true, MathIsValidNumber(DBL_MAX));
    equal(false, MathIsValidNumber(MathSqrt(-1.0)));
    MathSrand(7);
    const int first = MathRand();
    for (int i = 0; i < 10000; ++i) {
        const int value = MathRand();
        equal(true, value >= 0 && value <= 32767);
    }
    MathSrand(7);
    equal(first, MathRand());
    MathSrand(1);
    equal(41, MathRand());  // the first number of Microsoft's generator
    equal(0x3412, MathSwap(static_cast<ushort>(0x1234)));
    equal(0x78563412U, MathSwap(0x12345678U));
    equal(3600, PeriodSeconds(PERIOD_H1));
    equal(900, PeriodSeconds());
    equal(604800, PeriodSeconds(PERIOD_W1));
    equal(86400, PeriodSeconds(PERIOD_D1));
    equal(43200, PeriodSeconds(PERIOD_H12));
}

TEST(arrays_are_sorted_and_searched) {
    darr<int> cells{5, 1, 9, 3};
    equal(2, ArrayMaximum(cells));
    equal(1, ArrayMinimum(cells));
    equal(3, ArrayMinimum(cells, 2));
    ArraySort(cells);
    equal(1, at(cells, 0));
    equal(9, at(cells, 3));
    equal(2, ArrayBsearch(cells, 5));
    equal(1, ArrayBsearch(cells, 2 + 1));
    equal(3, ArrayBsearch(cells, 100));
    equal(2, ArrayBsearch(cells, 6));
    equal(0, ArrayBsearch(cells, -7));
    equal(-1, ArrayMaximum(darr<int>()));
    error(ERR_INVALID_PARAMETER);
}

// --- dates ---------------------------------------------------------------------------------------

TEST(leap_years_have_their_day) {
    struct {
        datetime seconds;
        const char *text;
        int day_of_week;
        int day_of_year;
    } const known[] = {
        {0, "1970.01.01 00:00:00", 4, 0},           {951782400, "2000.02.29 00:00:00", 2, 59},
        {951868800, "2000.03.01 00:00:00", 3, 60},  {1204329600, "2008.03.01 00:00:00", 6, 60},
        {1235865600, "2009.03.01 00:00:00", 0, 59}, {4107542399, "2100.02.28 23:59:59", 0, 58},
        {4107542400, "2100.03.01 00:00:00", 1, 59}, {1735689599, "2024.12.31 23:59:59", 2, 365},
        {32535215999, "3000.12.31 23:59:59", 3, 364},
    };
    for (const auto &date : known) {
        MqlDateTime fields{};
        equal(true, TimeToStruct(date.seconds, fields));
        equal(date.day_of_week, int(fields.day_of_week));
        equal(date.day_of_year, int(fields.day_of_year));
        equal(date.text, TimeToString(date.seconds, TIME_DATE | TIME_SECONDS));
        equal(date.seconds, StructToTime(fields));
        equal(date.seconds, StringToTime(string(date.text)));
    }
    error(0);
}

TEST(every_day_follows_the_one_before) {
    MqlDateTime yesterday{};
    TimeToStruct(0, yesterday);
    for (datetime day = 1; day * 86400 <= runtime::LAST_DATETIME; ++day) {
        MqlDateTime fields{};
        TimeToStruct(day * 86400, fields);
        if ((yesterday.day_of_week + 1) % 7 != fields.day_of_week ||
            (fields.day_of_year != 0 && fields.day_of_year != yesterday.day_of_year + 1) ||
            (fields.day != 1 && fields.day != yesterday.day + 1) ||
            StructToTime(fields) != day * 86400) {
            equal("the day after", TimeToString(day * 86400));
        }
        yesterday = fields;
    }
}

TEST(dates_that_are_none_are_refused) {
    MqlDateTime fields{};
    equal(false, TimeToStruct(LONG_MAX, fields));
    error(ERR_INVALID_DATETIME);
    equal(false, TimeToStruct(-1, fields));
    error(ERR_INVALID_DATETIME);
    TimeToStruct(0, fields);
    fields.mon = 2;
    fields.day = 29;
    fields.year = 2023;
    equal(0, StructToTime(fields));
    error(ERR_INVALID_DATETIME);
    fields.day = 0;
    equal(0, StructToTime(fields));
    error(ERR_INVALID_DATETIME);
}

TEST(times_are_written_in_parts) {
    const datetime time = 1611270015;
    equal("2021.01.21 23:00", TimeToString(time));
    equal("23:00:15", TimeToString(time, TIME_MINUTES | TIME_SECONDS));
    equal("2021.01.21", TimeToString(time, TIME_DATE));
    equal("23:00", TimeToString(time, TIME_MINUTES));
    equal("23:00:15", TimeToString(time, TIME_SECONDS));
}

TEST(times_are_read_in_all_documented_forms) {
    selftest::clock.utc_ms = 1700000000000;  // 2023.11.14 22:13:20
    selftest::clock.local_offset_s = 7200;   // the 15th on this PC
    const datetime expected = 1326589323;    // 2012.01.15 01:02:03
    for (const char *text : {"2012.01.15 01:02:03", "20120115 01:02:03", "20120115 010203",
                             "2012/01/15 01:02:03", "2012-01-15 01:02:03", "15/01/2012 01:02:03",
                             " 2012.01.15 \t 01:02:03 "}) {
        equal(expected, StringToTime(string(text)));
    }
    equal(expected - 3723, StringToTime(u"2012.01.15"_s));
    equal("2023.11.15 21:01", TimeToString(StringToTime(u"21:01"_s)));
    error(0);
    equal("2023.11.15 00:00", TimeToString(StringToTime(u"January 2-nd"_s)));
    error(ERR_WRONG_STRING_DATE);
    StringToTime(u"2023.02.29"_s);
    error(ERR_WRONG_STRING_DATE);
    StringToTime(u"2023.02.28 25:00"_s);
    error(ERR_WRONG_STRING_TIME);
    StringToTime(string());
    error(ERR_NO_STRING_DATE);
}

// --- hashes --------------------------------------------------------------------------------------

static std::string hashed(ENUM_CRYPT_METHOD method, const darr<uchar> &data) {
    const darr<uchar> no_key;
    darr<uchar> result;
    const int size = CryptEncode(method, data, no_key, result);
    equal(size, ArraySize(result));
    return hex(result);
}

TEST(sha256_gives_the_published_results) {
    // FIPS 180-4's examples, as NIST publishes them.
    equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
          hashed(CRYPT_HASH_SHA256, bytes_of_text("abc")));
    equal("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
          hashed(CRYPT_HASH_SHA256,
                 bytes_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")));
    equal("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
          hashed(CRYPT_HASH_SHA256, bytes_of_text(std::string(1000000, 'a'))));
    equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
          hashed(CRYPT_HASH_SHA256, darr<uchar>()));
}

TEST(sha1_and_md5_give_the_published_results) {
    // FIPS 180-4 and RFC 1321 §A.5.
    equal("a9993e364706816aba3e25717850c26c9cd0d89d",
          hashed(CRYPT_HASH_SHA1, bytes_of_text("abc")));
    equal("84983e441c3bd26ebaae4aa1f95129e5e54670f1",
          hashed(CRYPT_HASH_SHA1,
                 bytes_of_text("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")));
    equal("d41d8cd98f00b204e9800998ecf8427e", hashed(CRYPT_HASH_MD5, darr<uchar>()));
    equal("0cc175b9c0f1b6a831c399e269772661", hashed(CRYPT_HASH_MD5, bytes_of_text("a")));
    equal("f96b697d7cb7938d525a2f31aaf161d0",
          hashed(CRYPT_HASH_MD5, bytes_of_text("message digest")));
    equal("57edf4a22be3c955ac49da2e2107b67a",
          hashed(CRYPT_HASH_MD5, bytes_of_text("1234567890123456789012345678901234567890"
                                               "1234567890123456789012345678901234567890")));
}

TEST(hashes_of_all_lengths_pad_as_they_should) {
    // Lengths around the block: the hashes of n bytes "a", hashed again.
    std::string together;
    for (int length = 0; length <= 130; ++length) {
        const std::string text(static_cast<std::size_t>(length), 'a');
        together += hashed(CRYPT_HASH_SHA256, bytes_of_text(text));
    }
    equal("5eee4c50e1b5ec4f1a47f34c25ca988850b49da7904f5ab1b3abc5cc0ae66ef9",
          hashed(CRYPT_HASH_SHA256, bytes_of_text(together)));
}

static darr<uchar> joined(const darr<uchar> &left, const darr<uchar> &right) {
    darr<uchar> both;
    ArrayCopy(both, left);
    ArrayCopy(both, right, ArraySize(left));
    return both;
}

// RFC 2104 on top of CryptEncode, as an expert has to build it.
static std::string hmac_sha256(const std::string &key_digits, const std::string &data_digits) {
    darr<uchar> key = bytes_of_hex(key_digits);
    if (ArraySize(key) > 64) {
        key = bytes_of_hex(hashed(CRYPT_HASH_SHA256, key));
    }
    darr<uchar> inner;
    darr<uchar> outer;
    ArrayResize(inner, 64);
    ArrayResize(outer, 64);
    for (int i = 0; i < 64; ++i) {
        const uchar byte = i < ArraySize(key) ? at(key, i) : uchar{0};
        at(inner, i) = byte ^ 0x36;
        at(outer, i) = byte ^ 0x5c;
    }
    const std::string digest =
        hashed(CRYPT_HASH_SHA256, joined(inner, bytes_of_hex(data_digits)));
    return hashed(CRYPT_HASH_SHA256, joined(outer, bytes_of_hex(digest)));
}

TEST(hmac_built_by_hand_gives_rfc_4231) {
    const auto repeated = [](const char *pair, int times) {
        std::string digits;
        while (times-- > 0) {
            digits += pair;
        }
        return digits;
    };
    const auto text = [](const char *words) { return hex(bytes_of_text(words)); };
    equal("b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
          hmac_sha256(repeated("0b", 20), text("Hi There")));
    equal("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
          hmac_sha256(text("Jefe"), text("what do ya want for nothing?")));
    equal("773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
          hmac_sha256(repeated("aa", 20), repeated("dd", 50)));
    equal("82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
          hmac_sha256("0102030405060708090a0b0c0d0e0f10111213141516171819", repeated("cd", 50)));
    equal("60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
          hmac_sha256(repeated("aa", 131),
                      text("Test Using Larger Than Block-Size Key - Hash Key First")));
    equal("9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2",
          hmac_sha256(repeated("aa", 131),
                      text("This is a test using a larger than block-size key and a larger than "
                           "block-size data. The key needs to be hashed before being used by the "
                           "HMAC algorithm.")));
}

TEST(base64_gives_rfc_4648_and_back) {
    const darr<uchar> no_key;
    const char *const vectors[][2] = {{"f", "Zg=="},         {"fo", "Zm8="},
                                      {"foo", "Zm9v"},       {"foob", "Zm9vYg=="},
                                      {"fooba", "Zm9vYmE="}, {"foobar", "Zm9vYmFy"}};
    for (const auto &vector : vectors) {
        darr<uchar> encoded;
        darr<uchar> decoded;
        equal(static_cast<int>(std::strlen(vector[1])),
              CryptEncode(CRYPT_BASE64, bytes_of_text(vector[0]), no_key, encoded));
        equal(vector[1], CharArrayToString(encoded));
        CryptDecode(CRYPT_BASE64, encoded, no_key, decoded);
        equal(vector[0], CharArrayToString(decoded));
    }
    error(0);
    for (const char *wrong :
         {"Zg", "Zg=", "Zh==", "Zm9=", "Z===", "Zm9vYg==Zm9v", "Zm 9v", "===="}) {
        darr<uchar> decoded;
        equal(0, CryptDecode(CRYPT_BASE64, bytes_of_text(wrong), no_key, decoded));
        error(ERR_INVALID_PARAMETER);
    }
}

TEST(other_methods_and_an_empty_hash_fail_as_told) {
    const darr<uchar> no_key;
    darr<uchar> result{1, 2};
    for (const auto method : {CRYPT_AES128, CRYPT_AES256, CRYPT_DES, CRYPT_ARCH_ZIP}) {
        equal(0, CryptEncode(method, bytes_of_text("abc"), no_key, result));
        error(ERR_INVALID_PARAMETER);
    }
    equal(0, CryptDecode(CRYPT_HASH_MD5, bytes_of_text("abc"), no_key, result));
    error(ERR_INVALID_PARAMETER);
    equal("0102", hex(result));
    runtime::set_option("hash_empty", "error");
    equal(0, CryptEncode(CRYPT_HASH_SHA256, darr<uchar>(), no_key, result));
    error(ERR_INVALID_PARAMETER);
    uchar small[31];
    equal(0, CryptEncode(CRYPT_HASH_SHA256, bytes_of_text("abc"), no_key, small));
    error(ERR_ARRAY_RESIZE_ERROR);
    // The source may be the destination.
    darr<uchar> self = bytes_of_text("abc");
    equal(16, CryptEncode(CRYPT_HASH_MD5, self, no_key, self));
    equal("900150983cd24fb0d6963f7d28e17f72", hex(self));
}
