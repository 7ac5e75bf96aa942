// The open files of a program.
#pragma once

#include <cstddef>
#include <string>

namespace mql::runtime {

// Whether this program has the file open: Windows would not let it be deleted or moved.
bool is_open_file(const std::string &path);

// What the terminal does when it ends.
void close_files();
// For tests: what a program forgot to close.
std::size_t open_files();

}  // namespace mql::runtime
