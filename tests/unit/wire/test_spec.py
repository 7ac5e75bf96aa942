"""``bridge.wire.spec``: the numbers fit together."""

from __future__ import annotations

import enum

import pytest

from bridge.model.record import RECORD_SIZE
from bridge.wire import spec
from bridge.wire.messages import MESSAGES, pack_message
from bridge.wire.spec import FrameType, LogoutCode
from tests.support.wire import largest

ENUMS = [
    value
    for name in spec.__all__
    if isinstance(value := getattr(spec, name), type) and issubclass(value, enum.Enum)
]


def test_a_frame_is_header_body_and_tag():
    assert spec.FRAME_OVERHEAD == spec.HEADER_SIZE + spec.TAG_SIZE
    assert spec.FRAME_MAGIC.to_bytes(2, "little") == b"M5"


def test_a_market_frame_takes_123_records_of_one_symbol():
    room = spec.MARKET_FRAME_MAX - spec.FRAME_OVERHEAD - spec.RUN_HEADER_SIZE

    assert room // RECORD_SIZE == 123


def test_lazy_acknowledgements_never_stop_a_terminal_that_has_room():
    assert 4 * spec.ACK_EVERY_BYTES <= spec.MARKET_WINDOW
    assert spec.FRAME_MAX <= spec.MARKET_WINDOW


def test_the_clock_window_is_longer_than_any_announced_block():
    assert spec.CLOCK_WINDOW_MS > spec.BUSY_LIMIT_MS + spec.SILENCE_LIMIT_MAX_MS // 6


@pytest.mark.parametrize("frame_type", [FrameType.HELLO, FrameType.WELCOME, FrameType.LOGOUT])
def test_a_logon_message_at_its_largest_is_taken_before_the_logon(frame_type):
    body = pack_message(largest(MESSAGES[frame_type]))

    assert len(body) + spec.FRAME_OVERHEAD <= spec.LOGON_FRAME_MAX


@pytest.mark.parametrize(
    "message",
    [cls for cls in MESSAGES.values() if cls.TYPE not in {FrameType.REQUEST, FrameType.EVENT}],
    ids=lambda cls: cls.__name__,
)
def test_every_message_at_its_largest_is_no_larger_than_a_frame(message):
    """REQUEST and EVENT have a map, whose size the sender checks."""
    assert len(pack_message(largest(message))) + spec.FRAME_OVERHEAD <= spec.FRAME_MAX


def test_every_frame_type_of_this_version_is_critical():
    assert all(0 < frame_type <= spec.CRITICAL_TYPE_MAX for frame_type in FrameType)


@pytest.mark.parametrize("kind", ENUMS, ids=lambda kind: kind.__name__)
def test_no_number_has_two_names(kind):
    assert len(kind) == len(kind.__members__)


@pytest.mark.parametrize(
    ("code", "needs_a_person"),
    [
        (LogoutCode.QUEUE_FULL, False),
        (LogoutCode.BAD_RECORDS, False),
        (LogoutCode.UNKNOWN_KEY, True),
        (LogoutCode.ROLE_UNSUPPORTED, True),
    ],
)
def test_logout_codes_from_100_on_need_a_person(code, needs_a_person):
    assert needs_a_person == (code >= 100)


def test_capabilities_of_this_version_are_known_bits():
    known = 0
    for capability in spec.Capability:
        known |= capability

    assert spec.CAPABILITIES & ~known == 0
