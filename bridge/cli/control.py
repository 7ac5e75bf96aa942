"""Asking a relay on this machine through its control endpoint.

The relay tells where that is, and the token that it wants, in ``control.json`` in its
data folder; whoever may read that file may stop the relay.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Final

import zmq

from bridge.bus.codec import Encoding, decode, encode
from bridge.client.replies import error_from
from bridge.exceptions import DataFolderInUse, DeadlineExceeded, InvalidRequest, RelayUnreachable
from bridge.relay.control import CONTROL_FILE
from bridge.relay.lock import FolderLock

__all__ = ["ControlFile", "NoReply", "ask", "find_relay", "read_control_file", "stop_relay"]

_MAX_BYTES: Final = 65_536
_HINT: Final = "it was killed, or hangs; 'bridge run' starts one"
_LOOK_AGAIN_S: Final = 0.02


class NoReply(RelayUnreachable):
    """
    The request may have arrived and been done; its answer did not come.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class ControlFile:
    """
    What a relay wrote into ``control.json``. It may have been killed since.
    """

    pid: int
    token: str = dataclasses.field(repr=False)
    endpoints: dict[str, str]


def read_control_file(folder: Path) -> ControlFile | None:
    """
    Return what the data folder tells about its relay; ``None`` when it tells nothing.
    """
    try:
        with (folder / CONTROL_FILE).open("rb") as file:
            content = json.loads(file.read(_MAX_BYTES))
        endpoints = {str(name): str(value) for name, value in content["endpoints"].items()}
        return ControlFile(int(content["pid"]), str(content["token"]), endpoints)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        # Half written or of another version: as good as none, the configuration has to do.
        return None


def find_relay(folder: Path) -> ControlFile:
    """
    Return what the data folder tells about its relay.

    Raises:
        RelayUnreachable: it tells nothing.
    """
    relay = read_control_file(folder)
    if relay is None:
        raise RelayUnreachable(
            f"no relay runs on the data folder {folder}",
            hint="this works on the relay's own machine only; --home says which relay is meant",
        )
    return relay


def ask(
    relay: ControlFile,
    method: str,
    timeout: float,
    **envelope: Any,
) -> dict[str, Any]:
    """
    Send one request to the control endpoint and return its result.

    ``envelope``: further fields of the request; what is ``None`` is left out.

    Raises:
        RelayUnreachable: nobody was there within ``timeout`` seconds; nothing was sent.
        NoReply: it was sent, and no answer came in as much time, or none that can be read.
        RequestError: the relay answers with an error.
    """
    endpoint = relay.endpoints.get("control", "")
    with contextlib.ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        socket = stack.enter_context(context.socket(zmq.DEALER))
        socket.setsockopt(zmq.LINGER, 0)
        socket.setsockopt(zmq.SNDTIMEO, round(timeout * 1000))
        socket.setsockopt(zmq.RCVTIMEO, round(timeout * 1000))
        # Nothing is kept for a relay that is not there: what could not be sent was not done.
        socket.setsockopt(zmq.IMMEDIATE, 1)
        given = {name: value for name, value in envelope.items() if value is not None}
        request = {"id": 1, "method": method, "token": relay.token, **given}
        within = f"within {timeout:g} s"
        try:
            socket.connect(endpoint)
            socket.send(encode(request, Encoding.MSGPACK))
        except zmq.ZMQError as error:
            raise RelayUnreachable(
                f"no relay answers at {endpoint} {within}", hint=_HINT
            ) from error
        try:
            reply = decode(socket.recv(), max_bytes=2**24)
        except zmq.ZMQError as error:
            raise NoReply(f"the relay at {endpoint} did not answer {within}", hint=_HINT) from error
        except InvalidRequest as error:
            raise NoReply(f"the answer from {endpoint} cannot be read") from error
    told = reply.get("error") if isinstance(reply, dict) else None
    if isinstance(told, dict):
        raise error_from(told)
    result = reply.get("result") if isinstance(reply, dict) else None
    if not isinstance(result, dict):
        raise NoReply(f"the answer from {endpoint} cannot be read")
    return result


def stop_relay(folder: Path, timeout: float) -> None:
    """
    Ask the relay of this data folder to stop, and wait until its folder is free.

    Raises:
        RelayUnreachable: there is none.
        DeadlineExceeded: it has not ended within ``timeout`` seconds.
        RequestError: it answers with an error.
    """
    deadline = time.monotonic() + timeout
    relay = find_relay(folder)
    try:
        ask(relay, "stop", timeout)
    except NoReply:
        # It may have ended before its answer was on the wire.
        if not _is_free(folder):
            raise
    while not _is_free(folder):
        if time.monotonic() > deadline:
            raise DeadlineExceeded(
                f"the relay (process {relay.pid}) has not ended within {timeout:g} s"
            )
        time.sleep(_LOOK_AGAIN_S)


def _is_free(folder: Path) -> bool:
    # Not by process id: on Windows one cannot look without the rights of its owner, and
    # everywhere ids are used again. The lock is what the next relay will ask for.
    lock = FolderLock(folder)
    try:
        lock.acquire()
    except (DataFolderInUse, OSError):
        return False
    lock.release()
    return True
