// Options of the process: `--option name=value` on its command line.
#pragma once

#include <string>
#include <vector>

namespace mql::runtime {

// The option's text, or what stands in for it.
std::string option(const char *name, const std::string &otherwise = "");
long long option_integer(const char *name, long long otherwise);
double option_number(const char *name, double otherwise);
// The parts of a list separated by commas.
bool option_has(const char *name, const char *part);
// The folder that stands for the terminal's data: <folder>/MQL5/Files, <folder>/Common/Files.
std::string data_folder();

void set_option(const std::string &name, const std::string &value);

}  // namespace mql::runtime
