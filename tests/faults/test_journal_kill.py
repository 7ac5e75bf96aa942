"""
A program that journals is killed at any moment, again and again: nothing it acknowledged is gone.

Each test has its counterpart, which makes the mistake on purpose and must be noticed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from tests.support.journal_lives import CHILD, Acknowledged, live_and_die
from tests.support.processes import ROOT, environment


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_nothing_acknowledged_is_lost_in_any_kill(tmp_path, rng):
    acknowledged = Acknowledged(tmp_path)
    for life in range(1, 16):
        live_and_die(tmp_path, acknowledged, life, "", rng.randrange(1, 400))

        assert [] == acknowledged.missing(), f"after life {life}"
    assert len(acknowledged.reserved) > 100


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL is POSIX")
def test_the_kills_would_find_an_acknowledgement_that_comes_too_early(tmp_path, rng):
    for life in range(1, 40):
        folder = tmp_path / str(life)
        folder.mkdir()
        acknowledged = Acknowledged(folder)
        live_and_die(folder, acknowledged, life, "eager", rng.randrange(1, 60))
        if acknowledged.missing():
            return
    pytest.fail("no kill found that the program acknowledged what was not on disk")


# A power cut takes what was not synced. What the system was asked for is looked at instead.

#: pwrite64(5</tmp/x/journal.sqlite-wal>, ...; fdatasync(5</tmp/x/journal.sqlite-wal>); write(1<...
_CALL = re.compile(r"^(?:\d+ +)?(pwrite64|write|fdatasync|fsync)\((\d+)<([^>]*)>")


def unsynced_acknowledgements(folder, kind):
    """
    Return how many acknowledgements there were, and of them those with the log not synced.
    """
    trace = folder / "trace"
    command = ["strace", "-f", "-y", "-e", "trace=pwrite64,write,fdatasync,fsync", "-o", str(trace)]
    subprocess.run(
        [*command, *CHILD, str(folder), "1", kind, "40"],
        env=environment(folder),
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=100,
    )
    dirty = False
    acknowledged = early = 0
    for line in trace.read_text(encoding="utf-8", errors="replace").splitlines():
        match = _CALL.match(line)
        if match is None:
            continue
        call, descriptor, path = match.groups()
        if path.endswith("journal.sqlite-wal"):
            dirty = call in ("pwrite64", "write")
        elif call == "write" and descriptor == "1":
            acknowledged += 1
            early += dirty
    return acknowledged, early


def can_trace():
    if shutil.which("strace") is None:
        return False
    return subprocess.run(["strace", "-o", "/dev/null", "true"], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
def test_the_log_is_synced_before_every_acknowledgement(tmp_path):
    acknowledged, early = unsynced_acknowledgements(tmp_path, "")

    assert acknowledged > 20
    assert 0 == early


@pytest.mark.slow
@pytest.mark.skipif(not can_trace(), reason="strace is not there, or may not trace")
def test_a_log_that_is_not_synced_would_be_noticed(tmp_path):
    acknowledged, early = unsynced_acknowledgements(tmp_path, "unsynced")

    assert acknowledged > 20
    assert early > 0
