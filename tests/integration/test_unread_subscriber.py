"""A subscriber that is not read for a while: libzmq must not abort the process that reads it again.

With ZMTP heartbeats libzmq 4.3 does (issues 3937 and 4767): a full queue stops the input, so no PONG
is heard, and the connection ends in a way that the next read does not expect. Processes of their
own, as it is they that would end.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

CLIENT = """
import time
import zmq
from bridge import Client
from bridge.client import engine
from tests.support.scripted_relay import RelayModel, ScriptedRelay

engine._HEARTBEAT_IVL_MS, engine._HEARTBEAT_TIMEOUT_MS, engine._RCVHWM = 50, 150, 100
with (
    ScriptedRelay(RelayModel(), {zmq.SNDHWM: 100, zmq.SNDBUF: 8_192}) as relay,
    Client(relay.endpoint) as client,
):
    relay.publish("tick/demo/EURUSD")
    unread = client.ticks("EURUSD", buffer=10)
    first = next(unread).seq
    until = time.monotonic() + 1
    while time.monotonic() < until or not unread._handle.paused:
        relay.publish("tick/demo/EURUSD", 100)
        client.symbol("EURUSD")
    last = relay.publish("tick/demo/EURUSD")
    seqs = [next(unread).seq for _ in range(first, last)]
assert list(range(first + 1, last + 1)) == seqs, seqs[:5]
print("read", flush=True)
"""

SUBSCRIBER = """
import time
import zmq
from bridge.config import EndpointSettings, LimitSettings
from bridge.relay import sockets

sockets._HEARTBEAT_IVL_MS, sockets._HEARTBEAT_TIMEOUT_MS = 10, 200
where = dict.fromkeys(("terminal", "request", "publish", "control"), "tcp://127.0.0.1:0")
bound = sockets.BoundSockets(EndpointSettings(**where), LimitSettings())
context = zmq.Context()
unread = context.socket(zmq.SUB)
unread.setsockopt(zmq.RCVHWM, 100)
unread.setsockopt(zmq.LINGER, 0)
unread.connect(bound.publish_at)
unread.subscribe(b"")
bound.publish.socket.recv()
until = time.monotonic() + 1
while time.monotonic() < until:
    for _ in range(20):
        bound.publish.send(b"topic\\0" + bytes(64))
    if bound.publish.socket.poll(5):
        bound.publish.socket.recv()
count = 0
while unread.poll(300):
    unread.recv()
    count += 1
assert count > 100
context.destroy()
bound.close()
print("read", flush=True)
"""


def run(program):
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_an_iterator_that_is_not_read_is_read_again():
    ended = run(CLIENT)

    assert (0, "read\n") == (ended.returncode, ended.stdout), ended.stderr


def test_a_plain_subscriber_that_does_not_read_reads_again():
    ended = run(SUBSCRIBER)

    assert (0, "read\n") == (ended.returncode, ended.stdout), ended.stderr
