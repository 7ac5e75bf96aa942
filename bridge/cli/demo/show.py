"""What a demo shows while it runs: lines, and one line that is written over."""

from __future__ import annotations

import sys

import click

from bridge.cli.output import discard_stdout

__all__ = ["Show"]

_WIDTH = 78


class Show:
    """
    The demo's voice: on stdout for people, on stderr when stdout is for JSON.

    On a terminal ``live`` writes over its own line; elsewhere it writes lines. When nobody
    reads any more the demo goes on silently: its exit code is still wanted.
    """

    def __init__(self, *, to_stderr: bool) -> None:
        self._err = to_stderr
        stream = sys.stderr if to_stderr else sys.stdout
        self.is_terminal = stream.isatty()
        self._dirty = False
        self._unheard = False

    def say(self, text: str = "") -> None:
        """
        Write a line that stays.
        """
        self._end_live()
        self._echo(text, newline=True)

    def live(self, text: str) -> None:
        """
        Write a line that the next one replaces.
        """
        if not self.is_terminal:
            self._echo(text, newline=True)
            return
        self._echo("\r" + text[:_WIDTH].ljust(_WIDTH), newline=False)
        self._dirty = True

    def close(self) -> None:
        """
        Leave the cursor at the beginning of a line.
        """
        self._end_live()

    def _end_live(self) -> None:
        if self._dirty:
            self._dirty = False
            self._echo("\r" + " " * _WIDTH + "\r", newline=False)

    def _echo(self, text: str, *, newline: bool) -> None:
        if self._unheard:
            return
        try:
            click.echo(text, nl=newline, err=self._err)
        except OSError:
            self._unheard = True
            if not self._err:
                discard_stdout()
