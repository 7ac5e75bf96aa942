// The program's life, its clock and its chart, as MQL5's functions.
#include <algorithm>
#include <string>

#include "api.hpp"
#include "clock.hpp"
#include "journal.hpp"
#include "link.hpp"
#include "options.hpp"
#include "program.hpp"
#include "terminal.hpp"

namespace mql {

namespace {

using namespace runtime;

constexpr int WRONG_PARAMETER = 4003;
constexpr int NO_CHART = 4101;
constexpr int NO_TIMER = 4108;
constexpr int CUSTOM_EVENT_MAX = 65'535;
constexpr std::size_t SPARAM_MAX = 63;
constexpr long long CHART = 1;  // the id of the one chart there is

// The granularity of the system's timer, as Sleep and GetTickCount see it.
long long whole_steps(long long us, long long step_us) {
    return step_us <= 1 ? us : us / step_us * step_us;
}

long long tick_count_ms() {
    const long long step_ms = option_integer("tick_count_granularity_ms", 1);
    return whole_steps(uptime_ms(), step_ms);
}

bool is_this_chart(long long chart_id) {
    if (chart_id == 0 || chart_id == CHART) {
        return true;
    }
    _LastError = NO_CHART;
    return false;
}

datetime filled(datetime seconds, MqlDateTime &fields) {
    TimeToStruct(seconds, fields);
    return seconds;
}

}  // namespace

string _Symbol;
ENUM_TIMEFRAMES _Period = PERIOD_M1;
int _Digits = 0;
double _Point = 0.0;
int _StopFlag = 0;
int _UninitReason = 0;
int _IsX64 = 1;
int _AppliedTo = 0;

namespace runtime {

void set_chart_variables() {
    _Symbol = string::from_utf8(chart_symbol());
    _Period = static_cast<ENUM_TIMEFRAMES>(chart_period());
    if (!link_is_open()) {
        return;  // a self test, which has no market
    }
    _Digits = static_cast<int>(SymbolInfoInteger(_Symbol, SYMBOL_DIGITS));
    _Point = SymbolInfoDouble(_Symbol, SYMBOL_POINT);
    _LastError = 0;
}

void set_stop_flag(bool stop, int reason) {
    _StopFlag = stop ? 1 : 0;
    _UninitReason = reason;
}

}  // namespace runtime

// --- time

uint GetTickCount() { return static_cast<uint>(tick_count_ms()); }
ulong GetTickCount64() { return static_cast<ulong>(tick_count_ms()); }
ulong GetMicrosecondCount() { return static_cast<ulong>(clock_us()); }
datetime TimeCurrent() { return server_last_msc() / 1000; }
datetime TimeGMT() { return utc_ms() / 1000; }
datetime TimeLocal() { return TimeGMT() + local_offset_s(); }
datetime TimeTradeServer() {
    return server_is_asked() ? server_now_msc() / 1000 : TimeGMT() + server_offset_s();
}
datetime TimeCurrent(MqlDateTime &dt_struct) { return filled(TimeCurrent(), dt_struct); }
datetime TimeGMT(MqlDateTime &dt_struct) { return filled(TimeGMT(), dt_struct); }
datetime TimeLocal(MqlDateTime &dt_struct) { return filled(TimeLocal(), dt_struct); }
datetime TimeTradeServer(MqlDateTime &dt_struct) { return filled(TimeTradeServer(), dt_struct); }
int TimeGMTOffset() { return static_cast<int>(-local_offset_s()); }
int TimeDaylightSavings() { return 0; }

void Sleep(int milliseconds) {
    if (is_indicator() || milliseconds < 0) {
        return;
    }
    // A sleep ends at a tick of the system's timer: 1 ms or 15.6 ms, nobody knows which.
    const long long step_us = std::max(1LL, option_integer("sleep_granularity_us", 1000));
    const long long now_us = clock_us();
    const long long asked_us = now_us + milliseconds * 1000LL;
    const long long until_us = (asked_us + step_us - 1) / step_us * step_us;
    while (clock_us() < until_us) {
        // The halt flag is looked at every 100 ms, and not before.
        const long long look_us = std::min(until_us, clock_us() + 100'000);
        while (clock_us() < look_us) {
            wait_until(look_us, Why::SLEEP);
        }
        if (stop_requested()) {
            return;
        }
    }
}

// --- the program's life

bool IsStopped() { return stop_requested(); }
int UninitializeReason() { return uninitialize_reason(); }
void ExpertRemove() { request_removal(); }

bool EventSetMillisecondTimer(int milliseconds) {
    if (!set_timer(milliseconds)) {
        _LastError = milliseconds <= 0 ? WRONG_PARAMETER : NO_TIMER;
        return false;
    }
    return true;
}

bool EventSetTimer(int seconds) {
    if (!set_timer(seconds * 1000LL)) {
        _LastError = seconds <= 0 ? WRONG_PARAMETER : NO_TIMER;
        return false;
    }
    return true;
}

void EventKillTimer() { kill_timer(); }

bool EventChartCustom(long long chart_id, ushort custom_event_id, long long lparam, double dparam,
                      const string &sparam) {
    if (!is_this_chart(chart_id)) {
        return false;
    }
    const int id = std::min<int>(CHARTEVENT_CUSTOM + custom_event_id, CUSTOM_EVENT_MAX);
    const string cut(std::u16string(sparam.units(), 0, SPARAM_MAX));
    post_chart_event(id, lparam, dparam, cut.utf8());
    return true;
}

// --- the chart

string Symbol() { return _Symbol; }
ENUM_TIMEFRAMES Period() { return _Period; }
int Digits() { return _Digits; }
double Point() { return _Point; }
long long ChartID() { return CHART; }
long long ChartFirst() { return CHART; }
long long ChartNext(long long chart_id) {
    // Without a chart to begin from, the first one.
    return chart_id == 0 ? CHART : -1;
}
string ChartSymbol(long long chart_id) { return is_this_chart(chart_id) ? _Symbol : string(""); }
ENUM_TIMEFRAMES ChartPeriod(long long chart_id) {
    return is_this_chart(chart_id) ? _Period : PERIOD_CURRENT;
}
void ChartRedraw(long long chart_id) { static_cast<void>(is_this_chart(chart_id)); }

bool ChartSetString(long long chart_id, ENUM_CHART_PROPERTY_STRING prop_id,
                    const string &str_value) {
    if (!is_this_chart(chart_id)) {
        return false;
    }
    if (prop_id == CHART_COMMENT) {
        journal("comment", str_value.utf8());
    }
    return true;
}

bool ChartGetString(long long chart_id, ENUM_CHART_PROPERTY_STRING prop_id, string &string_var) {
    if (!is_this_chart(chart_id)) {
        return false;
    }
    string_var = string(prop_id == CHART_EXPERT_NAME ? program.name : "");
    return true;
}

string ChartGetString(long long chart_id, ENUM_CHART_PROPERTY_STRING prop_id) {
    string text("");
    ChartGetString(chart_id, prop_id, text);
    return text;
}

}  // namespace mql
