// The disk under SQLite: a VFS on top of the system's, which can lose what was never synced.
//
// With option `losing_disk=1` there are two files in <data>/power/ for each file of a database
// (itself, its journal, its WAL): NAME.durable, what a loss of power leaves for certain, and
// NAME.pending, what was written since: records that tests/mql5/power.py reads. A sync moves the
// second into the first; nothing is really synced, which would only take time. A process that is
// killed leaves both: what it wrote is in the system's memory, and whoever syncs next syncs it.
//
// NAME is the path below <data>, with | for /. Records: u8 kind, u64 offset or size, u32 length,
// bytes. Kinds: 'W' write, 'T' truncate to a size, 'N' the file was made, 'D' it was deleted. A
// deletion lasts when it is synced itself, or when any file is synced later on.
//
// Faults (option `sqlite`, see library_sqlite.hpp): write_full, write_fails, sync_fails,
// sync_ignored (the disk says that it has, and has not).
#pragma once

namespace mql::runtime {

// Registers the VFS at its first call; returns its name.
const char *disk_name();

}  // namespace mql::runtime
