"""
A mechanism is taken out, and the scripts that show it fail: they have teeth.
"""

from __future__ import annotations

import pytest

from bridge.journal import Journal, MemoryStore
from bridge.relay.open_commands import OpenCommands
from bridge.relay.order_commands import Stage
from bridge.relay.registry import Terminals
from bridge.relay.trading import TerminalTrading
from bridge.sim.ledger import MemoryLedger
from bridge.sim.trading import Trading, TradingDesk
from bridge.sim.trading_events import EventStream
from bridge.sim.trading_executor import Executor
from bridge.wire.protocol import RelaySession, TerminalSession
from bridge.wire.session import Session
from tests.conformance.language import ScriptError, read_script
from tests.conformance.player import Player
from tests.conformance.scripts import FOLDER
from tests.conformance.sides import make_peer


def nothing(*_, **__):
    return None


def tags_are_believed(patch):
    patch.setattr("bridge.wire.auth.same", lambda _, __: True)


def numbers_are_believed(patch):
    receive = Session._receive_frame

    def receive_any(self, frame, now_us):
        self._receive_seq = int.from_bytes(frame[8:16], "little") - 1
        receive(self, frame, now_us)

    patch.setattr(Session, "_receive_frame", receive_any)


def lengths_are_believed(patch):
    patch.setattr("bridge.wire.session.FRAME_MAX", 2**32)
    patch.setattr("bridge.wire.session.LOGON_FRAME_MAX", 2**32)


def silence_is_no_end(patch):
    patch.setattr(Session, "_silent_since", lambda self: 2**62)


def busy_means_nothing(patch):
    patch.setattr(Session, "_silent_since", lambda self: self.last_received_us)


def anything_ends_busy(patch):
    receive = RelaySession.receive_data

    def receive_data(self, data, now_us):
        self.busy_until_us = self.busy_until_us if not data or data[4] == 8 else 0
        receive(self, data, now_us)

    patch.setattr(RelaySession, "receive_data", receive_data)


def older_relays_are_welcome(patch):
    patch.setattr(Trading, "_see_epoch", nothing)
    patch.setattr(TradingDesk, "_see_epoch", nothing)


def everybody_comes_in(patch):
    def admit(self, terminal, link, now_us):
        terminal.link_up(link, now_us)

    patch.setattr(Terminals, "admit", admit)


def capabilities_mean_nothing(patch):
    patch.setattr("bridge.sim.terminal.refusal_of", nothing)


def the_ledger_is_not_asked(patch):
    patch.setattr(Executor, "known", nothing)


def the_ledger_forgets(patch):
    patch.setattr(MemoryLedger, "write", nothing)


def nobody_looks_whom_it_is_for(patch):
    patch.setattr(Executor, "_check_address", nothing)


def the_terminal_has_no_limits(patch):
    patch.setattr(Executor, "_check_limits", nothing)


def permissions_are_not_looked_at(patch):
    patch.setattr("bridge.sim.trading_executor._check_permissions", nothing)


def not_found_is_believed_at_once(patch):
    patch.setattr(TradingDesk, "_is_settled", lambda *_: True)


def halt_is_not_obeyed(patch):
    patch.setattr(Trading, "halt", nothing)


def events_have_no_cursor(patch):
    begin = EventStream.begin
    patch.setattr(EventStream, "begin", lambda self, _, *a, **k: begin(self, None, *a, **k))


def the_relay_sends_again(patch):
    link_up = OpenCommands.link_up

    def link_up_and_send(self, now):
        link_up(self, now)
        self.unheard.clear()
        for command in self:
            if command.stage is Stage.ASKING:
                command.stage, command.session = Stage.READY, self._desk.session

    patch.setattr(OpenCommands, "link_up", link_up_and_send)


def new_orders_do_not_wait(patch):
    link_up = OpenCommands.link_up

    def link_up_only(self, now):
        link_up(self, now)
        self.unheard.clear()

    patch.setattr(OpenCommands, "link_up", link_up_only)


def any_ledger_decides(patch):
    patch.setattr("bridge.relay.open_commands._OF_ITS_LEDGER", frozenset())


def netting_has_no_rule(patch):
    patch.setattr(OpenCommands, "unresolved", lambda _: frozenset())


def the_relay_sends_before_it_has_written(patch):
    reserve = Journal.reserve

    def reserve_and_go_on(self, entries, done, **options):
        answer = reserve(self, entries, done, **options)
        done(None)
        return answer

    patch.setattr(Journal, "reserve", reserve_and_go_on)


def the_relay_forgets(patch):
    crash = MemoryStore.crash

    def crash_and_lose(self):
        crash(self)
        self._entries.clear()
        self._states.clear()
        self._cursors.clear()

    patch.setattr(MemoryStore, "crash", crash_and_lose)


def no_event_says_anything_of_an_order(patch):
    patch.setattr(TerminalTrading, "_noticed", nothing)


def nonces_are_not_checked(patch):
    receive = TerminalSession._receive_challenge

    def receive_any(self, body):
        patch.setattr("bridge.wire.auth.same", lambda _, __: True)
        receive(self, body)

    patch.setattr(TerminalSession, "_receive_challenge", receive_any)


#: what is taken out, and scripts that must notice
TAKEN_OUT = {
    tags_are_believed: (
        "frames/relay_wrong_tag",
        "frames/terminal_order_with_a_wrong_tag",
        "frames/terminal_order_without_a_tag",
        "logon/relay_meets_a_wrong_proof",
        "logon/relay_is_played_a_recorded_terminal",
    ),
    nonces_are_not_checked: (
        "logon/terminal_meets_a_relay_without_its_key",
        "logon/terminal_is_played_a_recorded_relay",
    ),
    numbers_are_believed: (
        "sequence/relay_too_high",
        "sequence/relay_repeated",
        "sequence/relay_begins_anew",
        "sequence/terminal_too_high",
        "sequence/terminal_repeated",
    ),
    lengths_are_believed: (
        "frames/relay_too_long",
        "frames/relay_too_long_before_the_logon",
        "frames/terminal_too_long",
    ),
    silence_is_no_end: (
        "heartbeats/relay_notices_a_half_open_link",
        "heartbeats/terminal_notices_a_half_open_link",
    ),
    busy_means_nothing: (
        "busy/relay_waits_for_a_busy_terminal",
        "busy/relay_takes_an_unknown_kind",
    ),
    anything_ends_busy: ("busy/relay_does_not_end_a_block_with_ticks",),
    older_relays_are_welcome: (
        "logon/terminal_refuses_an_older_relay",
        "logon/terminal_remembers_the_epoch_on_disk",
        "orders/terminal_order_of_an_older_relay",
        "halt/terminal_ignores_an_older_relay",
    ),
    everybody_comes_in: (
        "sessions/relay_refuses_a_second_program",
        "sessions/relay_refuses_a_lower_counter",
        "sessions/relay_refuses_an_account_under_two_aliases",
        "sessions/relay_replaces_a_dead_session",
        "logon/relay_takes_demo_accounts_only",
    ),
    capabilities_mean_nothing: (
        "logon/terminal_without_a_capability_for_ticks",
        "logon/terminal_without_a_capability_for_reads",
    ),
    the_ledger_is_not_asked: (
        "orders/terminal_possible_duplicate",
        "orders/terminal_diverged",
        "orders/terminal_duplicate_after_a_restart",
        "orders/terminal_killed_in_its_call",
    ),
    the_ledger_forgets: (
        "orders/terminal_possible_duplicate",
        "orders/terminal_cut_before_its_result",
        "orders/terminal_request_lost",
    ),
    nobody_looks_whom_it_is_for: (
        "orders/terminal_order_for_another_ledger",
        "orders/terminal_order_for_another_account",
        "orders/terminal_order_of_an_older_relay",
        "orders/terminal_wrong_tag_of_an_order",
    ),
    the_terminal_has_no_limits: (
        "orders/terminal_read_only",
        "orders/terminal_demo_only",
        "orders/terminal_largest_volume",
        "orders/terminal_orders_per_minute",
        "orders/terminal_open_positions",
        "orders/terminal_symbol_not_on_its_list",
    ),
    permissions_are_not_looked_at: (
        "orders/terminal_permissions_off",
        "orders/terminal_without_its_trade_server",
    ),
    not_found_is_believed_at_once: (
        "orders/terminal_request_lost",
        "orders/terminal_settles_from_its_own_start",
        "orders/terminal_settles_while_connected_only",
        "orders/terminal_answer_lost_and_executed",
    ),
    halt_is_not_obeyed: (
        "halt/terminal_halted",
        "halt/terminal_reducing",
        "halt/terminal_shows_its_state",
        "halt/terminal_unknown_state",
    ),
    events_have_no_cursor: (
        "events/terminal_recovers_what_was_missed",
        "events/terminal_recovers_after_a_kill",
        "events/terminal_reads_a_minute_back",
    ),
    the_relay_sends_again: (
        "orders/relay_link_cut_behind_new",
        "orders/relay_killed_behind_new",
        "orders/relay_never_seen_by_another_ledger",
    ),
    new_orders_do_not_wait: ("orders/relay_asks_before_new_orders",),
    any_ledger_decides: ("orders/relay_not_found_by_another_ledger",),
    netting_has_no_rule: ("orders/relay_netting_waits_for_the_unresolved",),
    the_relay_sends_before_it_has_written: (
        "orders/relay_writes_before_it_sends",
        "orders/relay_killed_before_the_reservation_is_on_disk",
    ),
    the_relay_forgets: (
        "orders/relay_killed_behind_new",
        "orders/relay_duplicate_after_a_restart",
        "halt/relay_halt_survives_a_kill",
        "events/relay_says_its_place_in_welcome",
    ),
    no_event_says_anything_of_an_order: ("events/relay_finds_an_order_in_an_event",),
}


@pytest.mark.parametrize(
    ("take_out", "name"),
    [(take_out, name) for take_out, names in TAKEN_OUT.items() for name in names],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_its_script_notices(monkeypatch, take_out, name):
    script = read_script(FOLDER / f"{name}.txt")
    take_out(monkeypatch)

    with pytest.raises((ScriptError, AssertionError)):
        Player(script, make_peer(script.side)).play()
