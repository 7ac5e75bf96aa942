"""Checkpoints: the tick cursors on disk, and the epoch that grows with every start.

One small file, replaced as a whole by a writer thread, so that the loop never waits for
a disk. A file that is damaged is put aside: streams then begin a new epoch and say so,
they never go on from doubt.
"""

from __future__ import annotations

import os
import zlib
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgpack

from bridge.logs import get_logger
from bridge.model.record import Cursor
from bridge.relay.clock import Clock
from bridge.relay.held_files import replace_file
from bridge.relay.streams import Checkpoint, SavedStream

__all__ = ["Checkpoint", "CheckpointFile"]

log = get_logger(__name__)

#: 1 had no epoch of the relay: it was that of the streams.
_FORMAT: Final = 2
_NAME: Final = "checkpoint.msgpack"
#: An epoch must never come twice, and a damaged file cannot tell which ones were used. They
#: begin at UTC's seconds; in a relay's life they run ahead of these by far less than this.
_EPOCHS_SKIPPED: Final = 10_000_000
#: The relay's own one is ahead only by the starts within a second. It must not run ahead further:
#: terminals refuse what is older, so a relay that lost its folder would wait for the clock.
_RELAY_EPOCHS_SKIPPED: Final = 1_000


class CheckpointFile:
    """
    The file and its writer thread.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._clock = clock
        self.path = folder / _NAME
        self.written = 0
        self.failed = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._running: Future[None] | None = None
        self._next: Checkpoint | None = None

    def load(self) -> Checkpoint:
        """
        Read the file; a missing one is an empty checkpoint, a damaged one is put aside.
        """
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return Checkpoint(0, 0, [])
        checkpoint = _decode(data)
        if checkpoint is None:
            utc_s = self._clock.utc_msc() // 1000
            aside = self.path.with_suffix(f".damaged-{utc_s}")
            self.path.replace(aside)
            log.error(
                "the checkpoint is damaged and was put aside; streams begin a new epoch",
                file=str(aside),
            )
            return Checkpoint(
                utc_s + _EPOCHS_SKIPPED, 0, [], relay_epoch=utc_s + _RELAY_EPOCHS_SKIPPED
            )
        return checkpoint

    def save_now(self, checkpoint: Checkpoint) -> None:
        """
        Write and wait: at the start, before anything is served with the new epoch.

        Raises:
            OSError: the data folder cannot be written.
        """
        self._thread.submit(self._write, checkpoint).result()

    def save(self, checkpoint: Checkpoint) -> None:
        """
        Hand a checkpoint to the writer; one that still waits is replaced by it.
        """
        if self._running is not None and not self._running.done():
            self._next = checkpoint
            return
        self._running = self._thread.submit(self._write_logged, checkpoint)

    def poll(self) -> None:
        """
        Start the write that waited for the one before it.
        """
        if self._next is not None and (self._running is None or self._running.done()):
            waiting, self._next = self._next, None
            self._running = self._thread.submit(self._write_logged, waiting)

    def close(self, last: Checkpoint | None) -> None:
        """
        Write the last checkpoint and end the thread.
        """
        self._next = None
        if last is not None:
            self._thread.submit(self._write_logged, last)
        self._thread.shutdown(wait=True)

    def _write_logged(self, checkpoint: Checkpoint) -> None:
        try:
            self._write(checkpoint)
        except OSError as error:
            self.failed += 1
            log.error(  # noqa: TRY400 - the reason says it all
                "the checkpoint cannot be written", file=str(self.path), reason=str(error)
            )

    def _write(self, checkpoint: Checkpoint) -> None:
        temporary = self.path.with_suffix(".new")
        with temporary.open("wb") as file:
            file.write(_encode(checkpoint))
            file.flush()
            os.fsync(file.fileno())
        replace_file(temporary, self.path)
        self.written += 1


def _encode(checkpoint: Checkpoint) -> bytes:
    body: bytes = msgpack.packb(
        [
            _FORMAT,
            checkpoint.epoch,
            checkpoint.saved_utc_msc,
            checkpoint.streams,
            checkpoint.relay_epoch,
        ]
    )
    return zlib.crc32(body).to_bytes(4, "little") + body


def _decode(data: bytes) -> Checkpoint | None:
    if len(data) < 4 or zlib.crc32(data[4:]) != int.from_bytes(data[:4], "little"):
        return None
    try:
        fields: Any = msgpack.unpackb(data[4:], raw=False)
        version, epoch, saved_utc_msc, streams, *later = fields
        if version not in (1, _FORMAT):
            return None
        (relay_epoch,) = later if version == _FORMAT else (epoch,)
        return Checkpoint(epoch, saved_utc_msc, [_saved(stream) for stream in streams], relay_epoch)
    except (ValueError, TypeError):
        return None


def _saved(fields: list[Any]) -> SavedStream:
    saved = SavedStream._make(fields)
    return saved._replace(cursor=Cursor._make(saved.cursor))
