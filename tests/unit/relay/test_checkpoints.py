"""The checkpoint file survives whatever happens to it, or says that it did not."""

from __future__ import annotations

import time
import zlib

import msgpack
import pytest

from bridge.model.record import Cursor
from bridge.relay.checkpoints import Checkpoint, CheckpointFile
from bridge.relay.clock import SystemClock
from bridge.relay.streams import SavedStream

CLOCK = SystemClock()
SAVED = Checkpoint(
    41,
    1_700_000_000_000,
    [SavedStream("demo", "Server", "EURUSD", 7, 900, Cursor(1_546_383_600_078, 2, 12345), 5)],
    relay_epoch=17,
)


def test_what_was_saved_is_loaded(tmp_path):
    """All fields come back, in their types."""
    file = CheckpointFile(tmp_path, CLOCK)
    file.save_now(SAVED)
    file.close(None)

    assert SAVED == CheckpointFile(tmp_path, CLOCK).load()


def test_no_file_is_an_empty_checkpoint(tmp_path):
    """The first start."""
    assert Checkpoint(0, 0, []) == CheckpointFile(tmp_path, CLOCK).load()


@pytest.mark.parametrize("damage", ["truncate", "flip", "empty", "garbage"])
def test_a_damaged_file_is_put_aside(tmp_path, damage):
    """Streams must not go on from doubt; the file is kept for whoever asks why."""
    file = CheckpointFile(tmp_path, CLOCK)
    file.save_now(SAVED)
    file.close(None)
    data = file.path.read_bytes()
    file.path.write_bytes(
        {
            "truncate": data[:-3],
            "flip": data[:20] + bytes([data[20] ^ 1]) + data[21:],
            "empty": b"",
            "garbage": b"\x00" * 64,
        }[damage]
    )

    found = CheckpointFile(tmp_path, CLOCK).load()

    assert [] == found.streams
    assert 1 == len(list(tmp_path.glob("checkpoint.damaged-*")))
    # Nobody knows which epochs were used: far beyond those that can have been.
    assert found.epoch > time.time() + 1_000_000
    # The relay's own is above all that it used, and no further: terminals refuse what is older.
    assert 0 < found.relay_epoch - time.time() <= 1_000


def test_a_file_of_the_version_before_is_understood(tmp_path):
    """Its relay had the epoch of its streams."""
    file = CheckpointFile(tmp_path, CLOCK)
    body = msgpack.packb([1, 41, SAVED.saved_utc_msc, SAVED.streams])
    file.path.write_bytes(zlib.crc32(body).to_bytes(4, "little") + body)

    assert SAVED._replace(relay_epoch=41) == file.load()


def test_every_single_flipped_bit_is_found(tmp_path):
    """The checksum covers every byte."""
    file = CheckpointFile(tmp_path, CLOCK)
    file.save_now(SAVED)
    file.close(None)
    data = file.path.read_bytes()
    for at in range(len(data)):
        file.path.write_bytes(data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :])

        assert [] == CheckpointFile(tmp_path, CLOCK).load().streams


def test_the_last_of_many_wins(tmp_path):
    """Checkpoints that come faster than the disk replace each other."""
    file = CheckpointFile(tmp_path, CLOCK)
    for epoch in range(100):
        file.save(SAVED._replace(epoch=epoch))
    file.close(SAVED._replace(epoch=100))

    assert 100 == CheckpointFile(tmp_path, CLOCK).load().epoch


def test_a_folder_that_cannot_be_written_is_counted(tmp_path):
    """Losing the disk does not stop the relay; it is counted and logged."""
    file = CheckpointFile(tmp_path / "absent", CLOCK)
    file.save(SAVED)
    file.close(None)

    assert (0, 1) == (file.written, file.failed)


def test_a_scanner_that_holds_the_file_is_waited_for(tmp_path, monkeypatch):
    """On Windows a virus scanner may refuse the replacement for a moment."""
    file = CheckpointFile(tmp_path, CLOCK)
    refusals = iter([PermissionError(13, "held"), PermissionError(13, "held")])
    replace = type(file.path).replace

    def held(self, target):
        for refusal in refusals:
            raise refusal
        return replace(self, target)

    monkeypatch.setattr(type(file.path), "replace", held)
    monkeypatch.setattr("bridge.relay.held_files._PAUSE_S", 0)
    file.save_now(SAVED)
    file.close(None)

    assert SAVED == CheckpointFile(tmp_path, CLOCK).load()
