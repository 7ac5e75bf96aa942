"""What a loss of power leaves of a program's databases: what was synced, and pieces of the rest.

The runtime keeps two files for each file of a database (``runtime/library_disk.hpp``). What is
pending may be there or not, by sectors of 512 bytes and in any order; one sector may be torn.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["lose_power"]

_DURABLE: Final = ".durable"
_PENDING: Final = ".pending"
_HEAD: Final = struct.Struct("<cQI")
_SECTOR: Final = 512


class _Step(NamedTuple):
    # Written, truncated, made (N) or deleted.
    kind: str
    number: int
    data: bytes


def lose_power(data: Path, rng: random.Random) -> list[str]:
    """
    Leave of the databases below a terminal's data what a loss of power leaves; the process is gone.

    Return what became of each file that had something pending.

    Raises:
        FileNotFoundError: the program did not run with ``losing_disk``.
    """
    shadow = data / "power"
    if not shadow.is_dir():
        raise FileNotFoundError(f"{shadow}: the program ran without the option losing_disk")
    names = sorted({path.name.rpartition(".")[0] for path in shadow.iterdir()})
    told = [_lose(data, shadow, name, rng) for name in names]
    for path in data.rglob("*-shm"):
        path.unlink()  # the memory that processes shared
    return [one for one in told if one]


def _lose(data: Path, shadow: Path, name: str, rng: random.Random) -> str:
    durable, pending = shadow / (name + _DURABLE), shadow / (name + _PENDING)
    image = bytearray(durable.read_bytes()) if durable.exists() else None
    steps = list(_steps(pending.read_bytes())) if pending.exists() else []
    how = rng.choice(("nothing", "the beginning", "pieces"))
    if how == "the beginning":
        image = _beginning(image, steps, rng)
    elif how == "pieces":
        image = _pieces(image, steps, rng)
    path = data / name.replace("|", "/")
    if image is None:
        path.unlink(missing_ok=True)
        durable.unlink(missing_ok=True)
    else:
        path.write_bytes(image)
        durable.write_bytes(image)
    pending.unlink(missing_ok=True)
    return f"{name}: {how} of {len(steps)} steps" if steps else ""


def _steps(log: bytes) -> Iterator[_Step]:
    at = 0
    while at + _HEAD.size <= len(log):
        kind, number, size = _HEAD.unpack_from(log, at)
        at += _HEAD.size
        if at + size > len(log):
            return  # the process died while it wrote this
        yield _Step(kind.decode(), number, log[at : at + size])
        at += size


def _beginning(image: bytearray | None, steps: list[_Step], rng: random.Random) -> bytearray | None:
    count = rng.randint(0, len(steps))
    for step in steps[:count]:
        image = _done(image, step)
    if count < len(steps) and steps[count].kind == "W":
        torn = steps[count]
        cut = rng.randrange(len(torn.data) + 1)
        image = _done(image, torn._replace(data=torn.data[:cut]))
    return image


def _pieces(image: bytearray | None, steps: list[_Step], rng: random.Random) -> bytearray | None:
    for step in steps:
        if step.kind == "W":
            for start in range(0, len(step.data), _SECTOR):
                if rng.random() < 0.5:
                    sector = step.data[start : start + _SECTOR]
                    if rng.random() < 0.1:
                        sector = sector[: rng.randrange(len(sector) + 1)]
                    image = _done(image, _Step("W", step.number + start, sector))
        elif rng.random() < 0.5:
            image = _done(image, step)
        elif step.kind in "ND":
            break  # what came then came to another file
    return image


def _done(image: bytearray | None, step: _Step) -> bytearray | None:
    match step.kind:
        case "N":
            return bytearray()
        case "D":
            return None
    if image is None:
        return None
    if step.kind == "T":
        del image[step.number :]
        image.extend(bytes(step.number - len(image)))
    elif step.data:
        image.extend(bytes(max(0, step.number - len(image))))
        image[step.number : step.number + len(step.data)] = step.data
    return image
