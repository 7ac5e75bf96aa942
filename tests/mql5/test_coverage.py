"""
What the report on covered lines says.
"""

from __future__ import annotations

import pytest

from tests.mql5.coverage import missed, share


@pytest.mark.parametrize(
    ("lines", "text", "part"),
    [
        ({}, "", 1.0),
        ({3: 1, 4: 2}, "", 1.0),
        ({3: 0, 4: 2}, "3", 0.5),
        ({3: 0, 5: 0, 9: 1, 12: 0}, "3-5, 12", 0.25),
    ],
)
def test_lines_that_were_not_executed_are_named(lines, text, part):
    assert (text, part) == (missed(lines), share(lines))
