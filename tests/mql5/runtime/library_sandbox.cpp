#include "library_sandbox.hpp"

#include <filesystem>
#include <system_error>
#include <vector>

#include "library_text.hpp"
#include "options.hpp"

namespace mql::runtime {
namespace {

namespace fs = std::filesystem;

constexpr int ERR_WRONG_FILENAME = 5002;
constexpr int ERR_TOO_LONG_FILENAME = 5003;
// Windows' MAX_PATH counts the folder of the terminal, which is about 110 characters on a real
// machine; here the name alone is counted, and may be as long as what is left.
constexpr std::size_t LONGEST_NAME = 150;

bool same_letters(std::u16string_view left, std::u16string_view right) {
    if (left.size() != right.size()) {
        return false;
    }
    for (std::size_t i = 0; i < left.size(); ++i) {
        if (lower(left[i]) != lower(right[i])) {
            return false;
        }
    }
    return true;
}

// What Windows refuses in a part of a path; a dot or a blank at its end would silently be dropped
// there, so that two names were one file: refused as well.
bool is_valid_part(std::u16string_view part) {
    for (const char16_t unit : part) {
        if (unit < 0x20 || std::u16string_view(u"<>:\"|?*").find(unit) != part.npos) {
            return false;
        }
    }
    return part.back() != u'.' && part.back() != u' ';
}

// The existing entry of that name in any case of letters, or the name as it was written.
fs::path entry_of(const fs::path &folder, std::u16string_view part) {
    fs::path wanted = folder / utf8_of(part);
    std::error_code ignored;
    if (fs::exists(fs::symlink_status(wanted, ignored))) {
        return wanted;
    }
    for (const auto &entry : fs::directory_iterator(folder, ignored)) {
        if (same_letters(utf16_of(entry.path().filename().string()), part)) {
            return entry.path();
        }
    }
    return wanted;
}

}  // namespace

std::string sandbox_folder(bool common) {
    const fs::path data = data_folder();
    const fs::path folder = common ? data / "Common" / "Files" : data / "MQL5" / "Files";
    std::error_code ignored;
    fs::create_directories(folder, ignored);
    return folder.string();
}

int sandbox_path(std::u16string_view name, bool common, std::string &path) {
    if (name.empty() || name.front() == u'\\' || name.front() == u'/') {
        return ERR_WRONG_FILENAME;
    }
    if (name.size() > LONGEST_NAME) {
        return ERR_TOO_LONG_FILENAME;
    }
    fs::path found = sandbox_folder(common);
    std::size_t at = 0;
    while (at <= name.size()) {
        const std::size_t end = std::min(name.find_first_of(u"\\/", at), name.size());
        const std::u16string_view part = name.substr(at, end - at);
        at = end + 1;
        if (part == u".") {
            continue;
        }
        if (part.empty() || !is_valid_part(part)) {
            return ERR_WRONG_FILENAME;
        }
        found = entry_of(found, part);
        // A link in the sandbox must not lead out of it either: there are none on Windows.
        if (fs::is_symlink(fs::symlink_status(found))) {
            return ERR_WRONG_FILENAME;
        }
    }
    path = found.string();
    return 0;
}

bool make_folders_above(const std::string &path) {
    std::error_code error;
    fs::create_directories(fs::path(path).parent_path(), error);
    return !error;
}

}  // namespace mql::runtime
