// File*: open files in the sandbox. library_folders.cpp has what needs only a name.
//
// Handles are never given twice, so that one kept after FileClose is always found (5007). Nothing
// is buffered: what was written is in the file, as if FileFlush had been called.
#include "library_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "library.hpp"
#include "library_sandbox.hpp"
#include "library_text.hpp"

namespace mql {
namespace {

using runtime::fail;

constexpr std::size_t MAX_OPEN = 64;
constexpr char16_t BYTE_ORDER_MARK = 0xfeff;

enum class Kind { BINARY, CSV, TEXT };

struct File {
    int descriptor;
    std::string path;
    int flags;
    Kind kind;
    bool ansi;
    char16_t delimiter;  // 0 for none
    uint codepage;
    bool line_ended;  // the last FileReadString reached the end of its line
};

std::map<int, File> files;
int next_handle = 1;

// The file, or nullptr and why not: closed already (5007) or never opened (5008).
File *find(int handle) {
    const auto found = files.find(handle);
    if (found != files.end()) {
        return &found->second;
    }
    fail(handle > 0 && handle < next_handle ? ERR_INVALID_FILEHANDLE : ERR_WRONG_FILEHANDLE);
    return nullptr;
}

File *find_for(int handle, int access) {
    File *file = find(handle);
    if (file != nullptr && (file->flags & access) == 0) {
        fail(access == FILE_READ ? ERR_FILE_NOTTOREAD : ERR_FILE_NOTTOWRITE);
        return nullptr;
    }
    return file;
}

File *find_binary(int handle, int access) {
    File *file = find_for(handle, access);
    if (file != nullptr && file->kind != Kind::BINARY) {
        fail(ERR_FILE_NOTBIN);
        return nullptr;
    }
    return file;
}

off_t size_of(const File &file) {
    struct stat status {};
    return ::fstat(file.descriptor, &status) == 0 ? status.st_size : 0;
}

off_t position_of(const File &file) { return ::lseek(file.descriptor, 0, SEEK_CUR); }

std::size_t read_some(const File &file, void *bytes, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t got = ::read(file.descriptor, static_cast<char *>(bytes) + done, size - done);
        if (got <= 0) {
            break;
        }
        done += static_cast<std::size_t>(got);
    }
    return done;
}

std::size_t write_some(const File &file, const void *bytes, std::size_t size) {
    std::size_t done = 0;
    while (done < size) {
        const ssize_t put =
            ::write(file.descriptor, static_cast<const char *>(bytes) + done, size - done);
        if (put <= 0) {
            fail(ERR_FILE_WRITEERROR);
            break;
        }
        done += static_cast<std::size_t>(put);
    }
    return done;
}

// Windows' sharing rules: both sides have to allow what the other one does.
bool may_share(const std::string &path, int flags) {
    const auto allows = [](int mine, int others) {
        return ((others & FILE_READ) == 0 || (mine & FILE_SHARE_READ) != 0) &&
               ((others & FILE_WRITE) == 0 || (mine & FILE_SHARE_WRITE) != 0);
    };
    for (const auto &[handle, file] : files) {
        if (file.path == path && !(allows(file.flags, flags) && allows(flags, file.flags))) {
            return false;
        }
    }
    return true;
}

// Text as the bytes of this file.
std::string encoded(const File &file, const string &text) {
    if (file.ansi) {
        return runtime::bytes_of(text, file.codepage);
    }
    std::string bytes;
    for (const char16_t unit : text.units()) {
        bytes.push_back(static_cast<char>(unit & 0xff));
        bytes.push_back(static_cast<char>(unit >> 8));
    }
    return bytes;
}

string decoded(const File &file, const std::string &bytes) {
    if (file.ansi) {
        return runtime::text_of(bytes, file.codepage);
    }
    std::u16string units;
    for (std::size_t i = 0; i + 1 < bytes.size(); i += 2) {
        units.push_back(static_cast<char16_t>(static_cast<unsigned char>(bytes[i]) |
                                              static_cast<unsigned char>(bytes[i + 1]) << 8));
    }
    return string(std::move(units));
}

// The characters of a text file, not decoded, read in pieces; afterwards it stands behind the last
// one that was taken.
class Units {
public:
    explicit Units(const File &file) : file_(file), size_(file.ansi ? 1 : 2) {}
    Units(const Units &) = delete;
    Units &operator=(const Units &) = delete;
    ~Units() {
        if (at_ < filled_) {
            ::lseek(file_.descriptor, -static_cast<off_t>(filled_ - at_), SEEK_CUR);
        }
    }

    bool next(std::string &bytes, char16_t &unit) {
        if (at_ == filled_) {
            filled_ = read_some(file_, piece_, sizeof piece_);
            at_ = 0;
        }
        if (filled_ - at_ < size_) {
            return false;
        }
        bytes.assign(piece_ + at_, size_);
        unit = static_cast<unsigned char>(piece_[at_]);
        if (size_ == 2) {
            unit = static_cast<char16_t>(unit | static_cast<unsigned char>(piece_[at_ + 1]) << 8);
        }
        at_ += size_;
        return true;
    }

private:
    const File &file_;
    std::size_t size_;
    std::size_t at_ = 0;
    std::size_t filled_ = 0;
    char piece_[4096] = {};
};

// Text files have lines that end with CR LF, whatever the program writes.
string with_line_ends(const string &text) {
    std::u16string units;
    for (const char16_t unit : text.units()) {
        if (unit == u'\n' && (units.empty() || units.back() != u'\r')) {
            units.push_back(u'\r');
        }
        units.push_back(unit);
    }
    return string(std::move(units));
}

// The mark at the start of a UTF-16 file decides over FILE_ANSI; a new one gets it.
void handle_byte_order_mark(File &file) {
    if (file.kind == Kind::BINARY) {
        return;
    }
    if ((file.flags & FILE_READ) != 0 && size_of(file) >= 2) {
        unsigned char mark[2] = {0, 0};
        read_some(file, mark, sizeof mark);
        if (mark[0] == 0xff && mark[1] == 0xfe) {
            file.ansi = false;
        } else {
            ::lseek(file.descriptor, 0, SEEK_SET);
        }
    } else if (!file.ansi && size_of(file) == 0 && (file.flags & FILE_WRITE) != 0) {
        const std::string mark = encoded(file, string(std::u16string(1, BYTE_ORDER_MARK)));
        write_some(file, mark.data(), mark.size());
    }
}

}  // namespace

namespace runtime {

bool is_open_file(const std::string &path) {
    for (const auto &[handle, file] : files) {
        if (file.path == path) {
            return true;
        }
    }
    return false;
}

void close_files() {
    for (const auto &[handle, file] : files) {
        ::close(file.descriptor);
    }
    files.clear();
}

std::size_t open_files() { return files.size(); }

std::size_t file_read_bytes(int handle, void *bytes, std::size_t size) {
    const File *file = find_binary(handle, FILE_READ);
    if (file == nullptr) {
        return 0;
    }
    if (size == 0) {
        if (position_of(*file) >= size_of(*file)) {
            fail(ERR_FILE_ENDOFFILE);
        }
        return 0;
    }
    const std::size_t got = read_some(*file, bytes, size);
    if (got < size) {
        fail(ERR_FILE_READERROR);
    }
    return got;
}

std::size_t file_write_bytes(int handle, const void *bytes, std::size_t size) {
    const File *file = find_binary(handle, FILE_WRITE);
    return file == nullptr ? 0 : write_some(*file, bytes, size);
}

bool file_is_text(int handle) {
    const auto found = files.find(handle);
    return found != files.end() && found->second.kind != Kind::BINARY;
}

std::size_t file_rest(int handle) {
    const auto found = files.find(handle);
    if (found == files.end() || found->second.kind != Kind::BINARY) {
        return 0;
    }
    const off_t rest = size_of(found->second) - position_of(found->second);
    return rest > 0 ? static_cast<std::size_t>(rest) : 0;
}

uint file_write_line(int handle, const std::vector<string> &fields) {
    const File *file = find_for(handle, FILE_WRITE);
    if (file == nullptr) {
        return 0;
    }
    if (file->kind == Kind::BINARY) {
        fail(ERR_FILE_NOTTXTORCSV);
        return 0;
    }
    string line(std::u16string{});
    for (std::size_t i = 0; i < fields.size(); ++i) {
        if (i > 0 && file->kind == Kind::CSV && file->delimiter != 0) {
            line.change().push_back(file->delimiter);
        }
        line += fields[i];
    }
    line.change() += u"\r\n";
    const std::string bytes = encoded(*file, with_line_ends(line));
    return static_cast<uint>(write_some(*file, bytes.data(), bytes.size()));
}

}  // namespace runtime

int FileOpen(const string &file_name, int open_flags, short delimiter, uint codepage) {
    if ((open_flags & (FILE_READ | FILE_WRITE)) == 0) {
        fail(ERR_INVALID_PARAMETER);
        return INVALID_HANDLE;
    }
    if (files.size() >= MAX_OPEN) {
        fail(ERR_TOO_MANY_FILES);
        return INVALID_HANDLE;
    }
    std::string path;
    const bool common = (open_flags & FILE_COMMON) != 0;
    if (!runtime::done(runtime::sandbox_path(file_name.units(), common, path))) {
        return INVALID_HANDLE;
    }
    const bool writes = (open_flags & FILE_WRITE) != 0;
    int mode = O_RDONLY;
    if (writes) {
        runtime::make_folders_above(path);
        mode = (open_flags & FILE_READ) != 0 ? O_RDWR | O_CREAT : O_WRONLY | O_CREAT;
    }
    struct stat status {};
    if (::stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
        fail(ERR_FILE_IS_DIRECTORY);
        return INVALID_HANDLE;
    }
    const int descriptor =
        may_share(path, open_flags) ? ::open(path.c_str(), mode | O_CLOEXEC, 0644) : -1;
    if (descriptor < 0) {
        fail(ERR_CANNOT_OPEN_FILE);
        return INVALID_HANDLE;
    }
    if (mode == (O_WRONLY | O_CREAT) && ::ftruncate(descriptor, 0) != 0) {
        ::close(descriptor);
        fail(ERR_CANNOT_OPEN_FILE);
        return INVALID_HANDLE;
    }
    // CSV before BIN before TXT, and CSV when none is named; UNICODE before ANSI: D:0193.
    Kind kind = Kind::CSV;
    if ((open_flags & FILE_CSV) == 0) {
        kind = (open_flags & FILE_BIN) != 0   ? Kind::BINARY
               : (open_flags & FILE_TXT) != 0 ? Kind::TEXT
                                              : Kind::CSV;
    }
    const bool ansi = (open_flags & FILE_ANSI) != 0 && (open_flags & FILE_UNICODE) == 0;
    File file{descriptor, path,     open_flags, kind,
              ansi,       static_cast<char16_t>(delimiter), codepage, false};
    handle_byte_order_mark(file);
    files[next_handle] = file;
    return next_handle++;
}

void FileClose(int file_handle) {
    const File *file = find(file_handle);
    if (file != nullptr) {
        ::close(file->descriptor);
        files.erase(file_handle);
    }
}

void FileFlush(int file_handle) { find(file_handle); }

bool FileIsEnding(int file_handle) {
    const File *file = find(file_handle);
    return file != nullptr && position_of(*file) >= size_of(*file);
}

bool FileIsLineEnding(int file_handle) {
    const File *file = find(file_handle);
    return file != nullptr && (file->line_ended || position_of(*file) >= size_of(*file));
}

bool FileSeek(int file_handle, long_ offset, ENUM_FILE_POSITION origin) {
    File *file = find(file_handle);
    if (file == nullptr) {
        return false;
    }
    const off_t base = origin == mql::SEEK_SET   ? 0
                       : origin == mql::SEEK_CUR ? position_of(*file)
                                                 : size_of(*file);
    file->line_ended = false;
    if (base + offset < 0) {
        ::lseek(file->descriptor, 0, 0);
        return fail(ERR_INVALID_PARAMETER);
    }
    return ::lseek(file->descriptor, base + offset, 0) >= 0 ? true : fail(ERR_INVALID_PARAMETER);
}

ulong FileSize(int file_handle) {
    const File *file = find(file_handle);
    return file == nullptr ? 0 : static_cast<ulong>(size_of(*file));
}

ulong FileTell(int file_handle) {
    const File *file = find(file_handle);
    return file == nullptr ? ULONG_MAX : static_cast<ulong>(position_of(*file));
}

long_ FileGetInteger(int file_handle, ENUM_FILE_PROPERTY_INTEGER property_id) {
    const File *file = find(file_handle);
    struct stat status {};
    if (file == nullptr || ::fstat(file->descriptor, &status) != 0) {
        return -1;
    }
    _LastError = 0;  // documented: this function always sets it
    switch (property_id) {
        case FILE_EXISTS:
            return 1;
        case FILE_CREATE_DATE:
            return status.st_ctime;
        case FILE_MODIFY_DATE:
            return status.st_mtime;
        case FILE_ACCESS_DATE:
            return status.st_atime;
        case FILE_SIZE:
            return status.st_size;
        case FILE_POSITION:
            return position_of(*file);
        case FILE_END:
            return FileIsEnding(file_handle) ? 1 : 0;
        case FILE_LINE_END:
            return FileIsLineEnding(file_handle) ? 1 : 0;
        case FILE_IS_COMMON:
            return (file->flags & FILE_COMMON) != 0 ? 1 : 0;
        case FILE_IS_TEXT:
            return file->kind == Kind::TEXT ? 1 : 0;
        case FILE_IS_BINARY:
            return file->kind == Kind::BINARY ? 1 : 0;
        case FILE_IS_CSV:
            return file->kind == Kind::CSV ? 1 : 0;
        case FILE_IS_ANSI:
            return file->ansi ? 1 : 0;
        case FILE_IS_READABLE:
            return (file->flags & FILE_READ) != 0 ? 1 : 0;
        case FILE_IS_WRITABLE:
            return (file->flags & FILE_WRITE) != 0 ? 1 : 0;
    }
    fail(ERR_INVALID_PARAMETER);
    return -1;
}

// --- binary --------------------------------------------------------------------------------------

int FileReadInteger(int file_handle, int size) {
    if (size != CHAR_VALUE && size != SHORT_VALUE && size != 3 && size != INT_VALUE) {
        fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    uint value = 0;  // little-endian: the bytes that are not read are the high ones
    const auto wanted = static_cast<std::size_t>(size);
    return runtime::file_read_bytes(file_handle, &value, wanted) == wanted
               ? static_cast<int>(value)
               : 0;
}

long_ FileReadLong(int file_handle) {
    long_ value = 0;
    return runtime::file_read_bytes(file_handle, &value, sizeof value) == sizeof value ? value : 0;
}

double FileReadDouble(int file_handle) {
    double value = 0;
    return runtime::file_read_bytes(file_handle, &value, sizeof value) == sizeof value ? value : 0;
}

uint FileWriteInteger(int file_handle, int value, int size) {
    if (size < 1 || size > INT_VALUE) {
        fail(ERR_INVALID_PARAMETER);
        return 0;
    }
    return static_cast<uint>(
        runtime::file_write_bytes(file_handle, &value, static_cast<std::size_t>(size)));
}

uint FileWriteLong(int file_handle, long_ value) {
    return static_cast<uint>(runtime::file_write_bytes(file_handle, &value, sizeof value));
}

uint FileWriteDouble(int file_handle, double value) {
    return static_cast<uint>(runtime::file_write_bytes(file_handle, &value, sizeof value));
}

// --- text ----------------------------------------------------------------------------------------

string FileReadString(int file_handle, int length) {
    File *file = find_for(file_handle, FILE_READ);
    const string nothing(std::u16string{});
    if (file == nullptr) {
        return nothing;
    }
    if (file->kind == Kind::BINARY) {
        if (length <= 0) {
            fail(ERR_FILE_BINSTRINGSIZE);
            return nothing;
        }
        std::string bytes(static_cast<std::size_t>(length) * (file->ansi ? 1 : 2), '\0');
        const std::size_t got = read_some(*file, bytes.data(), bytes.size());
        if (got < bytes.size()) {
            fail(ERR_FILE_READERROR);
        }
        bytes.resize(got);
        const string text = decoded(*file, bytes);
        return string(text.units().substr(0, text.units().find(u'\0')));
    }
    if (position_of(*file) >= size_of(*file)) {
        fail(ERR_FILE_ENDOFFILE);
        return nothing;
    }
    std::string bytes;
    std::string raw;
    char16_t unit = 0;
    file->line_ended = false;
    Units units(*file);
    while (units.next(raw, unit)) {
        if (unit == u'\n') {
            file->line_ended = true;
            break;
        }
        if (file->kind == Kind::CSV && file->delimiter != 0 && unit == file->delimiter) {
            break;
        }
        if (unit != u'\r') {
            bytes += raw;
        }
    }
    return decoded(*file, bytes);
}

uint FileWriteString(int file_handle, const string &text_string, int length) {
    const File *file = find_for(file_handle, FILE_WRITE);
    if (file == nullptr) {
        return 0;
    }
    string text = text_string;
    if (length >= 0) {
        text.change().resize(static_cast<std::size_t>(length), u'\0');
    }
    if (file->kind != Kind::BINARY) {
        text = with_line_ends(text);
    }
    const std::string bytes = encoded(*file, text);
    return static_cast<uint>(write_some(*file, bytes.data(), bytes.size()));
}

}  // namespace mql
