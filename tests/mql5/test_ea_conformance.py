"""
The conformance scripts of a terminal, played against the running Expert Advisor.

``make test`` plays some of them, ``make test-ea`` all.
"""

from __future__ import annotations

import os
import re

import pytest

from bridge.sim.trading import ORDER_SEND_LIMIT_MS
from tests.conformance.expert_peer import expert_peer
from tests.conformance.language import ScriptError, read_script
from tests.conformance.player import Player
from tests.conformance.scripts import all_paths, name_of
from tests.mql5.scenarios.expert import binary, why_not

pytestmark = [
    pytest.mark.skipif(bool(why_not()), reason=why_not()),
    pytest.mark.timeout(300, func_only=True),
]

EVERYTHING = os.environ.get("BRIDGE_EA_MODES") == "all"
SOME = {
    "busy/terminal_announces_what_may_block",
    "events/terminal_recovers_what_was_missed",
    "frames/terminal_nan_in_an_order",
    "halt/terminal_reducing",
    "logon/terminal_logs_on",
    "orders/terminal_closes_no_more_than_is_open",
    "streams/terminal_gap_after_a_change_of_account",
}


def chosen():
    paths = [path for path in all_paths() if path.stem.startswith("terminal_")]
    return [path for path in paths if EVERYTHING or name_of(path) in SOME]


def of_orders():
    """
    Return those that do not care whether the terminal says BUSY: an order need not block.
    """
    return [path for path in chosen() if "% pass BUSY" in path.read_text(encoding="utf-8")]


def without_a_call(text):
    """
    Return the same script for orders that do not block: a lost answer is waited for until the
    terminal's own limit, and not until OrderSend gives up. What shows behind that shows later by
    as much.
    """
    gives_up = re.search(r"reply_timeout_ms=(\d+)", text)
    if gives_up is None:
        return text
    later_ms = ORDER_SEND_LIMIT_MS - int(gives_up[1])
    lines, sent = [], False
    for line in text.splitlines():
        sent = sent or line.startswith("> NEW")
        if sent and line.startswith("< RESULT"):
            if "outcome=UNKNOWN" in line:
                lines.append(f"@ +{later_ms}ms")
            sent = False
        delays = r"\b(visibility_ms|state_delay_ms)=(\d+)"
        lines.append(re.sub(delays, lambda one: f"{one[1]}={int(one[2]) + later_ms}", line))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("path", chosen(), ids=name_of)
def test_it_holds(path, tmp_path):
    assert "" == problem_of(path, tmp_path, sends_async=False)


@pytest.mark.parametrize("path", of_orders(), ids=name_of)
def test_it_holds_with_orders_that_do_not_block(path, tmp_path):
    assert "" == problem_of(path, tmp_path, sends_async=True)


def test_a_script_of_a_lost_answer_is_told_when_the_terminal_gives_up():
    text = "= broker reply_timeout_ms=500 visibility_ms=2000\n> NEW a/1\n< RESULT outcome=UNKNOWN\n"

    assert "= broker reply_timeout_ms=500 visibility_ms=61500\n> NEW a/1\n@ +59500ms\n" == (
        without_a_call(text).removesuffix("< RESULT outcome=UNKNOWN\n")
    )
    assert "> NEW a/1\n" == without_a_call("> NEW a/1\n")


def problem_of(path, folder, *, sends_async):
    text = path.read_text(encoding="utf-8")
    script = read_script(path, without_a_call(text) if sends_async else text)
    with expert_peer(folder, binary("asan"), sends_async=sends_async) as peer:
        try:
            Player(script, peer).play()
        except ScriptError as error:
            return str(error)
    return ""
