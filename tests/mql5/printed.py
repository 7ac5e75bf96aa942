"""What programs of tests print: values in hex, in pieces."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["values"]


def values(lines: Iterable[str]) -> list[bytes]:
    """
    Return the values in some lines: ``+`` is a piece of one, ``=`` its end, ``!`` a failure.
    """
    found: list[bytes] = []
    part = ""
    for line in lines:
        assert not line.startswith("!"), line
        if line.startswith("+"):
            part += line[1:]
        elif line.startswith("="):
            found.append(bytes.fromhex(part))
            part = ""
    return found
