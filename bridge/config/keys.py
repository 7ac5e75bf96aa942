"""The secret that a terminal and the relay share.

A key is 32 random bytes, kept in a file of its own as 64 hexadecimal characters:
that form can be pasted into an input of the Expert Advisor. The settings name the
file and never hold the key, so that a configuration can be shown, logged and copied.

On POSIX the file has mode 0600, and one that every user can read is refused.
On Windows a mode says nothing: there the access list of the user's profile, below
which the default folder lies, keeps other users out. Whoever moves the keys elsewhere
(``--home``) has to restrict that folder (``icacls``).
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import NoReturn

from bridge.exceptions import ConfigError

__all__ = ["KEY_BYTES", "Key", "load_key", "write_key"]

#: The block of HMAC-SHA256 is 64 bytes, its output 32: a longer key adds nothing.
KEY_BYTES = 32

_HEX_CHARACTERS = 2 * KEY_BYTES
#: Enough for a key with a byte order mark and stray blanks; more is not a key file.
_MAX_FILE_BYTES = 1024
_KEYS_FOLDER_MODE = 0o700
_KEY_FILE_MODE = 0o600


class Key:
    """
    A shared secret that does not show itself.

    ``str()``, ``repr()`` and formatting give ``<key redacted>``; pickling is refused.
    Two keys are compared in constant time.

    Raises:
        ValueError: ``value`` is not ``KEY_BYTES`` long.
    """

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        if len(value) != KEY_BYTES:
            msg = f"a key has {KEY_BYTES} bytes, not {len(value)}"
            raise ValueError(msg)
        self._value = bytes(value)

    @classmethod
    def generate(cls) -> Key:
        """
        Return a new key from the randomness of the operating system.
        """
        return cls(secrets.token_bytes(KEY_BYTES))

    def reveal(self) -> bytes:
        """
        Return the secret itself. The caller must not log, store or send it.
        """
        return self._value

    @property
    def fingerprint(self) -> str:
        """
        Return eight characters that tell keys apart and give nothing away.
        """
        return hashlib.sha256(b"bridge key fingerprint" + self._value).hexdigest()[:8]

    def __repr__(self) -> str:
        return "<key redacted>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Key):
            return NotImplemented
        return hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        return hash((Key, self._value))

    def __reduce__(self) -> NoReturn:
        msg = "a key is not serialised; pass the path of its file"
        raise TypeError(msg)


def load_key(path: Path) -> Key:
    """
    Read the key that ``path`` holds.

    Raises:
        ConfigError: the file is missing, cannot be read, can be read by every user
            (POSIX), or does not hold exactly 64 hexadecimal characters.
    """
    source = str(path)
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            "the key file does not exist", source=source, hint="'bridge init' writes one"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"the key file cannot be read: {reason}", source=source) from error
    if _checks_modes() and mode & (stat.S_IRWXO | stat.S_IWGRP):
        raise ConfigError(
            f"other users can read or change this key (mode {stat.S_IMODE(mode):04o})",
            source=source,
            hint=f"chmod 600 {source}",
        )
    return Key(_decode(content, source))


def write_key(path: Path, key: Key, *, force: bool = False) -> None:
    """
    Write ``key`` to ``path``, readable by its owner only; make the folder if need be.

    With ``force`` an existing file is replaced in one step: a reader sees the old key
    or the new one, never half of one.

    Raises:
        FileExistsError: the file is there and ``force`` is false.
        OSError: the file cannot be written.
    """
    path.parent.mkdir(mode=_KEYS_FOLDER_MODE, parents=True, exist_ok=True)
    target = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new") if force else path
    # O_EXCL: never write through a file or link that somebody else put there.
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _KEY_FILE_MODE)
    with os.fdopen(descriptor, "wb") as file:
        file.write(key.reveal().hex().encode("ascii") + b"\n")
        file.flush()
        os.fsync(file.fileno())
    if force:
        target.replace(path)


def _checks_modes() -> bool:
    return os.name == "posix"


def _decode(content: bytes, source: str) -> bytes:
    # Never quote the content in an error: a key with one wrong character is still a secret.
    hint = "a key file holds 64 hexadecimal characters and nothing else"
    # Editors on Windows put a byte order mark in front.
    text = content.removeprefix(b"\xef\xbb\xbf").strip()
    if len(text) != _HEX_CHARACTERS:
        found = f"{len(text)}" if len(content) <= _MAX_FILE_BYTES else f"over {_MAX_FILE_BYTES}"
        raise ConfigError(
            f"expected {_HEX_CHARACTERS} characters, found {found}", source=source, hint=hint
        )
    try:
        # bytes.fromhex() would skip blanks inside; int() would take a sign or underscores.
        value = bytes.fromhex(text.decode("ascii"))
    except ValueError:
        value = b""
    if len(value) != KEY_BYTES:
        raise ConfigError("the key is not hexadecimal", source=source, hint=hint)
    return value
