"""Identity, connection, log and back-off of the EA, executed."""

from __future__ import annotations

import concurrent.futures
import contextlib
import hashlib
import re
import shutil
import socket
import sqlite3
import struct
import threading
from pathlib import Path

import pytest

from bridge.model.symbol import spec_for
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from tests.mql5 import building
from tests.mql5.host import EaProcess, ExitCode

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="g++ is not installed")

HERE = Path(__file__).resolve().parent
#: Socket modes in which bytes must pass.
MODES = (
    "",
    "readable_speculative_1",
    "short_reads",
    "short_writes",
    "stale_tail",
    "reads_wait_full",
    "connected_probes",
    "timeout_no_error,readable_speculative_1",
    "short_reads,short_writes,stale_tail,readable_speculative_1",
)
CLOSE_MODES = ("close_readable_0_5273", "close_readable_1_read_minus_1", "connected_probes")


@pytest.fixture(scope="module")
def program():
    return building.build(HERE / "programs" / "support.mq5", "asan")


@pytest.fixture
def run(program, tmp_path):
    """
    Return a function: inputs and options of the runtime, what the program printed.
    """

    def start(what, *, options=None, **inputs):
        with EaProcess(
            program,
            market=Market([spec_for("EURUSD")]),
            account=Account(login=77, server="Demo-Server"),
            inputs={"InpWhat": what, **{f"Inp{name}": value for name, value in inputs.items()}},
            options=options,
            folder=tmp_path,
        ) as ea:
            assert ExitCode.ENDED == ea.wait_for_exit(60)
            return "\n".join(ea.said())

    return start


def value_of(text, name):
    found = re.search(rf"\b{name} (.*)$", text, re.MULTILINE)
    assert found is not None, text
    return found[1].strip()


# --- identity ----------------------------------------------------------------------------------


def database(tmp_path, alias="demo"):
    return tmp_path / "MQL5" / "Files" / "Bridge" / f"{alias}-77-Demo-Server.sqlite"


def test_an_identity_is_kept_over_restarts(run, tmp_path):
    first = run("identity", Connections=3, Epoch=9)
    second = run("identity", Connections=1, Epoch=4)

    assert value_of(first, "incarnation") == value_of(second, "incarnation")
    last = int(re.findall(r"connection true (\d+)", first)[-1])
    assert f"connection true {last + 1}" in second
    assert "epoch true 9" in second
    with sqlite3.connect(database(tmp_path)) as connection:
        rows = connection.execute("SELECT connection_counter, relay_epoch_seen FROM identity")
        assert [(last + 1, 9)] == rows.fetchall()
    connection.close()


def test_two_terminals_have_two_incarnations(run):
    one, other = run("identity", Alias="one"), run("identity", Alias="other")

    assert value_of(one, "incarnation") != value_of(other, "incarnation")


def test_a_file_is_named_by_what_file_systems_take(run, tmp_path):
    run("identity", Alias="a/b..\\c")

    assert database(tmp_path, "a_b___c").exists()


def test_each_server_has_its_own_file(run, tmp_path):
    """
    Two brokers may have an account of the same number; two names may look the same to a disk.
    """
    servers = ("Demo-Server", "Demo Server", "Demo_Server", "Демо", "Live")
    incarnations = {value_of(run("identity", Server=server), "incarnation") for server in servers}

    assert len(servers) == len(incarnations)
    assert len(servers) == len(list(database(tmp_path).parent.glob("demo-77-*.sqlite")))


def test_the_nonce_is_the_hash_of_the_specification(run):
    text = run("identity")

    counter = int(value_of(text, "connection true"))
    data = bytes([1]) * 32 + struct.pack("<QqQ", counter, -5, 77)
    assert hashlib.sha256(data).hexdigest() == value_of(text, "nonce")


def test_what_is_committed_survives(run):
    assert "durable true" in run("identity")


@pytest.mark.parametrize("mode", ["pragma_refused", "pragma_ignored"])
def test_a_terminal_without_pragmas_is_believed_only_what_it_says(run, mode):
    text = run("identity", options={"sqlite": mode})

    assert "open true" in text
    assert ("refused" in value_of(text, "durable")) == (mode == "pragma_refused")


@pytest.mark.parametrize(
    ("mode", "advice"),
    [
        ("busy", "another program uses it"),
        ("full", "the disk is full"),
        ("corrupt", "move it away"),
        ("ioerr", "error 5610"),
    ],
)
def test_a_database_that_fails_is_one_sentence_and_no_logon(run, mode, advice):
    text = run("identity", options={"sqlite": mode})

    assert "open false" in text
    assert advice in value_of(text, "open")
    assert "connection" not in text


@pytest.mark.parametrize(
    ("mode", "after"),
    [("busy", 1), ("busy", 4), ("full", 2), ("ioerr", 19), ("ioerr", 21), ("ioerr", 26)],
)
def test_a_counter_that_cannot_be_committed_is_not_used(run, mode, after):
    """
    The statements before it, so many of which could fail, do not.
    """
    last = re.findall(r"connection true (\d+)", run("identity", Connections=2))[-1]

    text = run("identity", options={"sqlite": mode, "sqlite_after": after})

    assert "open true" in text
    assert f"connection false {last} the file" in text
    assert {"busy": "another program", "full": "full", "ioerr": "5610"}[mode] in text


def test_a_file_that_is_no_database_is_told(run, tmp_path):
    path = database(tmp_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"this is no database, but long enough to be read as one" * 40)

    text = run("identity")

    assert "open false" in text
    assert "move it away" in text


def test_a_damaged_incarnation_is_told(run, tmp_path):
    run("identity")
    with sqlite3.connect(database(tmp_path)) as connection:
        connection.execute("UPDATE identity SET incarnation = 'xyz'")
    connection.close()

    assert "is damaged" in value_of(run("identity"), "open")


# --- connection ----------------------------------------------------------------------------------


class Server:
    """
    Accepts one connection, sends bytes and takes what comes back.
    """

    def __init__(self, data, *, close=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.data = data
        self.close = close
        self.received = bytearray()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.close()
        self.thread.join(30)

    def _run(self):
        connection, _ = self.listener.accept()
        with connection:
            connection.settimeout(20)
            sender = threading.Thread(target=self._send, args=(connection,), daemon=True)
            sender.start()
            # A program that ends with something unread resets the connection.
            with contextlib.suppress(ConnectionResetError):
                while not self.close and len(self.received) < len(self.data):
                    part = connection.recv(65_536)
                    if not part:
                        break
                    self.received += part
            sender.join(20)

    def _send(self, connection):
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            connection.sendall(self.data)


@pytest.mark.parametrize("mode", MODES)
def test_bytes_pass_both_ways_whatever_the_sockets_do(run, rng, mode):
    data = rng.randbytes(150_000)
    with Server(data) as server:
        text = run(
            "echo", options={"socket_mode": mode}, Port=server.port, Bytes=len(data), ForMs=30_000
        )
        server.thread.join(30)

    assert data == bytes(server.received), text


@pytest.mark.parametrize("mode", CLOSE_MODES)
def test_the_end_of_the_connection_is_noticed_and_said(run, mode):
    with Server(b"", close=True) as server:
        text = run("echo", options={"socket_mode": mode}, Port=server.port, ForMs=3_000)

    assert "connect true" in text
    assert "open false" in text
    assert "the connection to the relay at 127.0.0.1" in value_of(text, "open")
    assert int(value_of(text, "after").split()[0]) < 2_500


def test_a_failed_send_ends_the_connection(run, rng):
    options = {"socket_mode": "send_minus_1_after_part", "send_failure_bytes": 5_000}
    with Server(rng.randbytes(50_000)) as server:
        text = run("echo", options=options, Port=server.port, ForMs=10_000)

    assert "open false" in text
    assert "sending to the relay" in text


@pytest.mark.parametrize("mode", ["", "timeout_dropped,readable_speculative_1"])
def test_what_was_said_at_last_is_not_taken_back_by_a_reset(run, mode):
    """As when a socket is closed with something unread, be it one byte."""
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        concurrent.futures.ThreadPoolExecutor(1) as peer,
    ):

        def hear():
            connection, _ = listener.accept()
            with connection:
                connection.settimeout(20)
                connection.sendall(b"abcd")
                return b"".join(iter(lambda: connection.recv(64), b""))

        heard = peer.submit(hear)
        run("farewell", options={"socket_mode": mode}, Port=listener.getsockname()[1], Bytes=3)

        assert b"farewell" == heard.result(20)


def test_reading_does_not_block(run):
    with Server(b"x" * 100, close=False) as server:
        text = run("echo", Port=server.port, ForMs=500, Bytes=100)

    assert int(value_of(text, "longest")) < 400_000


@pytest.mark.parametrize(
    ("mode", "denied"), [("allow_list_4014", "true"), ("allow_list_5272", "false")]
)
def test_an_address_that_is_not_allowed_says_what_to_click(run, mode, denied):
    with Server(b"") as server:
        text = run("echo", options={"socket_mode": mode}, Port=server.port)
        socket.create_connection(("127.0.0.1", server.port)).close()

    assert f"connect false denied {denied}" in text
    assert "Tools > Options > Expert Advisors" in text
    assert "127.0.0.1" in text


def test_nobody_listening_is_said(run):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    text = run("echo", Port=port)

    assert f"the relay at 127.0.0.1:{port} cannot be reached" in text
    assert "bridge" in text


@pytest.mark.parametrize(("port", "reason"), [(443, "TLS"), (0, "no port"), (70_000, "no port")])
def test_a_port_that_cannot_be_is_refused(run, port, reason):
    text = run("echo", Port=port)

    assert "connect false" in text
    assert reason in text


# --- log and back-off ----------------------------------------------------------------------------


def test_a_repeated_line_is_said_once_and_counted(run):
    text = run("log")

    assert 1 == len(re.findall(r"demo: one\b", text))
    assert "not shown" not in text
    assert "demo: warning: again (4 times more)" in text
    assert 1 == len(re.findall(r"demo: error: x$", text, re.MULTILINE))
    assert "demo: error: x (1 times more)" in text


def test_delays_double_up_to_a_second_and_begin_anew(run):
    text = run("backoff")

    delays = [int(word) / 1000 for word in value_of(text, "growing").split()]
    for delay, middle in zip(delays, (100, 200, 400, 800, 1000, 1000), strict=True):
        assert 0.8 * middle <= delay <= 1.2 * middle
    for word in value_of(text, "open").split():
        assert 320_000 <= int(word) <= 480_000
    assert 80_000 <= int(value_of(text, "anew")) <= 120_000
    assert 10_000_000 <= int(value_of(text, "refused")) <= 12_000_000
    assert 7_000_000 == int(value_of(text, "asked"))
    assert 60_000_000 == int(value_of(text, "bounded"))
    assert int(value_of(text, "own")) <= 1_200_000
