// SQLite behind MQL5's handles: databases, requests, their states, and the faults of tests.
//
// Everything returns 0 or an error code of MetaTrader. Documented: 5121 handle, 5122 too many
// objects, 5123 connect, 5126 no more data (also the normal end of an INSERT), 5128 not ready; the
// rest is 5600 plus SQLite's own code, as MetaTrader reports a second CREATE TABLE (5601).
//
// Not documented, decided here on the strict side: a request that came to its end stays there (a
// further read says 5126 and does not run it again); nothing waits for a lock (no busy timeout);
// the folder of a database file must be there, it is not made; handles are never given twice.
//
// Faults (option `sqlite`, a list):
//   pragma_refused   every PRAGMA fails with 5623
//   pragma_ignored   PRAGMAs that set something succeed and do nothing
//   readonly         the file is opened read only, whatever was asked for
//   busy, locked     statements that write, and COMMIT, fail with 5605, 5606
//   full             statements that write fail with 5613
//   ioerr, corrupt   every statement fails with 5610, 5611
//   write_full, write_fails, sync_fails, sync_ignored    the disk does: library_disk.hpp
// The three lines before the last are pretended, not provoked. `sqlite_after=N` lets N statements pass first,
// `sqlite_faults=N` ends them after N faults.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace mql::runtime {

enum DatabaseError : int {
    ERROR_DATABASE_INTERNAL = 5120,
    ERROR_DATABASE_HANDLE = 5121,
    ERROR_DATABASE_TOO_MANY = 5122,
    ERROR_DATABASE_CONNECT = 5123,
    ERROR_DATABASE_NO_MORE_DATA = 5126,
    ERROR_DATABASE_NOT_READY = 5128,
    ERROR_SQLITE = 5600,  // plus SQLite's code
};

// SQLite's flags; `path` is UTF-8, "" a temporary file, ":memory:" no file.
int sqlite_open(const std::string &path, bool read_only, bool create, int &database);
int sqlite_close(int database);
int sqlite_execute(int database, const std::string &sql);
int sqlite_prepare(int database, const std::string &sql, int &request);
int sqlite_finalize(int request);
int sqlite_reset_request(int request);
int sqlite_read(int request);

// Indexes from 0.
int sqlite_bind_integer(int request, int index, long long value);
int sqlite_bind_real(int request, int index, double value);
int sqlite_bind_string(int request, int index, const std::string &utf8);
int sqlite_bind_null_value(int request, int index);
int sqlite_bind_bytes(int request, int index, const void *data, std::size_t size);

int sqlite_columns(int request, int &count);
int sqlite_column_name_of(int request, int column, std::string &utf8);
int sqlite_column_type_of(int request, int column, int &type);
int sqlite_column_size_of(int request, int column, int &size);
int sqlite_integer(int request, int column, long long &value);
int sqlite_real(int request, int column, double &value);
int sqlite_string(int request, int column, std::string &utf8, bool &null);
int sqlite_bytes(int request, int column, std::vector<unsigned char> &bytes);

// What the terminal does when it ends.
void sqlite_close_all();
// For tests: what a program forgot to close.
std::size_t sqlite_open_databases();
std::size_t sqlite_open_requests();

}  // namespace mql::runtime
