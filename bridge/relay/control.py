"""The control endpoint: status, stop, halt and resume, never queued behind other requests.

Who may read ``control.json`` in the data folder (the user that runs the relay) has the
token: he may stop it, halt and resume trading, and send orders that pass a halt. The file also
tells where the relay listens, which matters when
ports were chosen freely.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bridge.bus.codec import decode, encode, encoding_of
from bridge.bus.requests import (
    TRADING_METHODS,
    ControlMethod,
    ErrorName,
    Hop,
    Request,
    error_map,
    validate_control_params,
    validate_params,
    validate_request,
)
from bridge.bus.requests import Method as BusMethod
from bridge.exceptions import InvalidRequest
from bridge.logs import get_logger
from bridge.relay.clock import Clock
from bridge.relay.held_files import remove_file, replace_file
from bridge.relay.order_commands import Moment
from bridge.relay.order_requests import OrderRequests
from bridge.relay.router import RequestSocket

__all__ = ["CONTROL_FILE", "Control", "write_control_file"]

log = get_logger(__name__)

CONTROL_FILE: Final = "control.json"
_REQUEST_MAX: Final = 8_192


class _Reply:
    # The one reply of a request, now or later.

    def __init__(self, control: Control, way: list[bytes], body: bytes, request_id: Any) -> None:
        self._control = control
        self._way = way
        self._encoding = encoding_of(body)
        self._id = request_id

    def result(self, result: dict[str, Any]) -> None:
        self._send({"ok": True, "result": result})

    def error(self, error: dict[str, Any]) -> None:
        self._send({"ok": False, "error": error})

    def _send(self, reply: dict[str, Any]) -> None:
        message = {"v": 1, "id": self._id, **reply}
        self._control.send([*self._way, encode(message, self._encoding)])


class Control:
    """
    Answers what comes in at the control endpoint.
    """

    def __init__(
        self,
        socket: RequestSocket,
        token: str,
        status: Callable[[], dict[str, Any]],
        pong: Callable[[], dict[str, Any]],
        stop: Callable[[str], None],
        orders: OrderRequests,
        clock: Clock,
    ) -> None:
        self._socket = socket
        self._token = token
        self._status = status
        self._pong = pong
        self._stop = stop
        self._orders = orders
        self._clock = clock

    def receive(self, frames: list[bytes]) -> None:
        """
        Take a request, as its frames came.
        """
        if len(frames) > 1:
            self._receive(frames[:-1], frames[-1])

    def send(self, frames: list[bytes]) -> None:
        """
        Send a reply.
        """
        self._socket.send_multipart(frames)

    def _receive(self, way: list[bytes], body: bytes) -> None:
        reply = _Reply(self, way, body, None)
        try:
            request = validate_request(decode(body, max_bytes=_REQUEST_MAX))
            reply = _Reply(self, way, body, request.id)
            self._answer(request, reply)
        except InvalidRequest as error:
            reply.error(
                error_map(
                    error.code, error.message, hop=Hop.CLIENT, field=error.field, hint=error.hint
                )
            )
        except Exception:
            # A defect of ours must not leave anybody without a reply. Not the body: it has the token.
            log.exception("control request failed")
            reply.error(
                error_map(
                    ErrorName.INTERNAL,
                    "the relay failed on this request",
                    hint="please report it, with the relay's log",
                )
            )

    def _answer(self, request: Request, reply: _Reply) -> None:
        token = request.token or ""
        if not hmac.compare_digest(token.encode(), self._token.encode()):
            reply.error(
                error_map(
                    ErrorName.NOT_ALLOWED,
                    "the control token is missing or wrong",
                    hop=Hop.CLIENT,
                    field="token",
                    hint=f"it stands in {CONTROL_FILE} in the relay's data folder",
                )
            )
            return
        if request.method in TRADING_METHODS:
            self._trade(request, reply)
            return
        try:
            method = ControlMethod(request.method)
        except ValueError:
            reply.error(
                error_map(
                    ErrorName.UNKNOWN_METHOD,
                    f"there is no control method {request.method!r}",
                    hop=Hop.CLIENT,
                    field="method",
                    hint=f"known: {', '.join(sorted(ControlMethod))}",
                )
            )
            return
        params: Any = validate_control_params(method, request.params)
        now = Moment.of(self._clock)
        match method:
            case ControlMethod.PING:
                reply.result(self._pong())
            case ControlMethod.STATUS:
                reply.result(self._status())
            case ControlMethod.STOP:
                self._stop("asked for on the control endpoint")
                reply.result({"stopping": True})
            case ControlMethod.HALT:
                self._orders.halt(request.terminal, params, reply, now)
            case ControlMethod.RESUME:
                self._orders.resume(request.terminal, reply, now)
            case ControlMethod.ORDER_RESOLVE:
                self._orders.resolve(params, reply, now)

    def _trade(self, request: Request, reply: _Reply) -> None:
        # What an administrator asks here passes REDUCING and HALTED.
        params = validate_params(BusMethod(request.method), request.params)
        alias = self._orders.alias_of(request.terminal)
        now = Moment.of(self._clock)
        self._orders.submit(alias, request, params, reply, now, admin=True)


def write_control_file(folder: Path, token: str, endpoints: dict[str, str]) -> Path:
    """
    Tell the user's other programs where this relay is and what lets them control it.
    """
    path = folder / CONTROL_FILE
    temporary = path.with_suffix(".new")
    text = json.dumps({"v": 1, "pid": os.getpid(), "token": token, "endpoints": endpoints})
    remove_file(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    replace_file(temporary, path)
    return path
