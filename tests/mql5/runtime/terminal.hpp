// The terminal around the program: its event queue, its timer, its life from OnInit to OnDeinit.
#pragma once

#include <string>

namespace mql::runtime {

// Runs the program until it ends; returns the exit code.
int run_program();

// Whether the program is asked to end: IsStopped. Hears the host first.
bool stop_requested();
// Ends a program whose OnDeinit takes longer than MetaTrader lets it. Every wait calls it.
void check_deinit_limit();
// Assigns one `--input name=value`; false with a line in the journal when that cannot be.
void give_input(const std::string &name, const std::string &value);
// Whether the process stands for an expert of the Strategy Tester, or for an indicator.
bool is_tester();
bool is_indicator();

// What MQL5's functions do to the terminal.
bool set_timer(long long period_ms);
void kill_timer();
void request_removal();
int uninitialize_reason();
void post_chart_event(int id, long long lparam, double dparam, const std::string &sparam);
const std::string &chart_symbol();
int chart_period();

// Assign the predefined variables: _Symbol and the like, _StopFlag and _UninitReason.
void set_chart_variables();
void set_stop_flag(bool stop, int reason);

}  // namespace mql::runtime
