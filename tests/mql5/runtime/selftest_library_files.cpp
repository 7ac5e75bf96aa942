// Self tests: files, folders, global variables.
#include <filesystem>
#include <fstream>

#include "library_files.hpp"
#include "library_globals.hpp"
#include "library_sandbox.hpp"
#include "selftest_library.hpp"

using namespace mql;
using selftest::bytes_of_hex;
using selftest::bytes_of_text;
using selftest::equal;
using selftest::error;
using selftest::folder;
using selftest::hex;

namespace fs = std::filesystem;

static string name_of(const std::string &name) { return string(name.c_str()); }

// The bytes of a file of the sandbox, seen from outside.
static std::string content(const std::string &name) {
    std::ifstream file(folder() + "/MQL5/Files/" + name, std::ios::binary);
    return hex(bytes_of_text(std::string(std::istreambuf_iterator<char>(file), {})));
}

TEST(no_name_leads_out_of_the_sandbox) {
    std::ofstream(folder() + "/secret.bin") << "secret";
    runtime::sandbox_folder(false);
    fs::create_directory_symlink(folder(), folder() + "/MQL5/Files/link");
    for (const char *name :
         {"..\\secret.bin", "../secret.bin", "a\\..\\..\\secret.bin", "..", "a\\..", "...",
          "/etc/passwd", "\\secret.bin", "C:\\secret.bin", "C:secret.bin", "\\\\.\\pipe\\x", "",
          "a\\\\b", "a*", "a?b",
          "a|b", "a<b", "a>b", "a\"b", "a\nb", "a\\", "con.", "a ", "link\\secret.bin", "link"}) {
        equal(INVALID_HANDLE, FileOpen(name_of(name), FILE_READ | FILE_WRITE | FILE_BIN));
        error(ERR_WRONG_FILENAME);
        equal(false, FileDelete(name_of(name)));
        error(ERR_WRONG_FILENAME);
        equal(false, FileIsExist(name_of(name)));
        error(ERR_WRONG_FILENAME);
        equal(false, FolderCreate(name_of(name)));
        error(ERR_WRONG_FILENAME);
        equal(false, FolderClean(name_of(name)));
        error(ERR_WRONG_FILENAME);
    }
    equal(INVALID_HANDLE, FileOpen(name_of(std::string(300, 'a')), FILE_WRITE));
    error(ERR_TOO_LONG_FILENAME);
    equal(true, fs::exists(folder() + "/secret.bin"));
    string found;
    equal(-1, FileFindFirst(u"..\\*"_s, found));
    error(ERR_WRONG_FILENAME);
    equal(-1, FileFindFirst(u"link\\*"_s, found));
    error(ERR_WRONG_FILENAME);
}

TEST(both_slashes_separate_and_case_does_not_matter) {
    const int handle = FileOpen(u"Bridge\\Deep/a.bin"_s, FILE_WRITE | FILE_BIN);
    equal(1, handle);
    FileWriteInteger(handle, 0x01020304);
    FileClose(handle);
    equal("04030201", content("Bridge/Deep/a.bin"));
    equal(true, FileIsExist(u"bridge/deep\\A.BIN"_s));
    equal(true, FileIsExist(u".\\Bridge\\.\\Deep\\a.bin"_s));
    const int again = FileOpen(u"BRIDGE\\deep\\B.bin"_s, FILE_WRITE | FILE_BIN);
    FileClose(again);
    equal(true, fs::exists(folder() + "/MQL5/Files/Bridge/Deep/B.bin"));
    error(0);
}

TEST(the_common_folder_is_another_one) {
    FileClose(FileOpen(u"a.bin"_s, FILE_WRITE | FILE_BIN | FILE_COMMON));
    equal(false, FileIsExist(u"a.bin"_s));
    error(ERR_FILE_NOT_EXIST);
    equal(true, FileIsExist(u"a.bin"_s, FILE_COMMON));
    equal(true, fs::exists(folder() + "/Common/Files/a.bin"));
    error(0);
}

TEST(sixty_four_files_may_be_open) {
    for (int i = 0; i < 64; ++i) {
        equal(i + 1, FileOpen(name_of("f" + std::to_string(i)), FILE_WRITE | FILE_BIN));
    }
    error(0);
    equal(INVALID_HANDLE, FileOpen(u"one_more"_s, FILE_WRITE | FILE_BIN));
    error(ERR_TOO_MANY_FILES);
    FileClose(1);
    equal(65, FileOpen(u"one_more"_s, FILE_WRITE | FILE_BIN));
    equal(64, runtime::open_files());
}

TEST(handles_that_are_none_are_told_apart) {
    const int handle = FileOpen(u"a"_s, FILE_WRITE | FILE_BIN);
    FileClose(handle);
    FileClose(handle);
    error(ERR_INVALID_FILEHANDLE);
    equal(0, FileSize(77));
    error(ERR_WRONG_FILEHANDLE);
    equal(ULONG_MAX, FileTell(handle));
    error(ERR_INVALID_FILEHANDLE);
    equal(0, FileWriteInteger(-1, 1));
    error(ERR_WRONG_FILEHANDLE);
    equal(INVALID_HANDLE, FileOpen(u"none"_s, FILE_READ | FILE_BIN));
    error(ERR_CANNOT_OPEN_FILE);
    equal(INVALID_HANDLE, FileOpen(u"none"_s, FILE_BIN));
    error(ERR_INVALID_PARAMETER);
    FolderCreate(u"dir"_s);
    equal(INVALID_HANDLE, FileOpen(u"dir"_s, FILE_READ | FILE_BIN));
    error(ERR_FILE_IS_DIRECTORY);
}

TEST(flags_say_what_happens_to_an_old_file) {
    FileSave(u"a"_s, bytes_of_hex("0102030405"));
    int handle = FileOpen(u"a"_s, FILE_READ | FILE_WRITE | FILE_BIN);
    equal(5, FileSize(handle));
    equal(0, FileTell(handle));
    equal(true, FileSeek(handle, 0, SEEK_END));
    FileWriteInteger(handle, 6, CHAR_VALUE);
    FileClose(handle);
    equal("010203040506", content("a"));
    handle = FileOpen(u"a"_s, FILE_WRITE | FILE_BIN);
    equal(0, FileSize(handle));
    equal(0, FileReadInteger(handle));
    error(ERR_FILE_NOTTOREAD);
    FileClose(handle);
    handle = FileOpen(u"a"_s, FILE_READ | FILE_BIN);
    equal(0, FileWriteInteger(handle, 1));
    error(ERR_FILE_NOTTOWRITE);
    FileClose(handle);
}

TEST(an_open_file_is_not_shared_unasked) {
    const int handle = FileOpen(u"a"_s, FILE_WRITE | FILE_BIN);
    equal(INVALID_HANDLE, FileOpen(u"a"_s, FILE_READ | FILE_BIN));
    error(ERR_CANNOT_OPEN_FILE);
    equal(false, FileDelete(u"a"_s));
    error(ERR_CANNOT_DELETE_FILE);
    FileClose(handle);
    const int shared =
        FileOpen(u"a"_s, FILE_WRITE | FILE_BIN | FILE_SHARE_READ | FILE_SHARE_WRITE);
    equal(INVALID_HANDLE, FileOpen(u"A"_s, FILE_READ | FILE_BIN));
    error(ERR_CANNOT_OPEN_FILE);
    equal(true, FileOpen(u"A"_s, FILE_READ | FILE_BIN | FILE_SHARE_WRITE) > shared);
    error(0);
}

TEST(numbers_go_to_a_binary_file_and_back) {
    int handle = FileOpen(u"n"_s, FILE_WRITE | FILE_BIN);
    equal(4, FileWriteInteger(handle, -2));
    equal(2, FileWriteInteger(handle, -2, SHORT_VALUE));
    equal(1, FileWriteInteger(handle, 0xfe, CHAR_VALUE));
    equal(8, FileWriteLong(handle, LONG_MIN));
    equal(8, FileWriteDouble(handle, 0.1));
    equal(0, FileWriteInteger(handle, 1, 5));
    error(ERR_INVALID_PARAMETER);
    FileClose(handle);
    handle = FileOpen(u"n"_s, FILE_READ | FILE_BIN);
    equal(-2, FileReadInteger(handle));
    equal(0xfffe, FileReadInteger(handle, SHORT_VALUE));  // always positive below 4 bytes
    equal(0xfe, FileReadInteger(handle, CHAR_VALUE));
    equal(LONG_MIN, FileReadLong(handle));
    equal(false, FileIsEnding(handle));
    equal(0.1, FileReadDouble(handle));
    equal(true, FileIsEnding(handle));
    error(0);
    equal(true, FileSeek(handle, -4, SEEK_CUR));
    equal(0, FileReadLong(handle));
    error(ERR_FILE_READERROR);
    equal(FileSize(handle), FileTell(handle));
    equal(false, FileSeek(handle, -100, SEEK_CUR));
    error(ERR_INVALID_PARAMETER);
    equal(0, FileTell(handle));
    FileClose(handle);
}

TEST(arrays_and_structures_go_to_a_binary_file_and_back) {
    MqlDateTime written{};
    TimeToStruct(951782400, written);
    int handle = FileOpen(u"a"_s, FILE_WRITE | FILE_BIN);
    equal(3, FileWriteArray(handle, bytes_of_hex("00000102"), 1));
    equal(1, FileWriteArray(handle, bytes_of_hex("0304"), 0, 1));
    equal(0, FileWriteArray(handle, bytes_of_hex("0304"), 1, 2));
    error(ERR_INVALID_PARAMETER);
    equal(sizeof written, FileWriteStruct(handle, written));
    equal(4, FileWriteStruct(handle, written, 4));
    FileClose(handle);
    handle = FileOpen(u"a"_s, FILE_READ | FILE_BIN);
    darr<uchar> bytes;
    equal(2, FileReadArray(handle, bytes, 1, 2));
    equal(3, ArraySize(bytes));
    equal(0x00, at(bytes, 1));
    equal(0x01, at(bytes, 2));
    uchar rest[2];
    equal(2, FileReadArray(handle, rest));
    equal("0203", hex(rest));
    MqlDateTime read{};
    equal(sizeof read, FileReadStruct(handle, read));
    equal(29, int(read.day));
    error(0);
    equal(4, FileReadStruct(handle, read));
    error(ERR_FILE_READERROR);
    equal(0, FileReadArray(handle, bytes));
    error(ERR_FILE_ENDOFFILE);
    FileClose(handle);
    darr<long_> longs;
    equal(5, FileLoad(u"a"_s, longs));  // 40 bytes
    equal(-1, FileLoad(u"none"_s, longs));
    error(ERR_CANNOT_OPEN_FILE);
}

TEST(text_files_have_lines_of_their_encoding) {
    int handle = FileOpen(u"t"_s, FILE_WRITE | FILE_TXT | FILE_ANSI, '\t', CP_UTF8);
    equal(5, FileWriteString(handle, u"ü\n"_s) + 1);
    equal(4, FileWriteString(handle, u"ab\r\n"_s));
    equal(5, FileWrite(handle, 1, u"x"_s, true) - 3);
    equal(0, FileWriteInteger(handle, 1));
    error(ERR_FILE_NOTBIN);
    FileClose(handle);
    equal("c3bc0d0a61620d0a3178747275650d0a", content("t"));
    handle = FileOpen(u"t"_s, FILE_READ | FILE_TXT | FILE_ANSI, '\t', CP_UTF8);
    equal("ü", FileReadString(handle));
    equal(true, FileIsLineEnding(handle));
    equal("ab", FileReadString(handle));
    equal("1xtrue", FileReadString(handle));
    equal(true, FileIsEnding(handle));
    error(0);
    equal("", FileReadString(handle));
    error(ERR_FILE_ENDOFFILE);
    FileClose(handle);
    handle = FileOpen(u"u"_s, FILE_WRITE | FILE_TXT);
    equal(2, FileWriteString(handle, u"é"_s));
    FileClose(handle);
    equal("fffee900", content("u"));
    handle = FileOpen(u"u"_s, FILE_READ | FILE_TXT | FILE_ANSI);
    equal("é", FileReadString(handle));  // the mark counts more than the flag
    FileClose(handle);
}

TEST(csv_files_have_fields) {
    int handle = FileOpen(u"c.csv"_s, FILE_WRITE | FILE_CSV | FILE_ANSI, ';');
    FileWrite(handle, 1, u"two"_s);
    FileWrite(handle, u"three"_s);
    FileClose(handle);
    equal("313b74776f0d0a74687265650d0a", content("c.csv"));
    handle = FileOpen(u"c.csv"_s, FILE_READ | FILE_CSV | FILE_ANSI, ';');
    equal("1", FileReadString(handle));
    equal(false, FileIsLineEnding(handle));
    equal("two", FileReadString(handle));
    equal(true, FileIsLineEnding(handle));
    equal("three", FileReadString(handle));
    FileClose(handle);
    darr<string> lines;
    ArrayResize(lines, 2);
    at(lines, 0) = u"a"_s;
    at(lines, 1) = u"b"_s;
    handle = FileOpen(u"l.txt"_s, FILE_WRITE | FILE_TXT | FILE_ANSI);
    equal(2, FileWriteArray(handle, lines));
    FileClose(handle);
    equal("610d0a620d0a", content("l.txt"));
    handle = FileOpen(u"l.bin"_s, FILE_WRITE | FILE_BIN);
    error(0);
    equal(0, FileWriteArray(handle, lines));
    error(ERR_FILE_NOTTXT);
    equal(0, FileWrite(handle, 1));
    error(ERR_FILE_NOTTXTORCSV);
    FileClose(handle);
}

TEST(strings_in_binary_files_have_a_length) {
    int handle = FileOpen(u"s"_s, FILE_WRITE | FILE_BIN | FILE_ANSI);
    equal(2, FileWriteString(handle, u"ab"_s));
    equal(1, FileWriteString(handle, u"cd"_s, 1));
    equal(4, FileWriteString(handle, u"ef"_s, 4));
    FileClose(handle);
    equal("61626365660000", content("s"));
    handle = FileOpen(u"s"_s, FILE_READ | FILE_BIN | FILE_ANSI);
    equal("", FileReadString(handle));
    error(ERR_FILE_BINSTRINGSIZE);
    equal("abc", FileReadString(handle, 3));
    equal("ef", FileReadString(handle, 4));
    error(0);
    FileClose(handle);
}

TEST(files_are_copied_moved_and_deleted) {
    FileSave(u"a"_s, bytes_of_hex("0102"));
    equal(true, FileCopy(u"a"_s, 0, u"x\\y\\b"_s, 0));
    equal("0102", content("x/y/b"));
    equal(false, FileCopy(u"a"_s, 0, u"x\\y\\b"_s, 0));
    error(ERR_FILE_CANNOT_REWRITE);
    equal(true, FileCopy(u"a"_s, 0, u"x\\y\\b"_s, FILE_REWRITE));
    equal(false, FileMove(u"none"_s, 0, u"b"_s, 0));
    error(ERR_FILE_NOT_EXIST);
    equal(true, FileMove(u"a"_s, 0, u"c"_s, FILE_COMMON));
    equal(false, FileIsExist(u"a"_s));
    error(ERR_FILE_NOT_EXIST);
    equal(true, FileDelete(u"c"_s, FILE_COMMON));
    equal(false, FileDelete(u"c"_s, FILE_COMMON));
    error(ERR_FILE_NOT_EXIST);
    equal(false, FileDelete(u"x"_s));
    error(ERR_FILE_IS_DIRECTORY);
}

TEST(folders_are_made_cleaned_and_deleted) {
    equal(true, FolderCreate(u"p\\q\\r"_s));
    equal(true, FolderCreate(u"p\\q"_s));
    equal(false, FolderDelete(u"p"_s));
    error(ERR_CANNOT_DELETE_DIRECTORY);
    const int handle = FileOpen(u"p\\q\\f"_s, FILE_WRITE | FILE_BIN);
    equal(false, FolderClean(u"p"_s));
    error(ERR_CANNOT_CLEAN_DIRECTORY);
    FileClose(handle);
    equal(true, FolderClean(u"p"_s));
    equal(true, FolderDelete(u"p"_s));
    equal(false, FolderDelete(u"p"_s));
    error(ERR_DIRECTORY_NOT_EXIST);
    FileSave(u"f"_s, bytes_of_hex("00"));
    equal(false, FolderDelete(u"f"_s));
    error(ERR_FILE_ISNOT_DIRECTORY);
    equal(false, FolderCreate(u"f\\g"_s));
    error(ERR_WRONG_DIRECTORYNAME);
}

TEST(files_are_found_by_patterns) {
    for (const char *name : {"d\\b.txt", "d\\A.TXT", "d\\c.bin", "d\\sub\\x.txt"}) {
        FileSave(name_of(name), bytes_of_hex("00"));
    }
    string found;
    long_ search = FileFindFirst(u"d\\*.txt"_s, found);
    equal("A.TXT", found);
    equal(true, FileFindNext(search, found));
    equal("b.txt", found);
    equal(false, FileFindNext(search, found));
    FileFindClose(search);
    search = FileFindFirst(u"D\\s*"_s, found);
    equal("sub\\", found);
    FileFindClose(search);
    ResetLastError();
    FileFindClose(search);
    error(ERR_WRONG_FILEHANDLE);
    equal(-1, FileFindFirst(u"d\\?.doc"_s, found));
    error(ERR_FILE_NOT_EXIST);
}

TEST(properties_of_files_set_the_last_error) {
    FileSave(u"a"_s, bytes_of_hex("000102"));
    SetUserError(1);
    equal(3, FileGetInteger(u"a"_s, FILE_SIZE));
    error(0);
    equal(1, FileGetInteger(u"a"_s, FILE_EXISTS, false));
    equal(0, FileGetInteger(u"b"_s, FILE_EXISTS));
    equal(-1, FileGetInteger(u"b"_s, FILE_SIZE));
    error(ERR_FILE_NOT_EXIST);
    FolderCreate(u"d"_s);
    equal(1, FileGetInteger(u"d"_s, FILE_EXISTS));
    error(ERR_FILE_IS_DIRECTORY);
    equal(-1, FileGetInteger(u"a"_s, FILE_IS_CSV));
    error(ERR_INVALID_PARAMETER);
    const int handle = FileOpen(u"a"_s, FILE_READ | FILE_BIN);
    equal(1, FileGetInteger(handle, FILE_IS_BINARY));
    equal(0, FileGetInteger(handle, FILE_IS_WRITABLE));
    equal(3, FileGetInteger(handle, FILE_SIZE));
    equal(-1, FileGetInteger(99, FILE_SIZE));
    error(ERR_WRONG_FILEHANDLE);
}

TEST(a_success_leaves_the_last_error_as_it_was) {
    SetUserError(7);
    FileClose(FileOpen(u"a"_s, FILE_WRITE | FILE_BIN));
    StringLen(u"a"_s);
    GlobalVariableSet(u"a"_s, 1);
    equal(65536 + 7, GetLastError());
}

// --- global variables ----------------------------------------------------------------------------

TEST(global_variables_outlive_the_terminal) {
    equal(1700000000, GlobalVariableSet(u"Bridge.epoch"_s, 0.1));
    equal(1700000000, GlobalVariableSet(u"Brücke größe"_s, -1e300));
    equal(true, GlobalVariableTemp(u"session"_s));
    equal(3, GlobalVariablesTotal());
    runtime::save_globals();
    runtime::forget_globals();
    equal(2, GlobalVariablesTotal());
    equal(0.1, GlobalVariableGet(u"Bridge.epoch"_s));
    equal(-1e300, GlobalVariableGet(u"Brücke größe"_s));
    equal(false, GlobalVariableCheck(u"session"_s));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
    GlobalVariableSet(u"lost"_s, 1);
    runtime::forget_globals();  // as when the terminal is killed
    equal(false, GlobalVariableCheck(u"lost"_s));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
    GlobalVariableSet(u"kept"_s, 1);
    GlobalVariablesFlush();
    runtime::forget_globals();
    equal(true, GlobalVariableCheck(u"kept"_s));
}

TEST(global_variables_expire_after_four_weeks) {
    GlobalVariableSet(u"old"_s, 1);
    GlobalVariableSet(u"read"_s, 2);
    selftest::clock.utc_ms += 20LL * 86400 * 1000;
    equal(2.0, GlobalVariableGet(u"read"_s));
    GlobalVariablesFlush();
    selftest::clock.utc_ms += 20LL * 86400 * 1000;
    runtime::forget_globals();
    equal(1, GlobalVariablesTotal());
    equal("read", GlobalVariableName(0));
}

TEST(global_variables_have_names_of_63_characters) {
    const std::string longest(63, 'x');
    equal(true, GlobalVariableSet(name_of(longest), 1) > 0);
    error(0);
    equal(0, GlobalVariableSet(name_of(longest + "x"), 1));
    error(ERR_INVALID_PARAMETER);
    equal(0, GlobalVariableSet(string(), 1));
    error(ERR_INVALID_PARAMETER);
    equal("", GlobalVariableName(1));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
}

TEST(global_variables_are_changed_on_condition) {
    equal(false, GlobalVariableSetOnCondition(u"lock"_s, 1, 0));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
    equal(true, GlobalVariableTemp(u"lock"_s));
    equal(false, GlobalVariableTemp(u"lock"_s));
    error(ERR_GLOBALVARIABLE_EXISTS);
    equal(true, GlobalVariableSetOnCondition(u"lock"_s, 1, 0));
    equal(false, GlobalVariableSetOnCondition(u"lock"_s, 1, 0));
    error(ERR_GLOBALVARIABLE_NOT_MODIFIED);
    double value = 0;
    equal(true, GlobalVariableGet(u"lock"_s, value));
    equal(1.0, value);
    equal(false, GlobalVariableGet(u"none"_s, value));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
}

TEST(global_variables_are_deleted_by_prefix_and_date) {
    GlobalVariableSet(u"a.1"_s, 1);
    selftest::clock.utc_ms += 10000;
    GlobalVariableSet(u"a.2"_s, 2);
    GlobalVariableSet(u"b"_s, 3);
    equal(1, GlobalVariablesDeleteAll(u"a."_s, 1700000005));
    equal(true, GlobalVariableDel(u"b"_s));
    equal(false, GlobalVariableDel(u"b"_s));
    error(ERR_GLOBALVARIABLE_NOT_FOUND);
    equal(1, GlobalVariablesDeleteAll());
    equal(0, GlobalVariablesTotal());
}
