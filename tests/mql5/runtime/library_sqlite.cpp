#include "library_sqlite.hpp"

#include <sqlite3.h>

#include <map>

#include "failpoints.hpp"
#include "library_disk.hpp"
#include "options.hpp"

namespace mql::runtime {
namespace {

// MetaTrader has a limit and does not say which. This one finds requests that are never finalized.
constexpr std::size_t MAX_OBJECTS = 1024;

struct Request {
    int database;
    sqlite3_stmt *statement;
    enum { FRESH, ROW, ENDED, FAILED } state;
};

std::map<int, sqlite3 *> databases;
std::map<int, Request> requests;
int next_database = 0x10001;
int next_request = 0x20001;

long long statements_run = 0;
long long faults_made = 0;

// Whether SQL starts with that word, behind blanks.
bool starts_with(const char *sql, const char *word) {
    while (*sql == ' ' || (*sql >= '\t' && *sql <= '\r')) {
        ++sql;
    }
    return sqlite3_strnicmp(sql, word, static_cast<int>(std::char_traits<char>::length(word))) == 0;
}

bool is_commit(const char *sql) { return starts_with(sql, "COMMIT") || starts_with(sql, "END"); }

bool is_writing(sqlite3_stmt *statement) {
    return sqlite3_stmt_readonly(statement) == 0 && !starts_with(sqlite3_sql(statement), "PRAGMA");
}

// The code with which the next statement fails, SQLITE_OK for none.
int fault_of(sqlite3_stmt *statement) {
    const bool commits = is_commit(sqlite3_sql(statement));
    const bool writes = is_writing(statement);
    int code = SQLITE_OK;
    if (option_has("sqlite", "corrupt")) {
        code = SQLITE_CORRUPT;
    } else if (option_has("sqlite", "ioerr")) {
        code = SQLITE_IOERR;
    } else if (option_has("sqlite", "full") && writes) {
        code = SQLITE_FULL;
    } else if (option_has("sqlite", "busy") && (writes || commits)) {
        code = SQLITE_BUSY;
    } else if (option_has("sqlite", "locked") && (writes || commits)) {
        code = SQLITE_LOCKED;
    }
    if (code == SQLITE_OK || statements_run++ < option_integer("sqlite_after", 0)) {
        return SQLITE_OK;
    }
    const long long most = option_integer("sqlite_faults", -1);
    if (most >= 0 && faults_made >= most) {
        return SQLITE_OK;
    }
    ++faults_made;
    return code;
}

int step(sqlite3_stmt *statement) {
    // Only the start of a statement can fail by decree: what runs, runs.
    if (sqlite3_stmt_busy(statement) == 0) {
        const int fault = fault_of(statement);
        if (fault != SQLITE_OK) {
            return fault;
        }
    }
    const bool commits = is_commit(sqlite3_sql(statement));
    const bool writes = commits || is_writing(statement);
    if (commits) {
        failpoint("Commit.before");
    }
    if (writes) {
        failpoint("Database.before");
    }
    const int code = sqlite3_step(statement);
    if (writes && code == SQLITE_DONE) {
        failpoint("Database.after");
    }
    if (commits && code == SQLITE_DONE) {
        failpoint("Commit.after");
    }
    return code;
}

int authorize(void *, int action, const char *, const char *value, const char *, const char *) {
    if (action != SQLITE_PRAGMA) {
        return SQLITE_OK;
    }
    if (option_has("sqlite", "pragma_refused")) {
        return SQLITE_DENY;
    }
    return value != nullptr && option_has("sqlite", "pragma_ignored") ? SQLITE_IGNORE : SQLITE_OK;
}

int error_of(int code) { return code == SQLITE_OK ? 0 : ERROR_SQLITE + (code & 0xff); }

Request *find_request(int request) {
    const auto found = requests.find(request);
    return found == requests.end() ? nullptr : &found->second;
}

// Values can be bound to a request that does not run.
int request_to_bind(int request, sqlite3_stmt *&statement) {
    const Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    if (found->state != Request::FRESH) {
        return ERROR_DATABASE_NOT_READY;
    }
    statement = found->statement;
    return 0;
}

// Columns can be read from a request that stands on a row.
int row_of(int request, int column, sqlite3_stmt *&statement) {
    const Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    statement = found->statement;
    if (column < 0 || column >= sqlite3_column_count(statement)) {
        return ERROR_DATABASE_NO_MORE_DATA;
    }
    return found->state == Request::ROW ? 0 : ERROR_DATABASE_NOT_READY;
}

}  // namespace

int sqlite_open(const std::string &path, bool read_only, bool create, int &database) {
    if (databases.size() >= MAX_OBJECTS) {
        return ERROR_DATABASE_TOO_MANY;
    }
    const bool to_read = read_only || option_has("sqlite", "readonly");
    int flags = to_read ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
    if (create && !to_read) {
        flags |= SQLITE_OPEN_CREATE;
    }
    sqlite3 *opened = nullptr;
    if (sqlite3_open_v2(path.c_str(), &opened, flags, disk_name()) != SQLITE_OK) {
        sqlite3_close_v2(opened);
        return ERROR_DATABASE_CONNECT;
    }
    sqlite3_set_authorizer(opened, authorize, nullptr);
    database = next_database++;
    databases[database] = opened;
    return 0;
}

int sqlite_close(int database) {
    const auto found = databases.find(database);
    if (found == databases.end()) {
        return ERROR_DATABASE_HANDLE;
    }
    for (auto request = requests.begin(); request != requests.end();) {
        if (request->second.database == database) {
            sqlite3_finalize(request->second.statement);
            request = requests.erase(request);
        } else {
            ++request;
        }
    }
    sqlite3_close_v2(found->second);
    databases.erase(found);
    return 0;
}

int sqlite_execute(int database, const std::string &sql) {
    const auto found = databases.find(database);
    if (found == databases.end()) {
        return ERROR_DATABASE_HANDLE;
    }
    // Statement by statement, as sqlite3_exec does it, so that each can fail on its own.
    const char *rest = sql.c_str();
    while (*rest != '\0') {
        sqlite3_stmt *statement = nullptr;
        int code = sqlite3_prepare_v2(found->second, rest, -1, &statement, &rest);
        if (code != SQLITE_OK) {
            return error_of(code);
        }
        if (statement == nullptr) {
            continue;  // a comment or blanks
        }
        do {
            code = step(statement);
        } while (code == SQLITE_ROW);
        sqlite3_finalize(statement);
        if (code != SQLITE_DONE) {
            return error_of(code);
        }
    }
    return 0;
}

int sqlite_prepare(int database, const std::string &sql, int &request) {
    const auto found = databases.find(database);
    if (found == databases.end()) {
        return ERROR_DATABASE_HANDLE;
    }
    if (requests.size() >= MAX_OBJECTS) {
        return ERROR_DATABASE_TOO_MANY;
    }
    sqlite3_stmt *statement = nullptr;
    const int code = sqlite3_prepare_v2(found->second, sql.c_str(), -1, &statement, nullptr);
    if (code != SQLITE_OK) {
        return error_of(code);
    }
    if (statement == nullptr) {
        return error_of(SQLITE_MISUSE);
    }
    request = next_request++;
    requests[request] = {database, statement, Request::FRESH};
    return 0;
}

int sqlite_finalize(int request) {
    const Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    sqlite3_finalize(found->statement);
    requests.erase(request);
    return 0;
}

int sqlite_reset_request(int request) {
    Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    // SQLite repeats here the error with which the last run ended: the reset itself is done.
    const int code = sqlite3_reset(found->statement);
    found->state = Request::FRESH;
    return error_of(code);
}

int sqlite_read(int request) {
    Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    if (found->state == Request::ENDED) {
        return ERROR_DATABASE_NO_MORE_DATA;
    }
    if (found->state == Request::FAILED) {
        return ERROR_DATABASE_NOT_READY;
    }
    const int code = step(found->statement);
    if (code == SQLITE_ROW) {
        found->state = Request::ROW;
        return 0;
    }
    if (code == SQLITE_DONE) {
        found->state = Request::ENDED;
        return ERROR_DATABASE_NO_MORE_DATA;
    }
    found->state = Request::FAILED;
    return error_of(code);
}

int sqlite_bind_integer(int request, int index, long long value) {
    sqlite3_stmt *statement = nullptr;
    const int error = request_to_bind(request, statement);
    return error != 0 ? error : error_of(sqlite3_bind_int64(statement, index + 1, value));
}

int sqlite_bind_real(int request, int index, double value) {
    sqlite3_stmt *statement = nullptr;
    const int error = request_to_bind(request, statement);
    return error != 0 ? error : error_of(sqlite3_bind_double(statement, index + 1, value));
}

int sqlite_bind_string(int request, int index, const std::string &utf8) {
    sqlite3_stmt *statement = nullptr;
    const int error = request_to_bind(request, statement);
    return error != 0 ? error
                      : error_of(sqlite3_bind_text(statement, index + 1, utf8.data(),
                                                   static_cast<int>(utf8.size()),
                                                   SQLITE_TRANSIENT));
}

int sqlite_bind_null_value(int request, int index) {
    sqlite3_stmt *statement = nullptr;
    const int error = request_to_bind(request, statement);
    return error != 0 ? error : error_of(sqlite3_bind_null(statement, index + 1));
}

int sqlite_bind_bytes(int request, int index, const void *data, std::size_t size) {
    sqlite3_stmt *statement = nullptr;
    const int error = request_to_bind(request, statement);
    if (error != 0) {
        return error;
    }
    // A null pointer would bind NULL: an empty array is an empty blob.
    return error_of(size == 0 ? sqlite3_bind_zeroblob(statement, index + 1, 0)
                              : sqlite3_bind_blob(statement, index + 1, data,
                                                  static_cast<int>(size), SQLITE_TRANSIENT));
}

int sqlite_columns(int request, int &count) {
    const Request *found = find_request(request);
    if (found == nullptr) {
        return ERROR_DATABASE_HANDLE;
    }
    count = sqlite3_column_count(found->statement);
    return 0;
}

int sqlite_column_name_of(int request, int column, std::string &utf8) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        const char *name = sqlite3_column_name(statement, column);
        utf8 = name == nullptr ? "" : name;
    }
    return error;
}

int sqlite_column_type_of(int request, int column, int &type) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        type = sqlite3_column_type(statement, column);
    }
    return error;
}

int sqlite_column_size_of(int request, int column, int &size) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        size = sqlite3_column_bytes(statement, column);
    }
    return error;
}

int sqlite_integer(int request, int column, long long &value) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        value = sqlite3_column_int64(statement, column);
    }
    return error;
}

int sqlite_real(int request, int column, double &value) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        value = sqlite3_column_double(statement, column);
    }
    return error;
}

int sqlite_string(int request, int column, std::string &utf8, bool &null) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        null = sqlite3_column_type(statement, column) == SQLITE_NULL;
        const unsigned char *text = sqlite3_column_text(statement, column);
        utf8 = text == nullptr ? "" : reinterpret_cast<const char *>(text);
    }
    return error;
}

int sqlite_bytes(int request, int column, std::vector<unsigned char> &bytes) {
    sqlite3_stmt *statement = nullptr;
    const int error = row_of(request, column, statement);
    if (error == 0) {
        // The pointer first: asking for it may change the value's representation and its size.
        const void *blob = sqlite3_column_blob(statement, column);
        const auto *data = static_cast<const unsigned char *>(blob);
        const int size = sqlite3_column_bytes(statement, column);
        bytes.clear();
        if (data != nullptr) {
            bytes.assign(data, data + size);
        }
    }
    return error;
}

void sqlite_close_all() {
    while (!databases.empty()) {
        sqlite_close(databases.begin()->first);
    }
}

std::size_t sqlite_open_databases() { return databases.size(); }
std::size_t sqlite_open_requests() { return requests.size(); }

}  // namespace mql::runtime
