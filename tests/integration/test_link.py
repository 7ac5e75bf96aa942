"""``bridge.sim.link``: a proxy that fails on command, with real sockets."""

from __future__ import annotations

import contextlib
import select
import socket
import threading

import pytest

from bridge.sim.link import Direction, Link

DEADLINE_S = 10.0


class Echo:
    """
    A server that gives back what it gets, and keeps it.
    """

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.received = bytearray()
        self.ends = []
        self.changed = threading.Condition()
        self.connections = []
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self):
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.listener.accept()
                self.connections.append(connection)
                threading.Thread(target=self.echo, args=(connection,), daemon=True).start()

    def echo(self, connection):
        end = "eof"
        try:
            while data := connection.recv(65_536):
                with self.changed:
                    self.received += data
                    self.changed.notify_all()
                connection.sendall(data)
        except OSError:
            end = "reset"
        connection.close()
        with self.changed:
            self.ends.append(end)
            self.changed.notify_all()

    def wait_for(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_S)

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for connection in self.connections:
            connection.close()
        self.thread.join(DEADLINE_S)


@pytest.fixture
def echo():
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def link(echo):
    with Link(echo.port, record=True) as made:
        yield made


@pytest.fixture
def dial(link):
    made = []

    def connect():
        connection = socket.create_connection(("127.0.0.1", link.port), DEADLINE_S)
        made.append(connection)
        return connection

    yield connect
    for connection in made:
        connection.close()


def read(connection, size):
    data = bytearray()
    while len(data) < size and (new := connection.recv(size - len(data))):
        data += new
    return bytes(data)


def end_of(connection):
    """
    Read to the end; return what came and how it ended.
    """
    data = bytearray()
    try:
        while new := connection.recv(65_536):
            data += new
    except ConnectionResetError:
        return bytes(data), "reset"
    return bytes(data), "eof"


def end_of_dialling(port):
    """
    Dial and read to the end; the reset may come before the connection is complete.
    """
    try:
        with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
            return end_of(connection)
    except ConnectionResetError:
        return b"", "reset"


def test_bytes_pass_in_both_directions(link, dial, rng):
    data = rng.randbytes(1_000_000)
    connection = dial()
    sender = threading.Thread(target=connection.sendall, args=(data,))
    sender.start()
    received = read(connection, len(data))
    sender.join(DEADLINE_S)
    link.thaw()  # what the link's thread was at is counted when a call returns

    assert data == received
    assert {Direction.TO_RELAY: len(data), Direction.TO_TERMINAL: len(data)} == link.bytes_passed
    assert 1 == link.connections
    (recording,) = link.recordings
    assert (data, data) == (recording.to_relay, recording.to_terminal)


def test_an_end_is_passed_on_behind_the_last_byte(dial, echo):
    connection = dial()
    connection.sendall(b"last words")
    connection.shutdown(socket.SHUT_WR)

    assert (b"last words", "eof") == end_of(connection)
    echo.wait_for(lambda: echo.ends == ["eof"])


def test_a_cut_resets_both_sides(link, dial, echo):
    connection = dial()
    connection.sendall(b"x")
    read(connection, 1)
    link.cut()

    assert (b"", "reset") == end_of(connection)
    echo.wait_for(lambda: echo.ends == ["reset"])
    assert 1 == link.cuts


def test_after_a_cut_a_new_connection_passes(link, dial):
    dial().sendall(b"x")
    link.cut()
    again = dial()
    again.sendall(b"again")

    assert b"again" == read(again, 5)


@pytest.mark.parametrize("size", [1, 2, 99, 100])
def test_exactly_so_many_bytes_reach_the_relay(link, dial, echo, size):
    link.cut_after(size, Direction.TO_RELAY)
    connection = dial()
    connection.sendall(bytes(range(100)))
    echo.wait_for(lambda: bool(echo.ends))

    link.thaw()

    assert bytes(range(size)) == echo.received
    assert size == link.bytes_passed[Direction.TO_RELAY]
    assert "reset" == end_of(connection)[1]


@pytest.mark.parametrize("size", [1, 50, 100])
def test_exactly_so_many_bytes_reach_the_terminal(link, dial, size):
    connection = dial()
    link.cut_after(size, Direction.TO_TERMINAL)
    connection.sendall(bytes(range(100)))

    assert (bytes(range(size)), "eof") == end_of(connection)


def test_a_budget_of_nothing_cuts_at_the_next_byte(link, dial, echo):
    link.cut_after(0, Direction.TO_RELAY)
    connection = dial()
    connection.sendall(b"x")

    assert "reset" == end_of(connection)[1]
    assert b"" == echo.received


def test_a_frozen_link_is_open_and_silent(link, dial, echo):
    connection = dial()
    connection.sendall(b"before")
    read(connection, 6)
    link.freeze()
    connection.sendall(b"during")
    silent = select.select([connection], [], [], 0.1)[0]
    held = bytes(echo.received)
    link.thaw()

    assert ([], b"before") == (silent, held)
    assert b"during" == read(connection, 6)
    assert [] == echo.ends


def test_a_frozen_link_can_be_cut(link, dial):
    connection = dial()
    connection.sendall(b"x")
    read(connection, 1)
    link.freeze()
    link.cut()

    assert "reset" == end_of(connection)[1]


def test_a_slow_reader_slows_the_sender(link, dial, echo):
    """The link does not take what it cannot pass on."""
    connection = dial()
    link.freeze()
    connection.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while sent < 256 * 1024 * 1024:
            sent += connection.send(bytes(65_536))
    link.thaw()

    assert sent < 256 * 1024 * 1024
    echo.wait_for(lambda: len(echo.received) > 0)


def test_refused_connections_are_reset(link, dial):
    link.refuse()
    assert (b"", "reset") == end_of_dialling(link.port)
    link.allow()
    connection = dial()
    connection.sendall(b"x")

    assert b"x" == read(connection, 1)
    assert (1, 1) == (link.refused, link.connections)


def test_without_a_relay_connections_are_reset(echo):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with Link(port) as link:
        assert (b"", "reset") == end_of_dialling(link.port)
        assert 1 == link.refused


def test_a_link_that_never_started_can_be_stopped(echo):
    Link(echo.port).stop()
