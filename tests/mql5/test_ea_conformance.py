"""
The conformance scripts of a terminal, played against the running Expert Advisor.

``make test`` plays some of them, ``make test-ea`` all.
"""

from __future__ import annotations

import os

import pytest

from tests.conformance.expert_peer import NOT_OF_AN_EXPERT, expert_peer
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
    return [
        path
        for path in paths
        if name_of(path) not in NOT_OF_AN_EXPERT and (EVERYTHING or name_of(path) in SOME)
    ]


def of_orders():
    """
    Return those that do not care whether the terminal says BUSY: an order need not block.

    A lost answer is waited for until the terminal's own limit, and not until OrderSend gives up.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in chosen()}
    return [
        path
        for path, text in texts.items()
        if "% pass BUSY" in text and "reply_timeout_ms" not in text
    ]


@pytest.mark.parametrize("path", chosen(), ids=name_of)
def test_it_holds(path, tmp_path):
    assert "" == problem_of(path, tmp_path, sends_async=False)


@pytest.mark.parametrize("path", of_orders(), ids=name_of)
def test_it_holds_with_orders_that_do_not_block(path, tmp_path):
    assert "" == problem_of(path, tmp_path, sends_async=True)


def problem_of(path, folder, *, sends_async):
    script = read_script(path)
    with expert_peer(folder, binary("asan"), sends_async=sends_async) as peer:
        try:
            Player(script, peer).play()
        except ScriptError as error:
            return str(error)
    return ""
