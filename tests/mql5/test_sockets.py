"""Socket* against a real listener: what is documented, and each mode of what is not."""

from __future__ import annotations

import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.model.symbol import spec_for
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import WITHIN_S, EaProcess
from tests.mql5.scenarios.expert import why_not

pytestmark = pytest.mark.skipif(bool(why_not()), reason=why_not())

PUPPET = Path(__file__).with_name("programs") / "Puppet.mq5"

(CREATE, CONNECT, CLOSE, IS_CONNECTED, READABLE, WRITABLE, TIMEOUTS, READ, SEND, MANY, READ_STATIC,
 TLS) = range(1, 13)  # fmt: skip


class Link:
    """
    A program on the virtual clock, with a connection to a listener of this test.
    """

    def __init__(self, program, folder, *modes, **options):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(WITHIN_S)
        self.ea = EaProcess(
            program,
            market=Market([replace(spec_for("EURUSD"), select=True)]),
            account=Account(login=1001, server="Demo-Server"),
            options={"socket_mode": modes, **options},
            clock="virtual",
            folder=folder,
        )
        self.ea.start()
        self.peer = None

    @property
    def port(self):
        return self.listener.getsockname()[1]

    def order(self, number, lparam=0, dparam=0.0, sparam=""):
        """
        Let the program do something, however long it takes; return the line it printed.
        """
        before = len(self.ea.said())
        self.ea.chart_event(number, lparam, dparam, sparam)
        self.ea.wait_for(lambda: len(self.ea.said()) > before, within_s=1000)
        return self.ea.said()[before]

    def connect(self):
        """
        Connect, and take the other end.
        """
        assert "create 1 error 0" == self.order(CREATE)
        line = self.order(CONNECT, self.port, 5000, "127.0.0.1")
        assert line.startswith("connect true error 0"), line
        self.peer, _ = self.listener.accept()
        self.peer.settimeout(WITHIN_S)
        return self

    def close(self):
        self.ea.close()
        self.listener.close()
        if self.peer is not None:
            self.peer.close()


@pytest.fixture(scope="session")
def program():
    return building.build(PUPPET, mode="asan")


@pytest.fixture
def link(program, tmp_path):
    made = []

    def make(*modes, **options):
        made.append(Link(program, tmp_path, *modes, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def received(peer, size):
    """
    Return exactly so many bytes.
    """
    data = b""
    while len(data) < size:
        part = peer.recv(size - len(data))
        assert part, "the connection ended"
        data += part
    return data


def test_bytes_go_both_ways(link):
    one = link().connect()
    one.peer.sendall(b"\x01\x02\x03")

    assert "readable 3 error 0" == one.order(READABLE)
    assert "read 3 error 0 array 3 ms 0 hex 010203" == one.order(READ, 100, 50)
    assert "readable 0 error 0" == one.order(READABLE)
    assert "writable true error 0" == one.order(WRITABLE)
    assert "send 300 error 0 ms 0" == one.order(SEND, 300)
    assert bytes(i % 251 for i in range(300)) == received(one.peer, 300)
    assert "connected true error 0" == one.order(IS_CONNECTED)


def test_what_does_not_fit_stays_in_the_socket(link):
    one = link().connect()
    one.peer.sendall(b"\x01\x02\x03")

    assert "read 2 error 0 array 2 ms 0 hex 0102" == one.order(READ, 2, 50)
    assert "read 1 error 0 array 1 ms 0 hex 03" == one.order(READ, 2, 50)


def test_a_static_array_takes_what_it_has_room_for(link):
    one = link().connect()
    one.peer.sendall(b"\x01\x02\x03\x04\x05")

    assert "read 4 error 0 hex 01020304" == one.order(READ_STATIC, 100, 50)
    assert "readable 1 error 0" == one.order(READABLE)


def test_nothing_within_the_timeout_is_minus_1(link):
    one = link().connect()

    assert "read -1 error 5273 array 0 ms 50 hex " == one.order(READ, 100, 50)
    assert "connected true error 0" == one.order(IS_CONNECTED)


def test_a_timeout_of_0_is_two_minutes(link):
    one = link().connect()

    assert "read -1 error 5273 array 0 ms 120000 hex " == one.order(READ, 100, 0)


def test_the_timeouts_of_the_socket_hold_for_a_read(link):
    one = link().connect()

    assert "timeouts true error 0" == one.order(TIMEOUTS, 100, 30)
    assert "read -1 error 5273 array 0 ms 30 hex " == one.order(READ, 100, 50)


def test_a_read_of_nothing_is_refused(link):
    one = link().connect()

    assert "read -1 error 4003 array 0 ms 0 hex " == one.order(READ, 0, 50)


def test_a_timeout_may_drop_the_connection(link):
    one = link("timeout_dropped").connect()

    assert "read -1 error 5273 array 0 ms 50 hex " == one.order(READ, 100, 50)
    assert "connected false error 0" == one.order(IS_CONNECTED)
    assert b"" == one.peer.recv(1)


def test_a_timeout_may_set_no_error(link):
    one = link("timeout_no_error").connect()

    assert "read -1 error 0 array 0 ms 50 hex " == one.order(READ, 100, 50)


def test_readable_may_speculate(link):
    one = link("readable_speculative_1").connect()

    assert "readable 1 error 0" == one.order(READABLE)
    assert "read -1 error 5273 array 0 ms 50 hex " == one.order(READ, 100, 50)


def test_a_closed_peer_is_silent_until_a_read(link):
    one = link().connect()
    one.peer.close()

    assert "readable 0 error 0" == one.order(READABLE)
    assert "connected true error 0" == one.order(IS_CONNECTED)
    assert "read -1 error 5273 array 0 ms 0 hex " == one.order(READ, 100, 50)
    assert "connected false error 0" == one.order(IS_CONNECTED)


def test_a_closed_peer_may_be_an_error_at_once(link):
    one = link("close_readable_0_5273").connect()
    one.peer.close()

    assert "readable 0 error 5273" == one.order(READABLE)
    assert "connected false error 0" == one.order(IS_CONNECTED)


def test_a_closed_peer_may_look_readable(link):
    one = link("close_readable_1_read_minus_1").connect()
    one.peer.close()

    assert "readable 1 error 0" == one.order(READABLE)
    assert "read -1 error 5273 array 0 ms 0 hex " == one.order(READ, 100, 50)
    assert "readable 0 error 5273" == one.order(READABLE)


def test_what_a_closed_peer_sent_can_still_be_read(link):
    one = link("close_readable_0_5273").connect()
    one.peer.sendall(b"\x07")
    one.peer.close()

    assert "readable 1 error 0" == one.order(READABLE)
    assert "read 1 error 0 array 1 ms 0 hex 07" == one.order(READ, 100, 50)
    assert "readable 0 error 5273" == one.order(READABLE)


def test_is_connected_may_probe(link):
    one = link("connected_probes").connect()
    one.peer.close()

    assert "connected false error 0" == one.order(IS_CONNECTED)


def test_a_reset_connection_is_an_error(link):
    one = link().connect()
    one.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    one.peer.close()

    assert "readable 0 error 5273" == one.order(READABLE)
    assert "send -1 error 5273 ms 0" == one.order(SEND, 10)


def test_a_dropped_connection_keeps_its_handle(link):
    one = link("timeout_dropped").connect()
    one.order(READ, 100, 50)

    assert "close true error 0" == one.order(CLOSE)
    assert "close false error 5270" == one.order(CLOSE)


def test_a_handle_is_not_connected_twice(link):
    one = link().connect()

    line = one.order(CONNECT, one.port, 5000, "127.0.0.1")
    assert line.startswith("connect false error 5272"), line


def test_a_closed_handle_is_unknown(link):
    one = link().connect()
    one.order(CLOSE)

    assert "readable 0 error 5270" == one.order(READABLE)
    assert "connected false error 5270" == one.order(IS_CONNECTED)
    assert "send -1 error 5270 ms 0" == one.order(SEND, 1)


def test_a_program_has_at_most_128_sockets(link):
    assert "opened 128 error 5271" == link().order(MANY)


def test_a_port_without_listener_refuses(link):
    one = link()
    port = one.port
    one.listener.close()
    one.order(CREATE)

    assert "connect false error 5272 ms 0" == one.order(CONNECT, port, 5000, "127.0.0.1")


def test_a_connect_may_take_its_whole_timeout(link):
    one = link("connect_blocks")
    one.order(CREATE)

    assert "connect false error 5272 ms 5000" == one.order(CONNECT, one.port, 5000, "127.0.0.1")


@pytest.mark.parametrize(("mode", "error"), [("allow_list_4014", 4014), ("allow_list_5272", 5272)])
def test_an_address_that_is_not_allowed_is_refused(link, mode, error):
    one = link(mode)
    one.order(CREATE)

    expected = f"connect false error {error} ms 0"
    assert expected == one.order(CONNECT, one.port, 5000, "127.0.0.1")


def test_allowed_hosts_are_a_list(link):
    one = link(allowed_hosts="example.com,127.0.0.1").connect()
    one.order(CREATE)

    assert "connect false error 4014 ms 0" == one.order(CONNECT, one.port, 5000, "localhost")


def test_localhost_may_be_ipv6(link):
    one = link("localhost_is_ipv6")
    one.order(CREATE)

    assert "connect false error 5272 ms 0" == one.order(CONNECT, one.port, 5000, "localhost")


def test_a_full_buffer_blocks_until_the_send_timeout(link):
    one = link().connect()
    one.order(TIMEOUTS, 700, 0)

    assert "send -1 error 5273 ms 700" == one.order(SEND, 20_000_000)
    assert "connected false error 0" == one.order(IS_CONNECTED)


def test_send_may_block(link):
    one = link("send_blocks").connect()
    one.order(TIMEOUTS, 700, 0)

    assert "writable false error 0" == one.order(WRITABLE)
    assert "send -1 error 5273 ms 700" == one.order(SEND, 10)


def test_short_writes_are_the_same_for_the_same_seed(link):
    lines = []
    for _ in range(2):
        one = link("short_writes", socket_seed=7).connect()
        lines.append([one.order(SEND, 1000) for _ in range(10)])

    assert lines[0] == lines[1]
    sizes = [int(line.split()[1]) for line in lines[0]]
    assert all(1 <= size <= 1000 for size in sizes)
    assert len(set(sizes)) > 5
    assert sum(sizes) == len(received(one.peer, sum(sizes)))


def test_a_send_may_fail_with_a_part_delivered(link):
    one = link("send_minus_1_after_part", send_failure_bytes=25).connect()

    assert "send 10 error 0 ms 0" == one.order(SEND, 10)
    assert "send -1 error 5273 ms 0" == one.order(SEND, 100)
    assert bytes(range(10)) + bytes(range(15)) == received(one.peer, 25)
    assert b"" == one.peer.recv(1)


def test_short_reads_leave_the_rest(link):
    one = link("short_reads").connect()
    data = bytes(range(64))
    one.peer.sendall(data)
    got = b""
    reads = 0
    while len(got) < len(data):
        got += bytes.fromhex(one.order(READ, 64, 50).rsplit(" ", 1)[1])
        reads += 1

    assert data == got
    assert reads > 1


def test_a_read_may_wait_for_all_that_was_asked_for(link):
    one = link("reads_wait_full").connect()
    one.peer.sendall(b"\x01\x02")

    assert "read 2 error 0 array 2 ms 50 hex 0102" == one.order(READ, 100, 50)
    one.peer.sendall(b"\x03\x04")
    assert "read 2 error 0 array 2 ms 0 hex 0304" == one.order(READ, 2, 50)


def test_the_array_may_keep_its_tail(link):
    one = link("stale_tail").connect()
    one.peer.sendall(b"\x01\x02")

    assert "read 2 error 0 array 18 ms 0 hex 0102" == one.order(READ, 100, 50)
    one.peer.sendall(b"\x03")
    assert "read 1 error 0 array 18 ms 0 hex 03" == one.order(READ, 100, 50)


def test_there_is_no_tls(link):
    one = link().connect()

    assert "tls false -1 error 5274" == one.order(TLS, 0, 0.0, "relay")


@pytest.mark.parametrize("options", [{"tester": 1}, {"program_type": "indicator"}])
def test_sockets_are_not_for_the_tester_and_indicators(link, options):
    assert "create -1 error 4014" == link(**options).order(CREATE)


def test_a_mode_can_change_while_the_program_runs(link):
    one = link().connect()
    one.ea.set_option("socket_mode", "connected_probes")
    one.peer.close()

    assert "connected false error 0" == one.order(IS_CONNECTED)


def test_everything_is_recorded(link, tmp_path):
    record = tmp_path / "wire.jsonl"
    one = link(record=record).connect()
    one.peer.sendall(b"\x01\x02")
    one.order(READ, 100, 50)
    one.order(SEND, 3)
    one.order(CLOSE)

    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [
        ("connected", ""), ("received", "0102"), ("sent", "000102"), ("closed", ""),
    ] == [(line["what"], line["hex"]) for line in lines]  # fmt: skip


def test_a_unix_socket_stands_for_the_address_where_bytes_must_not_be_late(link, tmp_path):
    path = tmp_path / "relay.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        one = link(unix_socket=path)
        one.order(CREATE)

        assert "connect true error 0 ms 0" == one.order(CONNECT, 5600, 5000, "127.0.0.1")

        peer, _ = listener.accept()
        with peer:
            peer.sendall(b"\x01")

            assert "readable 1 error 0" == one.order(READABLE)
