"""
Few combinations, and yet every pair.
"""

from __future__ import annotations

import itertools

import pytest

from tests.mql5.pairwise import pairwise, product

AXES = {"a": ["1", "2", "3"], "b": [True, False], "c": ["x", "y", "z", "w"], "d": [0, 1, 2]}


def test_every_pair_of_values_occurs(seed):
    found = pairwise(AXES, seed)
    seen = {pair for one in found for pair in itertools.combinations(one.items(), 2)}
    wanted = {pair for one in product(AXES) for pair in itertools.combinations(one.items(), 2)}

    assert wanted == seen


def test_there_are_far_fewer_than_of_the_product(seed):
    assert len(pairwise(AXES, seed)) <= len(product(AXES)) // 3


def test_the_same_seed_gives_the_same():
    assert pairwise(AXES, 7) == pairwise(AXES, 7)


def test_one_axis_gives_its_values():
    assert [{"a": 1}, {"a": 2}] == pairwise({"a": [1, 2]}, 0)


def test_an_axis_without_values_is_refused():
    with pytest.raises(ValueError, match="no values"):
        pairwise({"a": [1], "b": []}, 0)
