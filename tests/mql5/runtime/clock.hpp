// The one clock of the process: real, or virtual and moved by the host alone.
//
// Nothing else may read the time or wait. Every wait ends early when there is something to do.
#pragma once

namespace mql::runtime {

// Microseconds since the program was started: GetMicrosecondCount.
long long clock_us();
// Milliseconds since 1970 in UTC: TimeGMT, in milliseconds. It may jump, as a PC's clock does.
long long utc_ms();
// Milliseconds since the machine was started: GetTickCount64 before its granularity.
long long uptime_ms();
// Seconds to add to UTC for the PC's local time, and for the trade server's.
long long local_offset_s();
long long server_offset_s();
// The trade server's last known time in ms (time of the newest quote): asks the host.
long long server_last_msc();
// Whether the trade server's own clock is asked for (option `server_time=asked`), and its time.
bool server_is_asked();
long long server_now_msc();
bool clock_is_virtual();

constexpr long long NEVER_US = 0x7fff'ffff'ffff'ffffLL;

enum class Why : unsigned char;

// Waits until the time is reached or the host has sent something; the caller looks again.
// `fd` (with poll's `events`) also ends the wait, -1 for none. Returns whether fd is ready.
bool wait_until(long long until_us, Why why, int fd = -1, short events = 0);

// Sets the clock up from the options, once.
void clock_start();

}  // namespace mql::runtime
