// The two folders in which a program may have files, and the way from a name in MQL5 to a path.
#pragma once

#include <string>
#include <string_view>

namespace mql::runtime {

// <data>/MQL5/Files or <data>/Common/Files; made when it is not there.
std::string sandbox_folder(bool common);

// The path of a name relative to its folder; 0 or the error code of MetaTrader:
// 5002 (invalid, absolute or leaving the sandbox) or 5003 (too long). Back-slashes separate; the
// case of letters does not matter where something of that name exists, as on Windows.
int sandbox_path(std::u16string_view name, bool common, std::string &path);

// Makes the folders above a path that is inside the sandbox.
bool make_folders_above(const std::string &path);

}  // namespace mql::runtime
