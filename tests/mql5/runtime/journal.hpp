// What the program says: lines to the host, with their time.
#pragma once

#include <string>

namespace mql::runtime {

// Kinds: "print", "alert", "comment", "error" (critical errors, leaks), "note" (the runtime's own).
// `text` is UTF-8. Before the link is up, it goes to standard error.
void journal(const char *kind, const std::string &text);

}  // namespace mql::runtime
