"""A few combinations of options in which every pair of values occurs.

Most faults of a program that has modes need one value or two together; the full product is
for ``make test-ea``. Greedy: each combination takes, out of some random candidates, the one
with the most pairs that are still missing.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

__all__ = ["pairwise", "product"]

_CANDIDATES: Final = 30

_Pair = tuple[tuple[str, Any], tuple[str, Any]]


def product(axes: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    """
    Return all combinations of one value of each axis.
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def pairwise(axes: Mapping[str, Sequence[Any]], seed: int) -> list[dict[str, Any]]:
    """
    Return combinations in which every two values of different axes occur together.

    The same seed gives the same combinations. Values have to be hashable.

    Raises:
        ValueError: an axis has no values.
    """
    if not all(axes.values()):
        raise ValueError("an axis has no values")
    if len(axes) < 2:
        return product(axes)
    rng = random.Random(seed)
    missing = {
        ((name, value), (other, second))
        for name, other in itertools.combinations(axes, 2)
        for value in axes[name]
        for second in axes[other]
    }
    found = []
    while missing:
        # A pair that is missing is always in it: so each round makes progress.
        base = dict(min(missing, key=repr))
        candidates = [
            {name: base.get(name, rng.choice(values)) for name, values in axes.items()}
            for _ in range(_CANDIDATES)
        ]
        best = max(candidates, key=lambda one: len(missing & _pairs_of(one)))
        missing -= _pairs_of(best)
        found.append(best)
    return found


def _pairs_of(combination: Mapping[str, Any]) -> set[_Pair]:
    return set(itertools.combinations(combination.items(), 2))
