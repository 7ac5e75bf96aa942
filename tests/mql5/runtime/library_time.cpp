// Dates as fields. The clocks are the terminal's: terminal_functions.cpp.
#include "library.hpp"
#include "library_text.hpp"

namespace mql {

bool TimeToStruct(datetime dt, MqlDateTime &dt_struct) {
    if (!runtime::is_datetime(dt)) {
        return runtime::fail(ERR_INVALID_DATETIME);
    }
    const runtime::Date date = runtime::date_of(dt);
    dt_struct.year = date.year;
    dt_struct.mon = date.month;
    dt_struct.day = date.day;
    dt_struct.hour = date.hour;
    dt_struct.min = date.minute;
    dt_struct.sec = date.second;
    dt_struct.day_of_week = date.day_of_week;
    dt_struct.day_of_year = date.day_of_year;
    return true;
}

datetime StructToTime(const MqlDateTime &dt_struct) {
    const runtime::Date date{dt_struct.year, dt_struct.mon, dt_struct.day, dt_struct.hour,
                             dt_struct.min,  dt_struct.sec, 0,             0};
    datetime seconds = 0;
    if (!runtime::seconds_of(date, seconds)) {
        runtime::fail(ERR_INVALID_DATETIME);
        return 0;
    }
    return seconds;
}

}  // namespace mql
