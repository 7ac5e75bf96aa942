"""
One line is written over on a terminal, and nowhere else.
"""

from __future__ import annotations

import io
import sys

import pytest

from bridge.cli.demo.show import Show


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Closed(io.StringIO):
    def write(self, _text):
        raise BrokenPipeError


def test_a_terminal_has_one_live_line(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)
    show = Show(to_stderr=False)

    show.live("one")
    show.live("two")
    show.say("stays")

    blank = " " * 78
    expected = f"\r{'one':78}\r{'two':78}\r{blank}\rstays\n"
    assert stream.getvalue() == expected


def test_elsewhere_live_lines_are_lines(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    show = Show(to_stderr=False)

    show.live("one")
    show.say("stays")
    show.close()

    assert stream.getvalue() == "one\nstays\n"


def test_with_json_it_speaks_on_stderr(capsys):
    Show(to_stderr=True).say("x")

    assert capsys.readouterr() == ("", "x\n")


def test_a_long_line_does_not_wrap(monkeypatch):
    stream = Terminal()
    monkeypatch.setattr(sys, "stdout", stream)

    Show(to_stderr=False).live("x" * 200)

    assert len(stream.getvalue()) == 79


@pytest.mark.parametrize("to_stderr", [False, True])
def test_nobody_who_listens_is_no_reason_to_stop(monkeypatch, to_stderr):
    monkeypatch.setattr(sys, "stdout", Closed())
    monkeypatch.setattr(sys, "stderr", Closed())
    show = Show(to_stderr=to_stderr)

    show.say("x")
    show.live("y")
    show.close()
