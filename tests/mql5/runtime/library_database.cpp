// Database*: the shells around library_sqlite.hpp, which says how requests behave.
#include "library.hpp"
#include "library_sandbox.hpp"
#include "library_sqlite.hpp"
#include "library_text.hpp"

namespace mql {

namespace runtime {

bool database_bind(int request, int index, long long value) {
    return done(sqlite_bind_integer(request, index, value));
}

bool database_bind(int request, int index, double value) {
    return done(sqlite_bind_real(request, index, value));
}

bool database_bind(int request, int index, const string &value) {
    return done(value.is_null() ? sqlite_bind_null_value(request, index)
                                : sqlite_bind_string(request, index, utf8_of(value.units())));
}

bool database_bind(int request, int index, const void *bytes, std::size_t size) {
    return done(sqlite_bind_bytes(request, index, bytes, size));
}

int database_prepare(int database, const string &sql) {
    int request = INVALID_HANDLE;
    if (sql.empty()) {
        fail(ERR_INVALID_PARAMETER);
        return INVALID_HANDLE;
    }
    return done(sqlite_prepare(database, utf8_of(sql.units()), request)) ? request
                                                                         : INVALID_HANDLE;
}

bool database_blob(int request, int column, std::vector<uchar> &bytes) {
    return done(sqlite_bytes(request, column, bytes));
}

}  // namespace runtime

using runtime::done;
using runtime::fail;

int DatabaseOpen(const string &filename, uint flags) {
    constexpr uint KNOWN = DATABASE_OPEN_READONLY | DATABASE_OPEN_READWRITE |
                           DATABASE_OPEN_CREATE | DATABASE_OPEN_MEMORY | DATABASE_OPEN_COMMON;
    const bool read_only = (flags & DATABASE_OPEN_READONLY) != 0;
    const bool create = (flags & DATABASE_OPEN_CREATE) != 0;
    const bool contradictory =
        read_only && (create || (flags & DATABASE_OPEN_READWRITE) != 0);
    if (contradictory || (flags & ~KNOWN) != 0) {
        fail(ERR_INVALID_PARAMETER);
        return INVALID_HANDLE;
    }
    std::string path;  // empty: a temporary file
    if ((flags & DATABASE_OPEN_MEMORY) != 0 || filename == string(":memory:")) {
        path = ":memory:";
    } else if (!filename.empty()) {
        std::u16string name = filename.units();
        const std::size_t part = name.find_last_of(u"\\/");
        if (name.find(u'.', part == name.npos ? 0 : part) == name.npos) {
            name += u".sqlite";
        }
        const bool common = (flags & DATABASE_OPEN_COMMON) != 0;
        if (!done(runtime::sandbox_path(name, common, path))) {
            return INVALID_HANDLE;
        }
    }
    int database = INVALID_HANDLE;
    return done(runtime::sqlite_open(path, read_only, create, database)) ? database
                                                                         : INVALID_HANDLE;
}

void DatabaseClose(int database) { done(runtime::sqlite_close(database)); }

bool DatabaseExecute(int database, const string &sql) {
    if (sql.empty()) {
        return fail(ERR_INVALID_PARAMETER);
    }
    return done(runtime::sqlite_execute(database, runtime::utf8_of(sql.units())));
}

bool DatabaseTableExists(int database, const string &table) {
    if (table.empty()) {
        return fail(ERR_INVALID_PARAMETER);
    }
    int request = INVALID_HANDLE;
    int error = runtime::sqlite_prepare(
        database, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1", request);
    if (error != 0) {
        return fail(error);
    }
    error = runtime::sqlite_bind_string(request, 0, runtime::utf8_of(table.units()));
    error = error != 0 ? error : runtime::sqlite_read(request);
    runtime::sqlite_finalize(request);
    return done(error);  // 5126 when there is none
}

int DatabaseReset(int request) { return done(runtime::sqlite_reset_request(request)) ? 1 : 0; }

bool DatabaseRead(int request) { return done(runtime::sqlite_read(request)); }

void DatabaseFinalize(int request) { done(runtime::sqlite_finalize(request)); }

bool DatabaseTransactionBegin(int database) {
    return done(runtime::sqlite_execute(database, "BEGIN"));
}

bool DatabaseTransactionCommit(int database) {
    return done(runtime::sqlite_execute(database, "COMMIT"));
}

bool DatabaseTransactionRollback(int database) {
    return done(runtime::sqlite_execute(database, "ROLLBACK"));
}

int DatabaseColumnsCount(int request) {
    int count = 0;
    return done(runtime::sqlite_columns(request, count)) ? count : -1;
}

bool DatabaseColumnName(int request, int column, string &name) {
    std::string utf8;
    if (!done(runtime::sqlite_column_name_of(request, column, utf8))) {
        return false;
    }
    name = string(runtime::utf16_of(utf8));
    return true;
}

ENUM_DATABASE_FIELD_TYPE DatabaseColumnType(int request, int column) {
    int type = 0;
    if (!done(runtime::sqlite_column_type_of(request, column, type))) {
        return DATABASE_FIELD_TYPE_INVALID;
    }
    switch (type) {  // SQLITE_INTEGER and so on, which are part of its stable interface
        case 1:
            return DATABASE_FIELD_TYPE_INTEGER;
        case 2:
            return DATABASE_FIELD_TYPE_FLOAT;
        case 3:
            return DATABASE_FIELD_TYPE_TEXT;
        case 4:
            return DATABASE_FIELD_TYPE_BLOB;
        default:
            return DATABASE_FIELD_TYPE_NULL;
    }
}

int DatabaseColumnSize(int request, int column) {
    int size = 0;
    return done(runtime::sqlite_column_size_of(request, column, size)) ? size : -1;
}

bool DatabaseColumnText(int request, int column, string &value) {
    std::string utf8;
    bool null = false;
    if (!done(runtime::sqlite_string(request, column, utf8, null))) {
        return false;
    }
    value = null ? string() : string(runtime::utf16_of(utf8));
    return true;
}

bool DatabaseColumnInteger(int request, int column, int &value) {
    long long wide = 0;
    if (!done(runtime::sqlite_integer(request, column, wide))) {
        return false;
    }
    // SQLite cuts off the upper half: a 64-bit ticket read so is another ticket.
    value = static_cast<int>(wide);
    return true;
}

bool DatabaseColumnLong(int request, int column, long_ &value) {
    return done(runtime::sqlite_integer(request, column, value));
}

bool DatabaseColumnDouble(int request, int column, double &value) {
    return done(runtime::sqlite_real(request, column, value));
}

}  // namespace mql
