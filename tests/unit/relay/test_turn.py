"""The turn of the loop: every ZeroMQ socket is looked at, whatever its descriptor says."""

from __future__ import annotations

import asyncio

import pytest
import zmq

from bridge.relay.turn import Turn

DEADLINE_S = 10.0


@pytest.fixture
def make_pair():
    """
    A function that returns a ROUTER, and a DEALER connected to it.
    """
    context = zmq.Context()
    made = []

    def make():
        router, dealer = context.socket(zmq.ROUTER), context.socket(zmq.DEALER)
        made.extend((router, dealer))
        port = router.bind_to_random_port("tcp://127.0.0.1")
        dealer.connect(f"tcp://127.0.0.1:{port}")
        return router, dealer

    yield make
    for socket in made:
        socket.close(0)
    context.destroy(0)


class Reader:
    """
    Takes what a socket has, at most ``limit`` at a time.
    """

    def __init__(self, socket):
        self.socket = socket
        self.taken: list[list[bytes]] = []
        self.limits: list[int] = []
        self.changed = asyncio.Event()

    def read(self, limit):
        self.limits.append(limit)
        for _ in range(limit):
            try:
                self.taken.append(self.socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                self.changed.set()
                return False
        self.changed.set()
        return True

    async def until(self, count):
        async with asyncio.timeout(DEADLINE_S):
            while len(self.taken) < count:
                self.changed.clear()
                await self.changed.wait()


def test_a_message_wakes_the_loop(make_pair):
    """The descriptor is watched."""
    router, dealer = make_pair()

    async def run():
        turn, reader = Turn(asyncio.get_running_loop()), Reader(router)
        turn.add(router, reader.read)
        dealer.send(b"hello")
        await reader.until(1)
        turn.close()
        return reader

    assert b"hello" == asyncio.run(run()).taken[0][-1]


def test_a_flood_is_taken_in_portions(make_pair):
    """Between two of them the loop does something else."""
    router, dealer = make_pair()

    async def run():
        turn, reader = Turn(asyncio.get_running_loop()), Reader(router)
        for number in range(1_000):
            dealer.send(b"%d" % number)
        assert router.poll(10_000)

        other = 0
        turn.add(router, reader.read)
        turn.request()
        async with asyncio.timeout(DEADLINE_S):
            while len(reader.taken) < 1_000:
                other += 1
                await asyncio.sleep(0)
        turn.close()
        return reader, other

    reader, other = asyncio.run(run())

    assert [b"%d" % number for number in range(1_000)] == [frames[-1] for frames in reader.taken]
    assert {64} == set(reader.limits)
    assert other >= 1_000 // 64


def test_one_request_a_turn_is_enough(make_pair):
    """Whoever reads or sends asks for a drain; it happens once."""
    router, _ = make_pair()

    async def run():
        drained: list[int] = []
        turn = Turn(asyncio.get_running_loop())
        turn.add(router, Reader(router).read)
        turn.after(lambda: drained.append(1))
        for _ in range(10):
            turn.request()
        await asyncio.sleep(0)
        once = len(drained)
        turn.request()
        await asyncio.sleep(0)
        turn.close()
        return once, len(drained)

    assert (1, 2) == asyncio.run(run())


def test_all_sockets_are_looked_at(make_pair):
    """A request on one socket may have an answer that swallowed the edge of another."""
    first, first_peer = make_pair()
    second, second_peer = make_pair()

    async def run():
        loop = asyncio.get_running_loop()
        turn, one, two = Turn(loop), Reader(first), Reader(second)
        first_peer.send(b"a")
        second_peer.send(b"b")
        assert first.poll(10_000)
        assert second.poll(10_000)

        turn.add(first, one.read)
        turn.add(second, two.read)
        # The descriptors alone do not tell any more: only the turn looks.
        loop.remove_reader(first.fileno())
        loop.remove_reader(second.fileno())
        turn.request()
        await one.until(1)
        await two.until(1)
        turn.close()

    asyncio.run(run())


def test_what_arrives_while_answering_is_taken_in_the_next_turn(make_pair):
    """The look after the answers: without it the loop would wait with something there."""
    router, dealer = make_pair()

    async def run():
        loop = asyncio.get_running_loop()
        turn, reader = Turn(loop), Reader(router)
        turn.add(router, reader.read)
        loop.remove_reader(router.fileno())
        sent: list[int] = []

        def after():
            # Something came in after the sockets were read in this turn.
            if not sent:
                sent.append(1)
                dealer.send(b"late")
                assert router.poll(10_000)

        turn.after(after)
        turn.request()
        await reader.until(1)
        turn.close()
        return reader

    assert b"late" == asyncio.run(run()).taken[0][-1]


def test_a_closed_turn_watches_nothing(make_pair):
    """The sockets can be closed after it."""
    router, dealer = make_pair()

    async def run():
        loop = asyncio.get_running_loop()
        turn, reader = Turn(loop), Reader(router)
        turn.add(router, reader.read)
        turn.close()
        turn.request()
        dealer.send(b"x")
        assert router.poll(10_000)

        await asyncio.sleep(0)
        removed = loop.remove_reader(router.fileno())
        return removed, reader.taken

    assert (False, []) == asyncio.run(run())
