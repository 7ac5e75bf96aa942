"""``bridge stop`` and an answer that the end of the relay swallows."""

from __future__ import annotations

import threading

import pytest
import zmq

from bridge.cli.control import NoReply, stop_relay
from bridge.relay.control import write_control_file
from bridge.relay.lock import FolderLock


class SilentRelay(threading.Thread):
    """
    Takes one control request and answers nothing; with ``ends`` it gives its folder free.
    """

    def __init__(self, folder, *, ends):
        super().__init__(daemon=True)
        self.ends = ends
        self.lock = FolderLock(folder)
        self.lock.acquire()
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        port = self.socket.bind_to_random_port("tcp://127.0.0.1")
        write_control_file(folder, "token", {"control": f"tcp://127.0.0.1:{port}"})

    def run(self):
        self.socket.recv_multipart()
        if self.ends:
            self.lock.release()

    def close(self):
        self.join(20)
        self.lock.release()
        self.socket.close(0)
        self.context.term()


@pytest.fixture
def start(tmp_path):
    """
    Return a function that starts a silent relay on the folder.
    """
    relays = []

    def started(**options):
        relays.append(SilentRelay(tmp_path, **options))
        relays[-1].start()

    yield started
    for relay in relays:
        relay.close()


def test_a_relay_that_ended_before_its_answer_left_has_stopped(start, tmp_path):
    start(ends=True)

    stop_relay(tmp_path, 1.0)


def test_a_relay_that_neither_answers_nor_ends_has_not(start, tmp_path):
    start(ends=False)

    with pytest.raises(NoReply, match="did not answer within 1 s"):
        stop_relay(tmp_path, 1.0)
