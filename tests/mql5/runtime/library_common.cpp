// What belongs to no group, and the end of the library.
#include "library.hpp"
#include "library_files.hpp"
#include "library_globals.hpp"
#include "library_sqlite.hpp"

namespace mql {

namespace runtime {

void close_library() {
    close_files();
    sqlite_close_all();
    save_globals();
}

}  // namespace runtime

int PeriodSeconds(ENUM_TIMEFRAMES period) {
    constexpr int MINUTE = 60;
    constexpr int HOUR = 3600;
    constexpr int DAY = 86400;
    const int number = period == PERIOD_CURRENT ? _Period : period;
    // The numbers of the timeframes say themselves what they are: D:0087.
    if (number == PERIOD_W1) {
        return 7 * DAY;
    }
    if (number == PERIOD_MN1) {
        return 30 * DAY;
    }
    if (number >= PERIOD_H1 && number <= PERIOD_D1) {
        return (number - PERIOD_H1 + 1) * HOUR;
    }
    return number * MINUTE;
}

}  // namespace mql
