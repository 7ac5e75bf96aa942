"""
What the options take.
"""

from __future__ import annotations

import math

import click
import pytest

from bridge.cli.parameters import FULL_SPEED, SPEED, SYMBOLS


@pytest.mark.parametrize(
    ("text", "speed"), [("1", 1.0), ("0.5", 0.5), ("1e3", 1000.0), ("max", math.inf)]
)
def test_speeds(text, speed):
    assert SPEED.convert(text, None, None) == speed


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "fast", "", "MAX"])
def test_what_is_no_speed(text):
    with pytest.raises(click.BadParameter, match="neither a number above 0 nor max"):
        SPEED.convert(text, None, None)


def test_converting_twice_changes_nothing():
    """
    Click does so with defaults.
    """
    names = SYMBOLS.convert("2", None, None)

    assert SYMBOLS.convert(names, None, None) == names == ("EURUSD", "GBPUSD")
    assert SPEED.convert(FULL_SPEED, None, None) == FULL_SPEED


def test_a_number_of_symbols_goes_beyond_the_known_ones():
    names = SYMBOLS.convert("40", None, None)

    assert len(set(names)) == 40
    assert names[-1] == "DEMO010"


def test_names_of_symbols():
    assert SYMBOLS.convert("EURUSD, BTC/USD", None, None) == ("EURUSD", "BTC/USD")


@pytest.mark.parametrize("text", ["0", "501", "A,,B", "A,A", "", "A\nB", "A" * 65])
def test_what_are_no_symbols(text):
    with pytest.raises(click.BadParameter):
        SYMBOLS.convert(text, None, None)
