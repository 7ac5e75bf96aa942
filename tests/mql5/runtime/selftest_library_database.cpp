// Self tests: Database*.
#include <filesystem>
#include <fstream>

#include "library_sqlite.hpp"
#include "options.hpp"
#include "selftest_library.hpp"

using namespace mql;
using selftest::bytes_of_hex;
using selftest::equal;
using selftest::error;
using selftest::folder;
using selftest::hex;

static int opened(const char *name = "test") {
    const int database =
        DatabaseOpen(string(name), DATABASE_OPEN_READWRITE | DATABASE_OPEN_CREATE);
    equal(true, database != INVALID_HANDLE);
    return database;
}

// A database in memory with a table t(a, b).
static int with_table() {
    const int database = opened(":memory:");
    equal(true, DatabaseExecute(database, u"CREATE TABLE t(a, b)"_s));
    return database;
}

static long_ asked(int database, const string &sql) {
    const int request = DatabasePrepare(database, sql);
    long_ value = -1;
    if (DatabaseRead(request)) {
        DatabaseColumnLong(request, 0, value);
    }
    DatabaseFinalize(request);
    return value;
}

TEST(a_request_runs_when_it_is_read) {
    const int database = with_table();
    const int request = DatabasePrepare(database, u"INSERT INTO t VALUES(1, 2)"_s);
    equal(0, asked(database, u"SELECT count(*) FROM t"_s));
    error(0);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(1, asked(database, u"SELECT count(*) FROM t"_s));
    // At its end it stays there: it does not run again by itself.
    error(0);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(1, asked(database, u"SELECT count(*) FROM t"_s));
    equal(1, DatabaseReset(request));
    equal(false, DatabaseRead(request));
    equal(2, asked(database, u"SELECT count(*) FROM t"_s));
}

TEST(rows_are_read_up_to_the_end) {
    const int database = with_table();
    DatabaseExecute(database, u"INSERT INTO t VALUES(1, 'x'), (2, 'y')"_s);
    const int request = DatabasePrepare(database, u"SELECT a, b AS name FROM t ORDER BY a"_s);
    int value = 0;
    string text;
    equal(2, DatabaseColumnsCount(request));
    error(0);
    equal(false, DatabaseColumnInteger(request, 0, value));
    error(ERR_DATABASE_NOT_READY);
    equal(true, DatabaseRead(request));
    equal(true, DatabaseColumnInteger(request, 0, value));
    equal(1, value);
    equal(true, DatabaseColumnName(request, 1, text));
    equal("name", text);
    equal(false, DatabaseColumnInteger(request, 2, value));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(false, DatabaseColumnInteger(request, -1, value));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(true, DatabaseRead(request));
    equal(true, DatabaseColumnText(request, 1, text));
    equal("y", text);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(false, DatabaseColumnText(request, 1, text));
    error(ERR_DATABASE_NOT_READY);
    DatabaseReset(request);
    equal(true, DatabaseRead(request));
    DatabaseFinalize(request);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_INVALID_HANDLE);
}

TEST(parameters_count_from_zero_and_stay_bound) {
    const int database = with_table();
    const int request = DatabasePrepare(database, u"INSERT INTO t VALUES(?1, ?2)"_s);
    equal(true, DatabaseBind(request, 0, 10));
    equal(true, DatabaseBind(request, 1, u"first"_s));
    error(0);
    equal(false, DatabaseBind(request, 2, 1));
    error(ERR_DATABASE_RANGE);
    equal(false, DatabaseBind(request, -1, 1));
    error(ERR_DATABASE_RANGE);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
    // Bound values cannot be changed before a reset, and survive it.
    equal(false, DatabaseBind(request, 0, 11));
    error(ERR_DATABASE_NOT_READY);
    DatabaseReset(request);
    equal(true, DatabaseBind(request, 0, 11));
    DatabaseRead(request);
    equal(2, asked(database, u"SELECT count(*) FROM t WHERE b = 'first'"_s));
    equal(11, asked(database, u"SELECT max(a) FROM t"_s));
}

TEST(prepare_takes_the_parameters_in_order) {
    const int database = with_table();
    DatabaseRead(DatabasePrepare(database, u"INSERT INTO t VALUES(?2, ?1)"_s, u"text"_s, 5));
    equal(1, asked(database, u"SELECT count(*) FROM t WHERE a = 5 AND b = 'text'"_s));
    error(ERR_DATABASE_NO_MORE_DATA);
    const std::size_t requests = runtime::sqlite_open_requests();
    equal(INVALID_HANDLE, DatabasePrepare(database, u"SELECT ?1"_s, 1, 2));
    error(ERR_DATABASE_BIND_PARAMETERS);
    equal(requests, runtime::sqlite_open_requests());
    equal(INVALID_HANDLE, DatabasePrepare(database, u"SELECT nonsense"_s));
    error(ERR_DATABASE_ERROR);
    equal(INVALID_HANDLE, DatabasePrepare(database, string()));
    error(ERR_INVALID_PARAMETER);
    equal(INVALID_HANDLE, DatabasePrepare(99, u"SELECT 1"_s));
    error(ERR_DATABASE_INVALID_HANDLE);
}

TEST(values_keep_their_64_bits_and_their_type) {
    const int database = opened(":memory:");
    const int request =
        DatabasePrepare(database, u"SELECT ?, ?, ?, ?, ?, ?, ?"_s, LONG_MIN, ULONG_MAX, 0.1,
                        u"Grüße 😀"_s, string(), true, u""_s);
    equal(true, DatabaseRead(request));
    long_ wide = 0;
    DatabaseColumnLong(request, 0, wide);
    equal(LONG_MIN, wide);
    DatabaseColumnLong(request, 1, wide);
    equal(ULONG_MAX, static_cast<mql::ulong>(wide));
    double real = 0;
    DatabaseColumnDouble(request, 2, real);
    equal(0.1, real);
    string text;
    DatabaseColumnText(request, 3, text);
    equal("Grüße 😀", text);
    DatabaseColumnText(request, 4, text);
    equal(true, text.is_null());
    int narrow = 0;
    DatabaseColumnInteger(request, 5, narrow);
    equal(1, narrow);
    DatabaseColumnText(request, 6, text);
    equal("", text);
    error(0);
    equal(DATABASE_FIELD_TYPE_INTEGER, DatabaseColumnType(request, 0));
    equal(DATABASE_FIELD_TYPE_FLOAT, DatabaseColumnType(request, 2));
    equal(DATABASE_FIELD_TYPE_TEXT, DatabaseColumnType(request, 3));
    equal(DATABASE_FIELD_TYPE_NULL, DatabaseColumnType(request, 4));
    equal(DATABASE_FIELD_TYPE_INVALID, DatabaseColumnType(request, 9));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(12, DatabaseColumnSize(request, 3));
    // A 64-bit ticket through the 32-bit function is another ticket.
    const int ticket = DatabasePrepare(database, u"SELECT 4294967301"_s);
    DatabaseRead(ticket);
    DatabaseColumnInteger(ticket, 0, narrow);
    equal(5, narrow);
}

TEST(blobs_are_bytes_of_any_array) {
    const int database = with_table();
    const int request = DatabasePrepare(database, u"INSERT INTO t VALUES(?, ?)"_s);
    equal(true, DatabaseBindArray(request, 0, bytes_of_hex("00ff0010")));
    equal(true, DatabaseBindArray(request, 1, darr<uchar>()));
    DatabaseRead(request);
    const int read = DatabasePrepare(database, u"SELECT a, b, 1 FROM t"_s);
    equal(true, DatabaseRead(read));
    equal(DATABASE_FIELD_TYPE_BLOB, DatabaseColumnType(read, 0));
    equal(4, DatabaseColumnSize(read, 0));
    darr<uchar> bytes{1, 2, 3, 4, 5, 6};
    equal(true, DatabaseColumnBlob(read, 0, bytes));
    equal("00ff0010", hex(bytes));
    darr<ushort> shorts;
    equal(true, DatabaseColumnBlob(read, 0, shorts));
    equal(2, ArraySize(shorts));
    equal(0xff00, at(shorts, 0));
    equal(DATABASE_FIELD_TYPE_BLOB, DatabaseColumnType(read, 1));
    equal(true, DatabaseColumnBlob(read, 1, bytes));
    equal(0, ArraySize(bytes));
    uchar small[3];
    ResetLastError();
    equal(false, DatabaseColumnBlob(read, 0, small));
    error(ERR_ARRAY_RESIZE_ERROR);
    darr<long_> longs;
    equal(false, DatabaseColumnBlob(read, 0, longs));
    error(ERR_INVALID_ARRAY);
}

TEST(a_transaction_is_all_or_nothing) {
    const int database = with_table();
    equal(false, DatabaseTransactionCommit(database));
    error(ERR_DATABASE_ERROR);
    equal(true, DatabaseTransactionBegin(database));
    equal(false, DatabaseTransactionBegin(database));
    error(ERR_DATABASE_ERROR);
    DatabaseExecute(database, u"INSERT INTO t VALUES(1, 1); INSERT INTO t VALUES(2, 2);"_s);
    equal(2, asked(database, u"SELECT count(*) FROM t"_s));
    equal(true, DatabaseTransactionRollback(database));
    equal(0, asked(database, u"SELECT count(*) FROM t"_s));
    DatabaseTransactionBegin(database);
    DatabaseExecute(database, u"INSERT INTO t VALUES(1, 1)"_s);
    equal(true, DatabaseTransactionCommit(database));
    equal(1, asked(database, u"SELECT count(*) FROM t"_s));
}

TEST(a_closed_database_takes_its_requests_along) {
    const int database = with_table();
    const int request = DatabasePrepare(database, u"SELECT 1"_s);
    DatabaseClose(database);
    equal(0, runtime::sqlite_open_requests());
    error(0);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_INVALID_HANDLE);
    DatabaseFinalize(request);
    error(ERR_DATABASE_INVALID_HANDLE);
    DatabaseClose(database);
    error(ERR_DATABASE_INVALID_HANDLE);
    equal(false, DatabaseExecute(database, u"SELECT 1"_s));
    error(ERR_DATABASE_INVALID_HANDLE);
    equal(0, DatabaseReset(request));
    error(ERR_DATABASE_INVALID_HANDLE);
    equal(-1, DatabaseColumnsCount(request));
    error(ERR_DATABASE_INVALID_HANDLE);
}

TEST(requests_that_are_never_finalized_run_out) {
    const int database = opened(":memory:");
    int request = 0;
    for (int i = 0; request != INVALID_HANDLE && i < 2000; ++i) {
        request = DatabasePrepare(database, u"SELECT 1"_s);
    }
    equal(INVALID_HANDLE, request);
    error(ERR_DATABASE_TOO_MANY_OBJECTS);
}

TEST(a_database_is_a_file_of_the_sandbox) {
    equal(INVALID_HANDLE, DatabaseOpen(u"test"_s, DATABASE_OPEN_READWRITE));
    error(ERR_DATABASE_CONNECT);
    equal(INVALID_HANDLE, DatabaseOpen(u"..\\test"_s, DATABASE_OPEN_CREATE));
    error(ERR_WRONG_FILENAME);
    equal(INVALID_HANDLE, DatabaseOpen(u"C:\\test"_s, DATABASE_OPEN_CREATE));
    error(ERR_WRONG_FILENAME);
    equal(INVALID_HANDLE,
          DatabaseOpen(u"test"_s, DATABASE_OPEN_READONLY | DATABASE_OPEN_READWRITE));
    error(ERR_INVALID_PARAMETER);
    // A folder is not made: whether MetaTrader makes it is not documented.
    equal(INVALID_HANDLE, DatabaseOpen(u"Bridge\\test"_s, DATABASE_OPEN_CREATE));
    error(ERR_DATABASE_CONNECT);
    FolderCreate(u"Bridge"_s);
    int database = opened("Bridge\\demo-1.2");
    DatabaseExecute(database, u"CREATE TABLE t(a)"_s);
    DatabaseClose(database);
    equal(true, FileIsExist(u"Bridge\\demo-1.2"_s));  // what follows the dot is an extension
    database = opened("Bridge\\demo");
    DatabaseExecute(database, u"CREATE TABLE t(a)"_s);
    DatabaseClose(database);
    equal(true, FileIsExist(u"Bridge\\demo.sqlite"_s));
    database = DatabaseOpen(u"Bridge\\demo"_s, DATABASE_OPEN_READONLY);
    error(0);
    equal(false, DatabaseExecute(database, u"INSERT INTO t VALUES(1)"_s));
    error(ERR_DATABASE_READONLY);
    equal(true, DatabaseTableExists(database, u"t"_s));
    equal(false, DatabaseTableExists(database, u"u"_s));
    error(ERR_DATABASE_NO_MORE_DATA);
    equal(false, DatabaseTableExists(database, string()));
    error(ERR_INVALID_PARAMETER);
}

TEST(errors_of_sqlite_come_with_its_code) {
    const int database = opened(":memory:");
    DatabaseExecute(database, u"CREATE TABLE t(a UNIQUE)"_s);
    equal(false, DatabaseExecute(database, u"CREATE TABLE t(a)"_s));
    error(ERR_DATABASE_ERROR);
    equal(false, DatabaseExecute(database, string()));
    error(ERR_INVALID_PARAMETER);
    DatabaseExecute(database, u"INSERT INTO t VALUES(1)"_s);
    const int request = DatabasePrepare(database, u"INSERT INTO t VALUES(?)"_s, 1);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_CONSTRAINT);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NOT_READY);
    // The reset repeats the error, and is done.
    equal(0, DatabaseReset(request));
    error(ERR_DATABASE_CONSTRAINT);
    equal(true, DatabaseBind(request, 0, 2));
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
}

TEST(a_second_connection_finds_the_database_busy) {
    const int first = opened();
    const int second = opened();
    DatabaseExecute(first, u"CREATE TABLE t(a)"_s);
    DatabaseExecute(first, u"BEGIN IMMEDIATE"_s);
    equal(false, DatabaseExecute(second, u"INSERT INTO t VALUES(1)"_s));
    error(ERR_DATABASE_BUSY);
    DatabaseTransactionCommit(first);
    equal(true, DatabaseExecute(second, u"INSERT INTO t VALUES(1)"_s));
}

TEST(a_file_that_is_no_database_is_found_at_its_first_use) {
    std::filesystem::create_directories(folder() + "/MQL5/Files");
    std::ofstream(folder() + "/MQL5/Files/test.sqlite") << std::string(4096, 'x');
    const int database = opened();
    equal(false, DatabaseExecute(database, u"CREATE TABLE t(a)"_s));
    error(ERR_DATABASE_NOTADB);
}

TEST(durability_can_be_set_and_read_back) {
    const int database = opened();
    equal(true, DatabaseExecute(database, u"PRAGMA journal_mode=WAL"_s));
    equal(true, DatabaseExecute(database, u"PRAGMA synchronous=FULL"_s));
    equal(2, asked(database, u"PRAGMA synchronous"_s));
    const int request = DatabasePrepare(database, u"PRAGMA journal_mode"_s);
    string mode;
    DatabaseRead(request);
    DatabaseColumnText(request, 0, mode);
    equal("wal", mode);
}

TEST(pragmas_can_be_refused_or_ignored) {
    const int database = opened();
    runtime::set_option("sqlite", "pragma_ignored");
    equal(true, DatabaseExecute(database, u"PRAGMA synchronous=OFF"_s));
    equal(2, asked(database, u"PRAGMA synchronous"_s));
    runtime::set_option("sqlite", "pragma_refused");
    ResetLastError();
    equal(false, DatabaseExecute(database, u"PRAGMA synchronous=OFF"_s));
    error(ERR_DATABASE_AUTH);
    equal(INVALID_HANDLE, DatabasePrepare(database, u"PRAGMA synchronous"_s));
    error(ERR_DATABASE_AUTH);
    equal(true, DatabaseExecute(database, u"CREATE TABLE t(a)"_s));
}

TEST(faults_strike_writes_and_pass) {
    const int database = with_table();
    runtime::set_option("sqlite", "busy");
    equal(false, DatabaseExecute(database, u"INSERT INTO t VALUES(1, 1)"_s));
    error(ERR_DATABASE_BUSY);
    equal(0, asked(database, u"SELECT count(*) FROM t"_s));
    const int request = DatabasePrepare(database, u"INSERT INTO t VALUES(1, 1)"_s);
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_BUSY);
    runtime::set_option("sqlite", "");
    equal(1, DatabaseReset(request));
    equal(false, DatabaseRead(request));
    error(ERR_DATABASE_NO_MORE_DATA);
    DatabaseTransactionBegin(database);
    runtime::set_option("sqlite", "busy");
    equal(false, DatabaseTransactionCommit(database));
    error(ERR_DATABASE_BUSY);
    equal(true, DatabaseTransactionRollback(database));
    runtime::set_option("sqlite", "full");
    equal(false, DatabaseExecute(database, u"UPDATE t SET a = 2"_s));
    error(ERR_DATABASE_FULL);
    runtime::set_option("sqlite", "corrupt");
    equal(-1, asked(database, u"SELECT count(*) FROM t"_s));
    error(ERR_DATABASE_CORRUPT);
    runtime::set_option("sqlite", "ioerr");
    equal(-1, asked(database, u"SELECT count(*) FROM t"_s));
    error(ERR_DATABASE_IOERR);
    runtime::set_option("sqlite", "");
    equal(1, asked(database, u"SELECT count(*) FROM t WHERE a = 1"_s));
}

TEST(faults_can_be_counted) {
    const int database = with_table();
    runtime::set_option("sqlite", "full");
    runtime::set_option("sqlite_after", "1");
    runtime::set_option("sqlite_faults", "2");
    const string insert = u"INSERT INTO t VALUES(1, 1)"_s;
    equal(true, DatabaseExecute(database, insert));
    equal(false, DatabaseExecute(database, insert));
    equal(false, DatabaseExecute(database, insert));
    equal(true, DatabaseExecute(database, insert));
    equal(2, asked(database, u"SELECT count(*) FROM t"_s));
}

TEST(a_database_can_be_read_only_by_decree) {
    int database = opened();
    DatabaseExecute(database, u"CREATE TABLE t(a)"_s);
    DatabaseClose(database);
    runtime::set_option("sqlite", "readonly");
    database = opened();
    error(0);
    equal(false, DatabaseExecute(database, u"INSERT INTO t VALUES(1)"_s));
    error(ERR_DATABASE_READONLY);
    equal(INVALID_HANDLE, DatabaseOpen(u"new"_s, DATABASE_OPEN_CREATE));
    error(ERR_DATABASE_CONNECT);
}

TEST(a_killed_program_loses_what_was_not_committed) {
    int database = opened();
    DatabaseExecute(database, u"CREATE TABLE t(a); INSERT INTO t VALUES(1)"_s);
    DatabaseTransactionBegin(database);
    DatabaseExecute(database, u"INSERT INTO t VALUES(2)"_s);
    runtime::sqlite_close_all();
    database = opened();
    equal(1, asked(database, u"SELECT count(*) FROM t"_s));
}
