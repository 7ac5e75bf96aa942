"""Types of options: what they take, and what they say about anything else."""

from __future__ import annotations

import math
from typing import Any, Final

import click

from bridge.model.symbol import default_symbols

__all__ = ["FULL_SPEED", "SPEED", "SYMBOLS", "SYMBOLS_MAX"]

#: What ``max`` becomes.
FULL_SPEED: Final = math.inf
#: So many symbols a synthetic market has at most.
SYMBOLS_MAX: Final = 500
_NAME_MAX: Final = 64


class _Speed(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "speed"

    def get_metavar(self, *_: Any, **__: Any) -> str:
        return "N|max"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        if value in {"max", FULL_SPEED}:
            return FULL_SPEED
        try:
            speed = float(value)
        except ValueError:
            speed = math.nan
        if not (math.isfinite(speed) and speed > 0):
            self.fail(f"{value!r} is neither a number above 0 nor max", param, ctx)
        return speed


class _Symbols(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    name = "symbols"

    def get_metavar(self, *_: Any, **__: Any) -> str:
        return "N|NAME,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, ...]:
        if isinstance(value, tuple):
            return value
        text = str(value)
        if text.isdecimal():
            if not 1 <= int(text) <= SYMBOLS_MAX:
                self.fail(f"{text} symbols: expected 1 to {SYMBOLS_MAX}", param, ctx)
            known = [spec.name for spec in default_symbols()]
            made_up = (f"DEMO{number:03}" for number in range(1, SYMBOLS_MAX + 1))
            return (*known, *made_up)[: int(text)]
        names = tuple(name.strip() for name in text.split(","))
        for name in names:
            if not 0 < len(name) <= _NAME_MAX or not name.isprintable():
                self.fail(f"{name!r} is no name of a symbol", param, ctx)
        if len(set(names)) != len(names) or len(names) > SYMBOLS_MAX:
            self.fail(f"expected at most {SYMBOLS_MAX} names, each once", param, ctx)
        return names


SPEED: Final = _Speed()
SYMBOLS: Final = _Symbols()
