#include "options.hpp"

#include <cstdlib>
#include <map>

namespace mql::runtime {

namespace {

std::map<std::string, std::string> &all() {
    static std::map<std::string, std::string> options;
    return options;
}

}  // namespace

std::string option(const char *name, const std::string &otherwise) {
    const auto found = all().find(name);
    return found == all().end() ? otherwise : found->second;
}

long long option_integer(const char *name, long long otherwise) {
    const std::string text = option(name);
    return text.empty() ? otherwise : std::strtoll(text.c_str(), nullptr, 10);
}

double option_number(const char *name, double otherwise) {
    const std::string text = option(name);
    return text.empty() ? otherwise : std::strtod(text.c_str(), nullptr);
}

bool option_has(const char *name, const char *part) {
    return ("," + option(name) + ",").find("," + std::string(part) + ",") != std::string::npos;
}

std::string data_folder() { return option("data", "."); }

void set_option(const std::string &name, const std::string &value) { all()[name] = value; }

}  // namespace mql::runtime
