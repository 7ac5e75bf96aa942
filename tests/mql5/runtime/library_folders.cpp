// Files and folders by their names: what exists, copying, moving, deleting, searching.
#include <sys/stat.h>

#include <filesystem>
#include <map>

#include "library.hpp"
#include "library_files.hpp"
#include "library_sandbox.hpp"
#include "library_text.hpp"

namespace mql {
namespace {

namespace fs = std::filesystem;
using runtime::fail;

struct Search {
    std::vector<std::string> names;
    std::size_t next;
};

std::map<long_, Search> searches;
long_ next_search = 1;

bool path_of(const string &name, int common_flag, std::string &path) {
    const bool common = (common_flag & FILE_COMMON) != 0;
    return runtime::done(runtime::sandbox_path(name.units(), common, path));
}

// An existing file (not a folder) with that name.
bool file_of(const string &name, int common_flag, std::string &path) {
    if (!path_of(name, common_flag, path)) {
        return false;
    }
    std::error_code ignored;
    const fs::file_status status = fs::status(path, ignored);
    if (fs::is_directory(status)) {
        return fail(ERR_FILE_IS_DIRECTORY);
    }
    return fs::exists(status) ? true : fail(ERR_FILE_NOT_EXIST);
}

// An existing folder.
bool folder_of(const string &name, int common_flag, std::string &path) {
    if (!path_of(name, common_flag, path)) {
        return false;
    }
    std::error_code ignored;
    const fs::file_status status = fs::status(path, ignored);
    if (!fs::exists(status)) {
        return fail(ERR_DIRECTORY_NOT_EXIST);
    }
    return fs::is_directory(status) ? true : fail(ERR_FILE_ISNOT_DIRECTORY);
}

// Copies or moves; what is there already is only replaced with FILE_REWRITE.
bool transfer(const string &source, int common_flag, const string &target, int mode_flags,
              bool move) {
    std::string from;
    std::string to;
    if (!file_of(source, common_flag, from) || !path_of(target, mode_flags, to)) {
        return false;
    }
    std::error_code error;
    if (fs::exists(to, error) && (mode_flags & FILE_REWRITE) == 0) {
        return fail(ERR_FILE_CANNOT_REWRITE);
    }
    if (runtime::is_open_file(to) || (move && runtime::is_open_file(from))) {
        return fail(ERR_CANNOT_OPEN_FILE);
    }
    runtime::make_folders_above(to);
    if (move) {
        fs::rename(from, to, error);
    } else {
        fs::copy_file(from, to, fs::copy_options::overwrite_existing, error);
    }
    return error ? fail(ERR_CANNOT_OPEN_FILE) : true;
}

// '*' is any number of characters, '?' one, letters in any case.
bool matches(std::u16string_view pattern, std::u16string_view name) {
    if (pattern.empty()) {
        return name.empty();
    }
    if (pattern.front() == u'*') {
        return matches(pattern.substr(1), name) ||
               (!name.empty() && matches(pattern, name.substr(1)));
    }
    return !name.empty() &&
           (pattern.front() == u'?' ||
            runtime::lower(pattern.front()) == runtime::lower(name.front())) &&
           matches(pattern.substr(1), name.substr(1));
}

}  // namespace

bool FileIsExist(const string &file_name, int common_flag) {
    std::string path;
    return file_of(file_name, common_flag, path);
}

bool FileDelete(const string &file_name, int common_flag) {
    std::string path;
    if (!file_of(file_name, common_flag, path)) {
        return false;
    }
    std::error_code error;
    if (runtime::is_open_file(path) || !fs::remove(path, error)) {
        return fail(ERR_CANNOT_DELETE_FILE);
    }
    return true;
}

bool FileCopy(const string &src_file_name, int common_flag, const string &dst_file_name,
              int mode_flags) {
    return transfer(src_file_name, common_flag, dst_file_name, mode_flags, false);
}

bool FileMove(const string &src_file_name, int common_flag, const string &dst_file_name,
              int mode_flags) {
    return transfer(src_file_name, common_flag, dst_file_name, mode_flags, true);
}

long_ FileGetInteger(const string &file_name, ENUM_FILE_PROPERTY_INTEGER property_id,
                     bool common_folder) {
    std::string path;
    if (!path_of(file_name, common_folder ? FILE_COMMON : 0, path)) {
        return -1;
    }
    struct stat status {};
    const bool exists = ::stat(path.c_str(), &status) == 0;
    if (!exists && property_id != FILE_EXISTS) {
        fail(ERR_FILE_NOT_EXIST);
        return -1;
    }
    // Documented: success sets it to 0, and a folder is an answer with an error.
    _LastError = exists && S_ISDIR(status.st_mode) ? ERR_FILE_IS_DIRECTORY : 0;
    switch (property_id) {
        case FILE_EXISTS:
            return exists ? 1 : 0;
        case FILE_CREATE_DATE:
            return status.st_ctime;
        case FILE_MODIFY_DATE:
            return status.st_mtime;
        case FILE_ACCESS_DATE:
            return status.st_atime;
        case FILE_SIZE:
            return status.st_size;
        default:
            fail(ERR_INVALID_PARAMETER);
            return -1;
    }
}

bool FolderCreate(const string &folder_name, int common_flag) {
    std::string path;
    if (!path_of(folder_name, common_flag, path)) {
        return false;
    }
    std::error_code error;
    fs::create_directories(path, error);
    return error || !fs::is_directory(path, error) ? fail(ERR_WRONG_DIRECTORYNAME) : true;
}

bool FolderDelete(const string &folder_name, int common_flag) {
    std::string path;
    if (!folder_of(folder_name, common_flag, path)) {
        return false;
    }
    std::error_code error;
    return fs::remove(path, error) ? true : fail(ERR_CANNOT_DELETE_DIRECTORY);
}

bool FolderClean(const string &folder_name, int common_flag) {
    std::string path;
    if (!folder_of(folder_name, common_flag, path)) {
        return false;
    }
    std::error_code error;
    std::vector<fs::path> inside;
    for (const auto &entry : fs::recursive_directory_iterator(path, error)) {
        if (runtime::is_open_file(entry.path().string())) {
            return fail(ERR_CANNOT_CLEAN_DIRECTORY);
        }
    }
    for (const auto &entry : fs::directory_iterator(path, error)) {
        inside.push_back(entry.path());
    }
    for (const fs::path &entry : inside) {
        fs::remove_all(entry, error);
        if (error) {
            return fail(ERR_CANNOT_CLEAN_DIRECTORY);
        }
    }
    return true;
}

long_ FileFindFirst(const string &file_filter, string &returned_filename, int common_flag) {
    const std::u16string &filter = file_filter.units();
    const std::size_t end = filter.find_last_of(u"\\/");
    const std::u16string pattern = end == filter.npos ? filter : filter.substr(end + 1);
    const bool common = (common_flag & FILE_COMMON) != 0;
    std::string folder = runtime::sandbox_folder(common);
    if (pattern.empty() ||
        (end != filter.npos && !path_of(string(filter.substr(0, end)), common_flag, folder))) {
        fail(ERR_WRONG_FILENAME);
        return INVALID_HANDLE;
    }
    Search search{{}, 0};
    std::error_code error;
    for (const auto &entry : fs::directory_iterator(folder, error)) {
        const std::string name = entry.path().filename().string();
        if (matches(pattern, runtime::utf16_of(name))) {
            search.names.push_back(entry.is_directory(error) ? name + "\\" : name);
        }
    }
    if (search.names.empty()) {
        fail(ERR_FILE_NOT_EXIST);
        return INVALID_HANDLE;
    }
    // A file system gives no order; NTFS gives the alphabet.
    std::sort(search.names.begin(), search.names.end());
    const long_ handle = next_search++;
    searches[handle] = std::move(search);
    return FileFindNext(handle, returned_filename) ? handle : INVALID_HANDLE;
}

bool FileFindNext(long_ search_handle, string &returned_filename) {
    const auto found = searches.find(search_handle);
    if (found == searches.end()) {
        return fail(ERR_WRONG_FILEHANDLE);
    }
    Search &search = found->second;
    if (search.next == search.names.size()) {
        return fail(ERR_FILE_ENDOFFILE);
    }
    returned_filename = string(runtime::utf16_of(search.names[search.next++]));
    return true;
}

void FileFindClose(long_ search_handle) {
    if (searches.erase(search_handle) == 0) {
        fail(ERR_WRONG_FILEHANDLE);
    }
}

}  // namespace mql
