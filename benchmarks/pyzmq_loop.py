"""The reference limit of a publisher in Python: ``send(bytes)`` in a loop, and nothing else.

No relay can be faster with pyzmq's documented interface, so this is what the relay's
ceiling is compared with. The messages have the topics and the size of the relay's; each is
made once and sent again and again, which favours the reference.

Driven by lines on stdin like the C++ helpers: ``warm``, ``flood round=1 count=800000``,
``quit``; answers are JSON lines on stdout.
"""

from __future__ import annotations

import argparse
import json
import struct
import sys
import time

import zmq

# The record of bridge/model/record.py, written here so that this file needs pyzmq alone.
_RECORD = struct.Struct(">BBIBQBqBdBdBdBdBHBh")


def say(**fields: object) -> None:
    """
    Answer with one JSON document on a line of its own.
    """
    print(json.dumps(fields), flush=True)


def messages(alias: str, symbols: int, round_: int) -> list[bytes]:
    """
    Return one published frame for each symbol; ``round_`` is its volume, as in common.hpp.
    """
    return [
        f"tick/{alias}/BENCH{index:03}\0".encode()
        + _RECORD.pack(
            *(0x99, 0xCE, 1, 0xCF, 1, 0xD3, 0, 0xCB, 1.08345, 0xCB, 1.08357),
            *(0xCB, 0.0, 0xCB, float(round_), 0xCD, 6, 0xD1, 120),
        )
        for index in range(symbols)
    ]


def flood(socket: zmq.Socket[bytes], frames: list[bytes], count: int) -> tuple[int, int]:
    """
    Send ``count`` messages; return the microseconds of the first and behind the last.
    """
    send = socket.send
    whole, rest = divmod(count, len(frames))
    first = time.monotonic_ns()
    for _ in range(whole):
        for frame in frames:
            send(frame)
    for frame in frames[:rest]:
        send(frame)
    return first // 1000, time.monotonic_ns() // 1000


def main() -> None:
    """
    Serve commands until stdin ends.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--alias", default="bench")
    parser.add_argument("--symbols", type=int, default=20)
    options = parser.parse_args()
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    socket = context.socket(zmq.PUB)
    socket.sndhwm = 0
    socket.linger = 0
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    say(
        event="bound",
        endpoint=f"tcp://127.0.0.1:{port}",
        libzmq=zmq.zmq_version(),
        pyzmq=zmq.__version__,
    )
    for line in sys.stdin:
        verb, *words = line.split()
        values = {name: int(value) for name, value in (word.split("=") for word in words)}
        if verb == "warm":
            for frame in messages(options.alias, options.symbols, 0):
                socket.send(frame)
            say(event="warmed")
        elif verb == "flood":
            frames = messages(options.alias, options.symbols, values["round"])
            first, last = flood(socket, frames, values["count"])
            say(event="sent", sent=values["count"], first_us=first, last_us=last)
        else:
            break
    socket.close()
    context.term()


if __name__ == "__main__":
    main()
