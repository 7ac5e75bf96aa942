"""What a simulated terminal knows of its broker's symbols: their properties and their ticks."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from bridge.model.enums import CopyTicks
from bridge.sim.history import CopyTicksResult, SymbolInfoTickResult, TickHistory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.model.symbol import SymbolSpec

__all__ = ["Market"]

#: What a list tells of each symbol; the rest is told of one symbol at a time.
_LISTED: Final = (
    "name",
    "description",
    "path",
    "digits",
    "point",
    "currency_base",
    "currency_profit",
    "currency_margin",
    "trade_mode",
    "select",
    "visible",
)

#: What only a broker's own sums need: no terminal of this project tells it.
_NOT_TOLD: Final = frozenset(
    {
        "trade_tick_value",
        "trade_face_value",
        "margin_initial",
        "margin_maintenance",
        "margin_hedged",
        "margin_hedged_use_leg",
        "swap_mode",
        "swap_long",
        "swap_short",
        "swap_rollover3days",
    }
)


class Market:
    """
    Symbols and their tick history, with what is selected in Market Watch.

    Args:
        symbols: what the broker offers; those with ``select`` are selected.
        history: their ticks; made empty when it is left out.
        seed: of a history that is made here.
        max_ticks: as in ``TickHistory``.

    Raises:
        ValueError: a symbol comes twice.
    """

    def __init__(
        self,
        symbols: Iterable[SymbolSpec],
        *,
        history: TickHistory | None = None,
        seed: int = 0,
        max_ticks: int | None = None,
    ) -> None:
        specs = tuple(symbols)
        self.specs = {spec.name: spec for spec in specs}
        if len(specs) != len(self.specs):
            raise ValueError("a symbol comes twice")
        if history is None:
            history = TickHistory(self.specs, seed=seed, max_ticks=max_ticks)
        self.history = history
        self._selected: set[str] = set()
        self._newest_msc = 0
        for spec in specs:
            if spec.select:
                self.select(spec.name, True)

    def select(self, symbol: str, on: bool, /) -> int:  # noqa: FBT001  # SymbolSelect's argument
        """
        Do what ``SymbolSelect`` does; 0 or an error.
        """
        if not on:
            # What its ticks told of the server's time stays known.
            self._newest_msc = self.time_current_msc()
        error = self.history.select(symbol, on)
        if not error:
            (self._selected.add if on else self._selected.discard)(symbol)
        return error

    def is_selected(self, symbol: str, /) -> bool:
        """
        Tell what ``SYMBOL_SELECT`` does.
        """
        return self.history.is_selected(symbol)

    def copy_ticks(
        self, symbol: str, flags: int = CopyTicks.ALL, from_msc: int = 0, count: int = 0
    ) -> CopyTicksResult:
        """
        Do what ``CopyTicks`` does.
        """
        return self.history.copy_ticks(symbol, flags, from_msc, count)

    def tick(self, symbol: str) -> SymbolInfoTickResult:
        """
        Do what ``SymbolInfoTick`` does, after ``SymbolSelect``.
        """
        self.select(symbol, True)
        return self.history.symbol_info_tick(symbol)

    def time_current_msc(self) -> int:
        """
        Return the time of the newest tick of symbols while they were selected, 0 without one.
        """
        times = (self.history.symbol_info_tick(symbol).tick for symbol in self._selected)
        newest_msc = max((tick.time_msc for tick in times if tick is not None), default=0)
        return max(newest_msc, self._newest_msc)

    def names(self, group: str = "*") -> list[str]:
        """
        Return the names of a group, in the broker's order.

        The group is MetaTrader's: masks separated by commas, ``*`` for any text, ``!`` before
        a mask whose symbols are left out; the order of the masks counts.
        """
        chosen: set[str] = set()
        for part in group.split(","):
            mask = part.strip()
            pieces = mask.removeprefix("!").split("*")
            found = {name for name in self.specs if _fits(name, pieces)}
            chosen = chosen - found if mask.startswith("!") else chosen | found
        return [name for name in self.specs if name in chosen]

    def describe(self, symbol: str, *, in_list: bool = False) -> dict[str, Any]:
        """
        Return a symbol's properties as plain values; few of them for a list.

        Raises:
            KeyError: the broker has no such symbol.
        """
        selected = symbol in self._selected
        fields = dataclasses.asdict(self.specs[symbol]) | {"select": selected, "visible": selected}
        values = {
            name: value if isinstance(value, bool | float | str) else int(value)
            for name, value in fields.items()
            if name not in _NOT_TOLD
        }
        return {name: values[name] for name in _LISTED} if in_list else values


def _fits(name: str, pieces: list[str]) -> bool:
    # The pieces of a mask between its stars, found from left to right: no way back, so a mask
    # full of stars costs no more than another.
    first, *middle = pieces
    if not middle:
        return name == first
    last = middle.pop()
    if not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for piece in middle:
        at = name.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return at <= end
