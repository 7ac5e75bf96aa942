"""A subscriber in Python that decodes every tick: what a strategy without batching can do.

The same commands as subscriber.cpp, without latencies.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time

import zmq

_RECORD = struct.Struct(">xxIxQxqxdxdxdxdxHxh")


def say(**fields: object) -> None:
    """
    Answer with one JSON document on a line of its own.
    """
    print(json.dumps(fields), flush=True)


class Subscriber:
    """
    Counts ticks and checks that the sequence numbers of each topic have no hole.
    """

    def __init__(self, socket: zmq.Socket[bytes]) -> None:
        self._socket = socket
        self._seqs: dict[bytes, int] = {}
        self._holes = 0

    def join(self, topics: int, timeout_ms: int) -> None:
        """
        Wait until every topic was heard.
        """
        deadline = time.monotonic() + timeout_ms / 1000
        while len(self._seqs) < topics and time.monotonic() < deadline:
            self._receive(1, 0, 0.1)
        say(event="joined", topics=len(self._seqs), of=topics)

    def expect(self, count: int, round_: int, idle_ms: int) -> None:
        """
        Receive ``count`` ticks of a round and report.
        """
        self._holes = 0
        say(event="expecting")
        received = self._receive(count, round_, idle_ms / 1000)
        say(
            event="received",
            received=received,
            holes=self._holes,
            strange=0,
            last_us=time.monotonic_ns() // 1000,
            p50_us=0,
            p99_us=0,
        )

    def _receive(self, count: int, round_: int, idle_s: float) -> int:
        self._socket.rcvtimeo = int(idle_s * 1000)
        receive, unpack, seqs = self._socket.recv, _RECORD.unpack_from, self._seqs
        received = 0
        try:
            while received < count:
                message = receive()
                end = message.index(0) + 1
                topic = message[:end]
                _, seq, _, _, _, _, volume, _, _ = unpack(message, end)
                if seqs.get(topic, seq - 1) != seq - 1:
                    self._holes += 1
                seqs[topic] = seq
                if volume == round_:
                    received += 1
        except zmq.Again:
            pass
        return received


def main() -> None:
    """
    Serve commands until stdin ends.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--endpoint", required=True)
    parser.add_argument("--alias", default="bench")
    parser.add_argument("--symbols", type=int, default=20)
    options = parser.parse_args()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.SUB)
    socket.rcvhwm = 0
    socket.linger = 0
    for index in range(options.symbols):
        socket.subscribe(f"tick/{options.alias}/BENCH{index:03}\0")
    socket.connect(options.endpoint)
    say(event="connected", libzmq=zmq.zmq_version())
    subscriber = Subscriber(socket)
    for line in sys.stdin:
        verb, *words = line.split()
        values = {name: int(value) for name, value in (word.split("=") for word in words)}
        if verb == "join":
            subscriber.join(options.symbols, values["timeout_ms"])
        elif verb == "expect":
            subscriber.expect(values["count"], values["round"], values["idle_ms"])
        else:
            break
    socket.close()
    context.term()


if __name__ == "__main__":
    main()
