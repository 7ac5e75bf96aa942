"""Mutual logon and frame tags: HMAC-SHA256 (RFC 2104) with a 256-bit key per terminal.

The transcript is everything both sides said before the proofs: the HELLO body with
its length before it, and the CHALLENGE body without its own proof. Both proofs and
both session keys are made from its hash, so a change of any field by anybody in
between, a downgrade of the version included, ends the logon.

The session keys are fresh as soon as one of the two nonces is: a recorded session
cannot be replayed to either side.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from typing import Final, NamedTuple

from bridge.wire.spec import TAG_SIZE

__all__ = ["KEY_SIZE", "PROOF_SIZE", "LogonSecrets", "Tagger", "derive", "same", "tag"]

KEY_SIZE: Final = 32
PROOF_SIZE: Final = 32
_BLOCK_SIZE: Final = 64

_LENGTH: Final = struct.Struct("<I")
_RELAY_PROOF: Final = b"mt5-zmq-bridge wire 1 relay proof"
_TERMINAL_PROOF: Final = b"mt5-zmq-bridge wire 1 terminal proof"
_RELAY_KEY: Final = b"mt5-zmq-bridge wire 1 relay to terminal"
_TERMINAL_KEY: Final = b"mt5-zmq-bridge wire 1 terminal to relay"


class LogonSecrets(NamedTuple):
    """
    What follows from a key and a transcript: two proofs and two session keys.
    """

    relay_proof: bytes
    terminal_proof: bytes
    relay_key: bytes
    terminal_key: bytes

    def __repr__(self) -> str:
        return "<LogonSecrets (redacted)>"


def derive(key: bytes, hello_body: bytes, challenge_fields: bytes) -> LogonSecrets:
    """
    Derive proofs and session keys.

    ``key``: 32 bytes. ``hello_body``: the body of HELLO as it was on the wire.
    ``challenge_fields``: the body of CHALLENGE without the 32 bytes of proof at its end.
    """
    transcript = hashlib.sha256(
        _LENGTH.pack(len(hello_body)) + hello_body + challenge_fields
    ).digest()
    return LogonSecrets(
        hmac.digest(key, _RELAY_PROOF + transcript, "sha256"),
        hmac.digest(key, _TERMINAL_PROOF + transcript, "sha256"),
        hmac.digest(key, _RELAY_KEY + transcript, "sha256"),
        hmac.digest(key, _TERMINAL_KEY + transcript, "sha256"),
    )


class Tagger:
    """
    Makes the tags of one direction: the first 16 bytes of HMAC-SHA256 (RFC 2104).

    Both padded key blocks are hashed once, which halves the price of a small frame.
    ``key``: a session key of 32 bytes.
    """

    __slots__ = ("_inner", "_outer", "key")

    def __init__(self, key: bytes) -> None:
        self.key = key
        block = key + bytes(_BLOCK_SIZE - len(key))
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in block)).copy
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in block)).copy

    def __repr__(self) -> str:
        return "<Tagger (redacted)>"

    def tag(self, data: bytes | memoryview) -> bytes:
        """
        Return the tag of a frame's bytes before its tag.
        """
        inner = self._inner()
        inner.update(data)
        outer = self._outer()
        outer.update(inner.digest())
        return outer.digest()[:TAG_SIZE]


def tag(session_key: bytes, data: bytes | memoryview) -> bytes:
    """
    Return one tag; ``Tagger`` is for many with the same key.
    """
    return hmac.digest(session_key, data, "sha256")[:TAG_SIZE]


#: Compare two proofs or tags in constant time.
same = hmac.compare_digest
