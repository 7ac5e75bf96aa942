#include "library_disk.hpp"

#include <sqlite3.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <new>
#include <set>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include "options.hpp"

namespace mql::runtime {
namespace {

constexpr int TRACKED = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_MAIN_JOURNAL | SQLITE_OPEN_WAL |
                        SQLITE_OPEN_SUPER_JOURNAL;
constexpr std::size_t SECTOR = 512;
constexpr std::size_t HEAD = 13;
const std::string DURABLE = ".durable";
const std::string PENDING = ".pending";

struct File {
    sqlite3_file base;
    std::string *name;  // below the folder of the shadows; nullptr: nothing is kept of it
    sqlite3_file *real;
};

sqlite3_vfs *system_vfs = nullptr;
sqlite3_vfs vfs;
std::string root;    // the terminal's data, with a / at its end; empty: the disk loses nothing
std::string shadow;  // where the shadows are, with a / at its end
std::set<std::string> deleted;  // whose deletion may still be undone

sqlite3_file *real_of(sqlite3_file *file) { return reinterpret_cast<File *>(file)->real; }
const std::string *name_of(sqlite3_file *file) { return reinterpret_cast<File *>(file)->name; }

bool fault(const char *name) { return option_has("sqlite", name); }

// --- files as a whole

bool exists(const std::string &path) { return access(path.c_str(), F_OK) == 0; }

bool read_file(const std::string &path, std::string &content) {
    content.clear();
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    char buffer[65536];
    ssize_t size;
    while ((size = read(fd, buffer, sizeof buffer)) > 0) {
        content.append(buffer, static_cast<std::size_t>(size));
    }
    close(fd);
    return size == 0;
}

void put(int fd, const char *data, std::size_t size, std::uint64_t at) {
    while (size > 0) {
        const ssize_t done = pwrite(fd, data, size, static_cast<off_t>(at));
        if (done <= 0) {
            std::abort();  // the test's own disk is full: nothing it says would be true
        }
        data += done;
        size -= static_cast<std::size_t>(done);
        at += static_cast<std::uint64_t>(done);
    }
}

void write_file(const std::string &path, const std::string &content) {
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) {
        std::abort();
    }
    put(fd, content.data(), content.size(), 0);
    close(fd);
}

// --- what is pending

std::string record(char kind, std::uint64_t number, const void *data = nullptr,
                   std::uint32_t size = 0) {
    std::string out(1, kind);
    out.append(reinterpret_cast<const char *>(&number), sizeof number);
    out.append(reinterpret_cast<const char *>(&size), sizeof size);
    out.append(static_cast<const char *>(data), size);
    return out;
}

void note(const std::string &name, const std::string &bytes) {
    const std::string path = shadow + name + PENDING;
    const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) {
        std::abort();
    }
    close(fd);
}

// Moves what is pending into what is durable.
void settle(const std::string &name) {
    std::string pending;
    if (!read_file(shadow + name + PENDING, pending) || pending.empty()) {
        return;
    }
    const std::string path = shadow + name + DURABLE;
    int fd = -1;
    const auto open_it = [&fd, &path](int flags) {
        if (fd < 0) {
            fd = open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
        }
        if (fd < 0) {
            std::abort();
        }
    };
    for (std::size_t at = 0; at + HEAD <= pending.size();) {
        std::uint64_t number;
        std::uint32_t size;
        std::memcpy(&number, pending.data() + at + 1, sizeof number);
        std::memcpy(&size, pending.data() + at + 9, sizeof size);
        const char kind = pending[at];
        if (kind == 'W') {
            open_it(0);
            put(fd, pending.data() + at + HEAD, size, number);
        } else {
            open_it(0);
            if (ftruncate(fd, static_cast<off_t>(kind == 'T' ? number : 0)) != 0) {
                std::abort();
            }
            if (kind == 'D') {
                close(fd);
                fd = -1;
                unlink(path.c_str());
            }
        }
        at += HEAD + size;
    }
    if (fd >= 0) {
        close(fd);
    }
    unlink((shadow + name + PENDING).c_str());
    deleted.erase(name);
}

// What another process left: what the system has of a file and the disk has not is pending.
void compare(const std::string &name) {
    std::string path = root + name;
    std::replace(path.begin() + static_cast<std::ptrdiff_t>(root.size()), path.end(), '|', '/');
    std::string real;
    std::string durable;
    const bool there = read_file(path, real);
    const bool lasts = read_file(shadow + name + DURABLE, durable);
    std::string pending;
    if (!there && lasts) {
        pending = record('D', 0);
        deleted.insert(name);
    } else if (there && !lasts) {
        pending = record('N', 0) + record('W', 0, real.data(),
                                          static_cast<std::uint32_t>(real.size()));
    } else if (there) {
        if (real.size() != durable.size()) {
            pending = record('T', real.size());
        }
        for (std::size_t at = 0; at < real.size(); at += SECTOR) {
            const std::size_t size = std::min(SECTOR, real.size() - at);
            if (at + size > durable.size() ||
                std::memcmp(real.data() + at, durable.data() + at, size) != 0) {
                pending += record('W', at, real.data() + at, static_cast<std::uint32_t>(size));
            }
        }
    }
    unlink((shadow + name + PENDING).c_str());
    if (!pending.empty()) {
        note(name, pending);
    }
}

void compare_all() {
    std::set<std::string> names;
    DIR *folder = opendir(shadow.c_str());
    if (folder == nullptr) {
        return;
    }
    while (const dirent *entry = readdir(folder)) {
        const std::string file = entry->d_name;
        for (const std::string &end : {DURABLE, PENDING}) {
            if (file.size() > end.size() &&
                file.compare(file.size() - end.size(), end.size(), end) == 0) {
                names.insert(file.substr(0, file.size() - end.size()));
            }
        }
    }
    closedir(folder);
    for (const std::string &name : names) {
        compare(name);
    }
}

// False when nothing is kept of a path: it is not below the data.
bool shadow_name(const char *path, std::string &name) {
    if (root.empty() || path == nullptr || std::strncmp(path, root.c_str(), root.size()) != 0) {
        return false;
    }
    name = path + root.size();
    std::replace(name.begin(), name.end(), '/', '|');
    return true;
}

// --- methods of a file

int on_close(sqlite3_file *file) {
    File *mine = reinterpret_cast<File *>(file);
    const int code = mine->real->pMethods->xClose(mine->real);
    delete mine->name;
    mine->name = nullptr;
    return code;
}

int on_read(sqlite3_file *file, void *data, int size, sqlite3_int64 at) {
    return real_of(file)->pMethods->xRead(real_of(file), data, size, at);
}

int on_write(sqlite3_file *file, const void *data, int size, sqlite3_int64 at) {
    if (fault("write_full")) {
        return SQLITE_FULL;
    }
    if (fault("write_fails")) {
        return SQLITE_IOERR_WRITE;
    }
    if (name_of(file) != nullptr) {
        note(*name_of(file), record('W', static_cast<std::uint64_t>(at), data,
                                    static_cast<std::uint32_t>(size)));
    }
    return real_of(file)->pMethods->xWrite(real_of(file), data, size, at);
}

int on_truncate(sqlite3_file *file, sqlite3_int64 size) {
    if (name_of(file) != nullptr) {
        note(*name_of(file), record('T', static_cast<std::uint64_t>(size)));
    }
    return real_of(file)->pMethods->xTruncate(real_of(file), size);
}

int on_sync(sqlite3_file *file, int flags) {
    if (fault("sync_fails")) {
        return SQLITE_IOERR_FSYNC;
    }
    if (name_of(file) == nullptr) {
        return real_of(file)->pMethods->xSync(real_of(file), flags);
    }
    if (!fault("sync_ignored")) {
        settle(*name_of(file));
        for (const std::string &name : std::set<std::string>(deleted)) {
            settle(name);
        }
    }
    return SQLITE_OK;
}

int on_file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real_of(file)->pMethods->xFileSize(real_of(file), size);
}
int on_lock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xLock(real_of(file), level);
}
int on_unlock(sqlite3_file *file, int level) {
    return real_of(file)->pMethods->xUnlock(real_of(file), level);
}
int on_check_reserved(sqlite3_file *file, int *result) {
    return real_of(file)->pMethods->xCheckReservedLock(real_of(file), result);
}
int on_control(sqlite3_file *file, int operation, void *argument) {
    return real_of(file)->pMethods->xFileControl(real_of(file), operation, argument);
}
int on_sector_size(sqlite3_file *file) {
    return real_of(file)->pMethods->xSectorSize(real_of(file));
}
int on_characteristics(sqlite3_file *file) {
    return real_of(file)->pMethods->xDeviceCharacteristics(real_of(file));
}
int on_map(sqlite3_file *file, int page, int size, int extend, void volatile **mapped) {
    return real_of(file)->pMethods->xShmMap(real_of(file), page, size, extend, mapped);
}
int on_map_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real_of(file)->pMethods->xShmLock(real_of(file), offset, count, flags);
}
void on_barrier(sqlite3_file *file) { real_of(file)->pMethods->xShmBarrier(real_of(file)); }
int on_unmap(sqlite3_file *file, int remove) {
    return real_of(file)->pMethods->xShmUnmap(real_of(file), remove);
}

// Version 2: without the mapping of a whole file, past which nothing could be seen.
const sqlite3_io_methods METHODS = {
    2, on_close, on_read, on_write, on_truncate, on_sync, on_file_size, on_lock, on_unlock,
    on_check_reserved, on_control, on_sector_size, on_characteristics, on_map, on_map_lock,
    on_barrier, on_unmap, nullptr, nullptr};

// --- methods of the disk

int on_open(sqlite3_vfs *, const char *path, sqlite3_file *file, int flags, int *out) {
    File *mine = reinterpret_cast<File *>(file);
    std::memset(static_cast<void *>(mine), 0, sizeof *mine);
    mine->real = reinterpret_cast<sqlite3_file *>(mine + 1);
    std::string name;
    const bool kept = (flags & TRACKED) != 0 && shadow_name(path, name);
    const bool there = kept && exists(path);
    const int code = system_vfs->xOpen(system_vfs, path, mine->real, flags, out);
    if (code != SQLITE_OK) {
        return code;
    }
    if (kept) {
        mine->name = new std::string(name);
        if (!there) {
            note(name, record('N', 0));
        } else if (!exists(shadow + name + DURABLE) && !exists(shadow + name + PENDING)) {
            std::string content;
            if (!read_file(path, content)) {
                std::abort();
            }
            write_file(shadow + name + DURABLE, content);
        }
    }
    mine->base.pMethods = &METHODS;
    return SQLITE_OK;
}

int on_delete(sqlite3_vfs *, const char *path, int sync) {
    std::string name;
    const bool kept = shadow_name(path, name) && exists(path);
    if (kept) {
        note(name, record('D', 0));
        deleted.insert(name);
    }
    const int code = system_vfs->xDelete(system_vfs, path, kept ? 0 : sync);
    if (kept && sync != 0 && !fault("sync_ignored")) {
        settle(name);
    }
    return code;
}

int on_access(sqlite3_vfs *, const char *path, int flags, int *result) {
    return system_vfs->xAccess(system_vfs, path, flags, result);
}
int on_full_path(sqlite3_vfs *, const char *path, int size, char *out) {
    return system_vfs->xFullPathname(system_vfs, path, size, out);
}
int on_random(sqlite3_vfs *, int size, char *out) {
    return system_vfs->xRandomness(system_vfs, size, out);
}
int on_sleep(sqlite3_vfs *, int us) { return system_vfs->xSleep(system_vfs, us); }
int on_time(sqlite3_vfs *, double *out) { return system_vfs->xCurrentTime(system_vfs, out); }
int on_last_error(sqlite3_vfs *, int size, char *out) {
    return system_vfs->xGetLastError(system_vfs, size, out);
}
int on_time_int64(sqlite3_vfs *, sqlite3_int64 *out) {
    return system_vfs->xCurrentTimeInt64(system_vfs, out);
}

void find_folders() {
    if (option_integer("losing_disk", 0) == 0) {
        return;
    }
    char *path = realpath(data_folder().c_str(), nullptr);
    if (path == nullptr) {
        std::abort();
    }
    root = std::string(path) + "/";
    std::free(path);
    shadow = root + "power/";
    mkdir(shadow.c_str(), 0755);
    compare_all();
}

}  // namespace

const char *disk_name() {
    static const char NAME[] = "mql5-disk";
    if (system_vfs == nullptr) {
        system_vfs = sqlite3_vfs_find(nullptr);
        find_folders();
        vfs.iVersion = 2;
        vfs.szOsFile = static_cast<int>(sizeof(File)) + system_vfs->szOsFile;
        vfs.mxPathname = system_vfs->mxPathname;
        vfs.zName = NAME;
        vfs.xOpen = on_open;
        vfs.xDelete = on_delete;
        vfs.xAccess = on_access;
        vfs.xFullPathname = on_full_path;
        vfs.xRandomness = on_random;
        vfs.xSleep = on_sleep;
        vfs.xCurrentTime = on_time;
        vfs.xGetLastError = on_last_error;
        vfs.xCurrentTimeInt64 = on_time_int64;
        sqlite3_vfs_register(&vfs, 0);
    }
    return NAME;
}

}  // namespace mql::runtime
