"""One relay a data folder."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from bridge.exceptions import DataFolderInUse
from bridge.relay.lock import FolderLock

HOLDER = """
import sys
from pathlib import Path
from bridge.relay.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_a_second_lock_is_refused_and_names_the_owner(tmp_path):
    """The error has the process id and says what to do."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert "held" == holder.stdout.readline().strip()

        with pytest.raises(DataFolderInUse, match=str(holder.pid)) as caught:
            FolderLock(tmp_path).acquire()

        assert "bridge stop" in str(caught.value)

        holder.kill()
        holder.wait()
    # A killed owner leaves no lock behind.
    lock = FolderLock(tmp_path)
    lock.acquire()
    lock.release()


def test_the_lock_can_be_taken_again(tmp_path):
    """After a release the next one gets it, and its own id stands in the file."""
    first = FolderLock(tmp_path)
    first.acquire()
    first.release()
    second = FolderLock(tmp_path)
    second.acquire()

    assert str(os.getpid()) in (tmp_path / "relay.lock").read_text()

    second.release()
    second.release()
