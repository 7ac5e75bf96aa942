"""The control endpoint: status and stop, never queued behind other requests.

Who may read ``control.json`` in the data folder (the user that runs the relay) has the
token and may stop it. The file also tells where the relay listens, which matters when
ports were chosen freely.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import zmq

from bridge.bus.codec import decode, encode, encoding_of
from bridge.bus.requests import ControlMethod, ErrorName, Hop, error_map, validate_request
from bridge.exceptions import InvalidRequest
from bridge.logs import get_logger

__all__ = ["CONTROL_FILE", "Control", "write_control_file"]

log = get_logger(__name__)

CONTROL_FILE: Final = "control.json"
_REQUEST_MAX: Final = 8_192


class Control:
    """
    Owns the ROUTER socket of the control endpoint.
    """

    def __init__(
        self,
        socket: zmq.Socket[bytes],
        token: str,
        status: Callable[[], dict[str, Any]],
        pong: Callable[[], dict[str, Any]],
        stop: Callable[[str], None],
    ) -> None:
        self._socket = socket
        self._token = token
        self._status = status
        self._pong = pong
        self._stop = stop

    def read(self, limit: int) -> bool:
        """
        Answer waiting requests; return whether ``limit`` was reached and more may wait.
        """
        for _ in range(limit):
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return False
            if len(frames) > 1:
                self._receive(frames[:-1], frames[-1])
        return True

    def _receive(self, way: list[bytes], body: bytes) -> None:
        request_id: Any = None
        try:
            request = validate_request(decode(body, max_bytes=_REQUEST_MAX))
            request_id = request.id
            reply = self._answer(request.method, request.token or "")
        except InvalidRequest as error:
            reply = _failed(error_map(error.code, error.message, hop="client", field=error.field))
        message = {"v": 1, "id": request_id, **reply}
        try:
            self._socket.send_multipart([*way, encode(message, encoding_of(body))], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            log.warning("control reply dropped", reason=str(error))

    def _answer(self, method: str, token: str) -> dict[str, Any]:
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            return _failed(
                error_map(
                    ErrorName.NOT_ALLOWED,
                    "the control token is missing or wrong",
                    hop=Hop.CLIENT,
                    field="token",
                    hint=f"it stands in {CONTROL_FILE} in the relay's data folder",
                )
            )
        if method == ControlMethod.PING:
            return _done(self._pong())
        if method == ControlMethod.STATUS:
            return _done(self._status())
        if method == ControlMethod.STOP:
            self._stop("asked for on the control endpoint")
            return _done({"stopping": True})
        return _failed(
            error_map(
                ErrorName.UNKNOWN_METHOD,
                f"there is no control method {method!r}",
                hop=Hop.CLIENT,
                field="method",
                hint=f"known: {', '.join(sorted(ControlMethod))}",
            )
        )


def _done(result: dict[str, Any]) -> dict[str, Any]:
    return {"ok": True, "result": result}


def _failed(error: dict[str, Any]) -> dict[str, Any]:
    return {"ok": False, "error": error}


def write_control_file(folder: Path, token: str, endpoints: dict[str, str]) -> Path:
    """
    Tell the user's other programs where this relay is and what lets them control it.
    """
    path = folder / CONTROL_FILE
    temporary = path.with_suffix(".new")
    text = json.dumps({"v": 1, "pid": os.getpid(), "token": token, "endpoints": endpoints})
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    temporary.replace(path)
    return path
