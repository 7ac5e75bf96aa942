"""What is published: one frame a message, in order, and who made a topic stream."""

from __future__ import annotations

import time

import msgpack
import pytest
import zmq

from bridge.bus.bodies import Tail, read_bulk, read_relay, read_status, read_tick
from bridge.bus.topics import split_message
from bridge.relay import publisher as module
from bridge.relay.publisher import Publisher
from bridge.relay.rings import RingBudget
from bridge.relay.sockets import PublishPort
from bridge.relay.streams import Stream
from bridge.wire.protocol import Run
from tests.support.bench import RecordingSocket
from tests.support.terminal import records_of

EPOCH = 7


def make_stream(symbol="EURUSD", alias="demo") -> Stream:
    stream = Stream(alias, symbol, 1_000_000, RingBudget(10_000_000), 100)
    stream.begin(1, EPOCH, 1, "Server", 5)
    return stream


def publish(publisher, stream, length):
    first = stream.next_seq
    run = Run(1, length, first, 0, bytes(16), records_of(EPOCH, first, length))
    taken = stream.take(run)
    publisher.publish_run(stream, taken.first, taken.length, taken.records)


class Listener:
    def __init__(self):
        self.heard: list[tuple[str, bytes]] = []

    def subscribed(self, topic):
        self.heard.append(("+", topic))

    def unsubscribed(self, topic):
        self.heard.append(("-", topic))


@pytest.fixture
def socket():
    return RecordingSocket()


@pytest.fixture
def publisher(socket):
    made = Publisher(socket, 41)
    made.add_alias("demo")
    return made


@pytest.fixture
def pair():
    """
    A publisher with a real XPUB, and a function that makes SUB sockets.
    """
    context = zmq.Context()
    xpub = context.socket(zmq.XPUB)
    xpub.linger = 0
    number = xpub.bind_to_random_port("tcp://127.0.0.1")
    subscribers = []

    def subscriber():
        socket = context.socket(zmq.SUB)
        socket.linger = 0
        socket.rcvtimeo = 10_000
        socket.connect(f"tcp://127.0.0.1:{number}")
        subscribers.append(socket)
        return socket

    port = PublishPort(xpub)
    publisher = Publisher(port, 41)
    publisher.add_alias("demo")
    yield publisher, port, subscriber
    for socket in (*subscribers, xpub):
        socket.close()
    context.destroy(0)


def read(publisher, port, listener, limit):
    """
    Let the publisher take what waits; return whether there may be more.
    """
    return port.read(lambda frame: publisher.receive(frame, listener), limit)


def read_until(publisher, port, listener, count):
    """
    Read subscriptions until the listener heard ``count`` of them.
    """
    deadline = time.monotonic() + 10
    while len(listener.heard) < count:
        left_ms = max(0, int((deadline - time.monotonic()) * 1000))
        assert port.socket.poll(left_ms), listener.heard

        read(publisher, port, listener, 100)


@pytest.mark.parametrize("length", [1, 2, 3, 123])
def test_a_run_is_one_message_a_record(publisher, socket, length):
    """Topic, NUL and the record as it came, in order."""
    stream = make_stream()
    publish(publisher, stream, length)

    assert [b"tick/demo/EURUSD\0"] * length == [message[:17] for message in socket.sent]
    assert records_of(EPOCH, 1, length) == b"".join(message[17:] for message in socket.sent)
    assert length == publisher.published


def test_a_published_record_reads_as_a_tick(publisher, socket):
    """The body is the msgpack array of the bus protocol."""
    publish(publisher, make_stream(), 1)
    topic, body = split_message(socket.sent[0])

    assert "tick/demo/EURUSD" == topic
    assert (EPOCH, 1) == read_tick(body)[:2]
    assert list(read_tick(body)) == msgpack.unpackb(body)


def test_tails_tell_what_moved_since_the_last_time(publisher, socket):
    """A lost last message shows; a topic that rests is not told twice."""
    first, second = make_stream(), make_stream("USDJPY")
    publish(publisher, first, 5)
    publish(publisher, second, 2)
    publisher.publish_status("demo", 1, "LINK_UP", {})
    socket.sent.clear()
    publisher.publish_tails(1_000)
    publish(publisher, first, 1)
    publisher.publish_tails(2_000)
    publisher.publish_tails(3_000)
    bodies = [read_relay(body) for body in socket.bodies("relay")]

    assert [
        {
            Tail("tick/demo/EURUSD", EPOCH, 5),
            Tail("tick/demo/USDJPY", EPOCH, 2),
            Tail("status/demo", 41, 1),
        },
        {Tail("tick/demo/EURUSD", EPOCH, 6)},
        set(),
    ] == [set(body.tails) for body in bodies]
    assert [(41, 1), (41, 2), (41, 3)] == [body[:2] for body in bodies]


def test_many_tails_come_in_several_messages(publisher, socket, monkeypatch):
    """No message grows without bound."""
    monkeypatch.setattr(module, "TAILS_PER_MESSAGE", 2)
    for symbol in "ABCDE":
        publish(publisher, make_stream(symbol), 1)
    socket.sent.clear()
    publisher.publish_tails(1_000)
    bodies = [read_relay(body) for body in socket.bodies("relay")]

    assert [2, 2, 1] == [len(body.tails) for body in bodies]
    assert [1, 2, 3] == [body.seq for body in bodies]


def test_status_messages_are_numbered_and_kept(publisher, socket):
    """So that they can be replayed like ticks."""
    for number in range(3):
        publisher.publish_status("demo", number, "BUSY", {"n": number})
    found = publisher.quiet_ring("status/demo")

    assert found is not None
    assert 3 == found[0]
    assert [1, 2, 3] == [read_status(body).seq for body in socket.bodies("status/demo")]
    assert socket.bodies("status/demo")[1:] == [
        found[1].read(2, 2, 1000).data,
        found[1].read(3, 3, 1000).data,
    ]
    assert publisher.quiet_ring("status/other") is None


def test_the_state_of_relay_itself_is_known(publisher):
    """A snapshot of ``relay`` says where its numbers are."""
    publisher.publish_tails(1)
    found = publisher.quiet_ring("relay")

    assert found is not None
    assert 1 == found[0]


def test_a_barrier_is_published_under_its_nonce(publisher, socket):
    """Whoever asked for it knows that what it subscribed to before arrives."""
    publisher.publish_sync("abcdefgh", 1_000)

    assert [[41, 1, 1_000]] == [msgpack.unpackb(body) for body in socket.bodies("sync/abcdefgh")]


def test_first_and_last_subscriber_are_told(pair):
    """Not the second of two: XPUB counts them."""
    publisher, port, subscriber = pair
    one, two, listener = subscriber(), subscriber(), Listener()
    one.subscribe(b"tick/demo/A\0")
    read_until(publisher, port, listener, 1)
    two.subscribe(b"tick/demo/A\0")
    two.subscribe(b"tick/demo/B\0")
    read_until(publisher, port, listener, 2)
    one.unsubscribe(b"tick/demo/A\0")
    two.unsubscribe(b"tick/demo/A\0")
    read_until(publisher, port, listener, 3)

    assert [("+", b"tick/demo/A\0"), ("+", b"tick/demo/B\0"), ("-", b"tick/demo/A\0")] == (
        listener.heard
    )
    assert publisher.is_subscribed(b"tick/demo/B\0")
    assert not publisher.is_subscribed(b"tick/demo/A\0")


def test_a_subscriber_that_dies_has_left(pair):
    """The end of its connection takes all its subscriptions back."""
    publisher, port, subscriber = pair
    one, listener = subscriber(), Listener()
    one.subscribe(b"tick/demo/A\0")
    read_until(publisher, port, listener, 1)
    one.close()
    read_until(publisher, port, listener, 2)

    assert ("-", b"tick/demo/A\0") == listener.heard[1]


def test_reading_is_bounded_and_says_that_more_may_wait(pair):
    """A flood of subscriptions does not hold the loop."""
    publisher, port, subscriber = pair
    one, listener = subscriber(), Listener()
    for number in range(30):
        one.subscribe(b"tick/demo/%d\0" % number)
    one.subscribe(b"last")
    read_until(publisher, port, listener, 10)
    while ("+", b"last") not in listener.heard:
        before = len(listener.heard)
        more = read(publisher, port, listener, 10)

        assert len(listener.heard) - before <= 10
        assert more == (len(listener.heard) - before == 10)

    assert not read(publisher, port, listener, 10)


def test_what_a_peer_writes_that_is_no_subscription_is_ignored(pair):
    """XPUB hands over any message of a peer that speaks its own mind."""
    publisher, port, _ = pair
    listener = Listener()
    endpoint = port.socket.getsockopt_string(zmq.LAST_ENDPOINT).rstrip("\0")
    with port.socket.context.socket(zmq.XSUB) as rude:
        rude.linger = 0
        rude.connect(endpoint)
        rude.send(b"hello")
        rude.send(b"")
        rude.send(b"\x02tick/demo/A\0")
        rude.send(b"\x00never subscribed")
        rude.send(b"\x01real")
        read_until(publisher, port, listener, 1)

    assert [("+", b"real")] == listener.heard


def test_the_names_that_are_remembered_are_bounded(pair, monkeypatch):
    """A hostile client may subscribe to as many as it likes."""
    monkeypatch.setattr(module, "_SUBSCRIPTIONS_MAX", 2)
    publisher, port, subscriber = pair
    one, listener = subscriber(), Listener()
    for name in (b"a", b"b", b"c"):
        one.subscribe(name)
    one.unsubscribe(b"a")
    read_until(publisher, port, listener, 3)

    assert [("+", b"a"), ("+", b"b"), ("-", b"a")] == listener.heard


@pytest.mark.parametrize("subscription", [b"ticks/demo\0", b"ticks/", b"t", b""])
def test_bulk_is_published_when_somebody_wants_it(pair, subscription):
    """Recorders get many records in a message; a prefix of the topic is enough."""
    publisher, port, subscriber = pair
    recorder, listener = subscriber(), Listener()
    stream = make_stream()
    publish(publisher, stream, 2)
    recorder.subscribe(subscription)
    read_until(publisher, port, listener, 1)
    publish(publisher, stream, 3)
    publisher.publish_tails(1)
    while not (message := recorder.recv()).startswith(b"ticks/demo\0"):
        pass
    bulk = read_bulk(split_message(message)[1])

    assert (41, 1, "EURUSD", EPOCH, 3, 3) == bulk[:6]
    assert records_of(EPOCH, 3, 3) == bulk.records


@pytest.mark.parametrize(
    "subscription", [b"tick/demo/EURUSD\0", b"ticks/other\0", b"ticks/demo\0x"]
)
def test_bulk_costs_nothing_when_nobody_wants_it(pair, subscription):
    """Neither another topic nor another alias asks for it."""
    publisher, port, subscriber = pair
    one, listener = subscriber(), Listener()
    one.subscribe(subscription)
    read_until(publisher, port, listener, 1)
    publish(publisher, make_stream(), 3)

    assert not publisher._bulk_changed


def test_the_tail_of_bulk_is_told(publisher, socket):
    """Like every other topic's."""
    publisher._bulk_wanted["demo"] = True
    publish(publisher, make_stream(), 3)
    publisher.publish_tails(1)

    assert Tail("ticks/demo", 41, 1) in read_relay(socket.bodies("relay")[0]).tails


def test_a_full_subscriber_does_not_hold_the_others(pair):
    """Rule 2: what does not fit one queue is dropped for that one alone."""
    publisher, port, subscriber = pair
    port.socket.sndhwm = 10  # of connections made from now on
    listener = Listener()
    stuck = subscriber()
    stuck.rcvhwm = 10
    stuck.subscribe(b"status/demo\0")
    read_until(publisher, port, listener, 1)
    for number in range(20_000):
        publisher.publish_status("demo", number, "BUSY", {"text": "x" * 500})
    healthy = subscriber()
    healthy.subscribe(b"relay\0")
    read_until(publisher, port, listener, 2)
    publisher.publish_tails(1)

    assert read_relay(split_message(healthy.recv())[1]).tails == [Tail("status/demo", 41, 20_000)]
