// What a terminal does with its global variables when it ends, and when it starts again.
#pragma once

namespace mql::runtime {

void save_globals();
// Closes files and databases, saves global variables: the end of the terminal.
void close_library();
// For tests: the next access reads the file again.
void forget_globals();

}  // namespace mql::runtime
