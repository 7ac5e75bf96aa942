"""
Every conformance script against the side that it is for.
"""

from __future__ import annotations

import pytest

from tests.conformance.language import ScriptError, read_script
from tests.conformance.player import Player
from tests.conformance.scripts import all_paths, name_of
from tests.conformance.sides import make_peer


@pytest.mark.parametrize("path", all_paths(), ids=name_of)
def test_it_holds(path):
    assert "" == problem_of(path)


def problem_of(path):
    try:
        script = read_script(path)
        Player(script, make_peer(script.side)).play()
    except ScriptError as error:
        return str(error)
    return ""
