"""``ScriptedRelay``: a relay of real sockets that does what the test says.

A ``RelayModel`` behind a ROUTER and an XPUB in a thread, on free ports. For whatever a real
relay would do only once in a while: not answer, answer wrongly, publish nothing, lose
messages, vanish and come back on the same or another port.
"""

from __future__ import annotations

import queue
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Self, TypeVar

import msgpack
import zmq

from bridge.bus.bodies import pack_body
from bridge.bus.topics import exact, sync_topic
from tests.support.relay_model import Refusal, RelayModel

DEADLINE_S = 20.0
LOOPBACK = "tcp://127.0.0.1"

T = TypeVar("T")


class ScriptedRelay:
    """
    ``model`` may be changed between requests through ``run``. Leaving the block stops it.

    ``mute``: methods that get no answer. ``wrong``: replies to send instead, by method.
    ``answers``: the same by the whole request; ``None`` is no answer, ``bytes`` the very frame.
    ``beat_s``: how often ``relay`` is published, ``None`` for never. ``synced``: whether
    barriers are published. ``options`` are those of the XPUB socket.
    """

    def __init__(self, model: RelayModel | None = None, options: dict[int, int] | None = None):
        self.model = model or RelayModel()
        self._options = options or {}
        self.mute: set[str] = set()
        self.wrong: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {}
        self.answers: dict[str, Callable[[dict[str, Any]], dict[str, Any] | bytes | None]] = {}
        self.beat_s: float | None = 0.1
        self.synced = True
        #: what was received, in order; read it through ``wait_for``
        self.requests: list[dict[str, Any]] = []
        self.subscribed: list[bytes] = []
        self.unsubscribed: list[bytes] = []
        self.endpoint = ""
        self.publish_endpoint = ""
        self._commands: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]]
        self._commands = queue.SimpleQueue()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()
        self._error: BaseException | None = None

    # --- what the test says -----------------------------------------------------------------

    def start(self, *, publish_port: int | None = None) -> Self:
        """
        Bind (again: to the same ports, or to another publish port) and serve.
        """
        ready: Future[None] = Future()
        self._stop.clear()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        args = (ready, publish_port)
        self._thread = threading.Thread(target=self._run, args=args, name="scripted", daemon=True)
        self._thread.start()
        ready.result(DEADLINE_S)
        return self

    def stop(self) -> None:
        """
        Vanish; what went wrong in the thread fails the test.
        """
        if self._thread is None:
            return
        self._stop.set()
        self._writer.send(b"w")
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "the scripted relay did not stop"
        self._thread = None
        self._reader.close()
        self._writer.close()
        if self._error is not None:
            raise self._error

    def run(self, command: Callable[[], T]) -> T:
        """
        Run something in the relay's thread and return its result.
        """
        future: Future[T] = Future()
        self._commands.put((command, future))
        self._writer.send(b"w")
        return future.result(DEADLINE_S)

    def publish(self, topic: str, count: int = 1, *, lost: bool = False) -> int:
        """
        Publish the next messages of a topic, or only count and hold them; return the last seq.
        """

        def command() -> int:
            for _ in range(count):
                frame = self.model.publish(topic)
                if not lost:
                    self._publisher.send(frame)
            return self.model.topic(topic).seq

        return self.run(command)

    def send(self, frame: bytes) -> None:
        """
        Publish a frame as it is.
        """
        self.run(lambda: self._publisher.send(frame))

    def wait_for(self, happened: Callable[[], T], within_s: float = DEADLINE_S) -> T:
        """
        Wait until something is true of this relay; return what it was.
        """
        with self._changed:
            result = self._changed.wait_for(happened, within_s)
            assert result, f"not in time: {self.requests[-5:]} {self.subscribed[-5:]}"
            return result

    def asked(self, method: str) -> list[dict[str, Any]]:
        """
        Return the requests of a method so far.
        """
        return [request for request in self.requests if request["method"] == method]

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- the thread -------------------------------------------------------------------------

    def _run(self, ready: Future[None], publish_port: int | None) -> None:
        context = zmq.Context()
        try:
            self._router = context.socket(zmq.ROUTER)
            self._publisher = context.socket(zmq.XPUB)
            self._router.linger = self._publisher.linger = 0
            for option, value in self._options.items():
                self._publisher.setsockopt(option, value)
            self._router.bind(self.endpoint or f"{LOOPBACK}:0")
            self._publisher.bind(
                f"{LOOPBACK}:{publish_port}"
                if publish_port is not None
                else self.publish_endpoint or f"{LOOPBACK}:0"
            )
            self.endpoint = self._router.last_endpoint.decode()
            self.publish_endpoint = self._publisher.last_endpoint.decode()
            self.model.publish_endpoint = self.publish_endpoint
            ready.set_result(None)
            self._serve()
        except BaseException as error:  # noqa: BLE001 - handed to the test's thread
            self._error = error
            if not ready.done():
                ready.set_exception(error)
        finally:
            context.destroy(linger=0)

    def _serve(self) -> None:
        poller = zmq.Poller()
        for thing in (self._router, self._publisher, self._reader.fileno()):
            poller.register(thing, zmq.POLLIN)
        next_beat = time.monotonic()
        while not self._stop.is_set():
            now = time.monotonic()
            if self.beat_s is not None and now >= next_beat:
                next_beat = now + self.beat_s
                self._publisher.send(self.model.beat())
            ready = dict(poller.poll(20))
            if self._reader.fileno() in ready:
                self._reader.recv(4096)
            while not self._commands.empty():
                command, future = self._commands.get()
                future.set_result(command())
            with self._changed:
                while self._publisher.poll(0):
                    frame = self._publisher.recv()
                    log = self.subscribed if frame[:1] == b"\x01" else self.unsubscribed
                    log.append(frame[1:])
                while self._router.poll(0):
                    self._answer(self._router.recv_multipart())
                self._changed.notify_all()

    def _answer(self, frames: list[bytes]) -> None:
        request = msgpack.unpackb(frames[-1])
        self.requests.append(request)
        method, params = request["method"], request.get("params", {})
        if method in self.mute:
            return
        reply: dict[str, Any] = {"v": 1, "id": request["id"], "ok": True}
        try:
            answer = self.wrong.get(method)
            scripted = self.answers.get(method)
            if scripted is not None:
                said = scripted(request)
                if said is None:
                    return
                if isinstance(said, bytes):
                    self._router.send_multipart([*frames[:-1], said])
                    return
                reply["result"] = said
            elif answer is not None:
                reply["result"] = answer(params)
            else:
                reply["result"] = self.model.answer(method, params)
        except Refusal as refusal:
            reply.update(ok=False, error=refusal.error)
        if method == "sync" and self.synced:
            self._publisher.send(exact(sync_topic(params["nonce"])) + pack_body(1, 1, 0))
        self._router.send_multipart([*frames[:-1], msgpack.packb(reply)])
