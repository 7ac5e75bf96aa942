// Global variables of the terminal: names with a number, kept between runs in a file of the data
// folder.
//
// As in a terminal they are written when it ends (close_library) and by GlobalVariablesFlush: what
// was set before the process is killed is lost.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "clock.hpp"
#include "library.hpp"
#include "library_globals.hpp"
#include "library_sandbox.hpp"
#include "library_text.hpp"
#include "options.hpp"

namespace mql {
namespace {

using runtime::fail;

constexpr std::size_t LONGEST_NAME = 63;
constexpr datetime FOUR_WEEKS = 4 * 7 * 86400;

struct Variable {
    double value;
    datetime accessed;
    bool temporary;
};

std::map<std::u16string, Variable> variables;
bool loaded = false;

datetime now() { return runtime::utc_ms() / 1000 + runtime::local_offset_s(); }

std::string file_of_variables() { return runtime::data_folder() + "/gvariables.txt"; }

// A line is: time of the last access, value as hexadecimal floating point, name in UTF-8.
void load() {
    if (loaded) {
        return;
    }
    loaded = true;
    std::ifstream file(file_of_variables());
    std::string line;
    while (std::getline(file, line)) {
        const std::size_t first = line.find(' ');
        const std::size_t second = line.find(' ', first + 1);
        if (first == line.npos || second == line.npos) {
            fail(ERR_GLOBALVARIABLE_CANNOTREAD);
            return;
        }
        const datetime accessed = std::strtoll(line.c_str(), nullptr, 10);
        if (now() - accessed <= FOUR_WEEKS) {
            variables[runtime::utf16_of(std::string_view(line).substr(second + 1))] = {
                std::strtod(line.c_str() + first, nullptr), accessed, false};
        }
    }
}

Variable *find(const string &name) {
    load();
    const auto found = variables.find(name.units());
    if (found == variables.end()) {
        fail(ERR_GLOBALVARIABLE_NOT_FOUND);
        return nullptr;
    }
    return &found->second;
}

bool is_name(const string &name) {
    return !name.empty() && name.size() <= LONGEST_NAME ? true : fail(ERR_INVALID_PARAMETER);
}

}  // namespace

namespace runtime {

void save_globals() {
    if (!loaded) {
        return;
    }
    const std::string path = file_of_variables();
    const std::string next = path + ".new";
    make_folders_above(path);
    std::ofstream file(next);
    for (const auto &[name, variable] : variables) {
        if (!variable.temporary) {
            char value[40];
            std::snprintf(value, sizeof value, "%a", variable.value);
            file << variable.accessed << ' ' << value << ' ' << utf8_of(name) << '\n';
        }
    }
    file.close();
    if (!file || std::rename(next.c_str(), path.c_str()) != 0) {
        fail(ERR_GLOBALVARIABLE_CANNOTWRITE);
    }
}

void forget_globals() {
    variables.clear();
    loaded = false;
}

}  // namespace runtime

bool GlobalVariableCheck(const string &name) {
    Variable *found = find(name);
    if (found == nullptr) {
        return false;
    }
    found->accessed = now();
    return true;
}

datetime GlobalVariableTime(const string &name) {
    const Variable *found = find(name);
    return found == nullptr ? 0 : found->accessed;
}

bool GlobalVariableDel(const string &name) {
    if (find(name) == nullptr) {
        return false;
    }
    variables.erase(name.units());
    return true;
}

bool GlobalVariableGet(const string &name, double &double_var) {
    Variable *found = find(name);
    if (found == nullptr) {
        return false;
    }
    found->accessed = now();
    double_var = found->value;
    return true;
}

double GlobalVariableGet(const string &name) {
    double value = 0;
    GlobalVariableGet(name, value);
    return value;
}

string GlobalVariableName(int index) {
    load();
    if (index < 0 || index >= static_cast<int>(variables.size())) {
        fail(ERR_GLOBALVARIABLE_NOT_FOUND);
        return string(std::u16string());
    }
    return string(std::next(variables.begin(), index)->first);
}

datetime GlobalVariableSet(const string &name, double value) {
    load();
    if (!is_name(name)) {
        return 0;
    }
    const auto found = variables.find(name.units());
    const bool temporary = found != variables.end() && found->second.temporary;
    const datetime accessed = now();
    variables[name.units()] = {value, accessed, temporary};
    return accessed;
}

void GlobalVariablesFlush() {
    load();
    runtime::save_globals();
}

bool GlobalVariableTemp(const string &name) {
    load();
    if (!is_name(name)) {
        return false;
    }
    if (variables.count(name.units()) > 0) {
        return fail(ERR_GLOBALVARIABLE_EXISTS);
    }
    variables[name.units()] = {0, now(), true};
    return true;
}

bool GlobalVariableSetOnCondition(const string &name, double value, double check_value) {
    Variable *found = find(name);
    if (found == nullptr) {
        return false;
    }
    if (found->value != check_value) {
        return fail(ERR_GLOBALVARIABLE_NOT_MODIFIED);
    }
    found->value = value;
    found->accessed = now();
    return true;
}

int GlobalVariablesDeleteAll(const string &prefix_name, datetime limit_data) {
    load();
    int count = 0;
    for (auto at = variables.begin(); at != variables.end();) {
        const bool named = at->first.compare(0, prefix_name.size(), prefix_name.units()) == 0;
        if (named && (limit_data == 0 || at->second.accessed < limit_data)) {
            at = variables.erase(at);
            ++count;
        } else {
            ++at;
        }
    }
    return count;
}

int GlobalVariablesTotal() {
    load();
    return static_cast<int>(variables.size());
}

}  // namespace mql
