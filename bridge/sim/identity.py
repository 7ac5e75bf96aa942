"""Who a simulated terminal is, kept over restarts: incarnation and connection counter."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path
from typing import Final, NamedTuple

from bridge.exceptions import ConfigError

__all__ = ["Identity", "IdentityFile"]

_INCARNATION_SIZE: Final = 16
_FILE_MAX: Final = 4_096
_COUNTER_MAX: Final = 2**63


class Identity(NamedTuple):
    """
    ``incarnation`` names the terminal's ledger; a counter is used for one connection only.
    """

    incarnation: bytes
    connection_counter: int


class IdentityFile:
    """
    A small JSON file that is on the disk before a counter is used.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._incarnation = b""

    def load(self) -> Identity:
        """
        Return what the file holds; without a file begin a new incarnation.

        Raises:
            ConfigError: the file cannot be read or was damaged.
        """
        try:
            with self._path.open("rb") as file:
                data = file.read(_FILE_MAX)
        except FileNotFoundError:
            self._incarnation = secrets.token_bytes(_INCARNATION_SIZE)
            return Identity(self._incarnation, 0)
        except OSError as error:
            raise self._error(f"the file cannot be read: {error.strerror}") from error
        try:
            values = json.loads(data)
            incarnation = bytes.fromhex(values["incarnation"])
            counter = values["connection_counter"]
        except (ValueError, TypeError, KeyError) as error:
            raise self._error("the file is damaged") from error
        if (
            len(incarnation) != _INCARNATION_SIZE
            or not isinstance(counter, int)
            or not 0 <= counter < _COUNTER_MAX
        ):
            raise self._error("the file is damaged")
        self._incarnation = incarnation
        return Identity(incarnation, counter)

    def commit(self, connection_counter: int) -> None:
        """
        Write a counter, before it is used. Call ``load`` first.

        Raises:
            OSError: it could not be written; then the counter must not be used.
        """
        text = json.dumps(
            {"incarnation": self._incarnation.hex(), "connection_counter": connection_counter}
        )
        temporary = self._path.with_name(f"{self._path.name}.new")
        with temporary.open("wb") as file:
            file.write(text.encode())
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self._path)

    def _error(self, problem: str) -> ConfigError:
        return ConfigError(
            problem,
            source=str(self._path),
            hint="delete it: the terminal then begins as a new one",
        )
