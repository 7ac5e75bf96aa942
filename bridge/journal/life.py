"""The life of a command, step by step: what was done with it and what was said of it, and when.

Steps are a part of the command's record. They cost no write of their own: they get to disk with
the reservation or with the next verdict. So what a kill forgets of them is what brought no change:
a question, or an answer that said nothing new.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from bridge.bus.orders import LifeStep

__all__ = ["LIFE_MAX", "Step", "extended", "steps_of"]

#: So many steps are kept of a command: the first ones, and the newest.
LIFE_MAX: Final = 48
_FIRST_KEPT: Final = 12
#: Without an end these come again and again: the same one is counted, not kept again.
_COUNTED: Final = frozenset({LifeStep.ASKED, LifeStep.RESULT, LifeStep.NOTICED, LifeStep.LINK_LOST})


class Step(NamedTuple):
    """
    A step of a command's life. ``kind`` is a ``LifeStep``.

    ``us`` is the clock that only goes forward of the relay with ``relay_epoch``; ``last_utc_msc``
    that of the last one, when ``times`` alike were taken together. ``said`` is the
    ``OrderOutcome`` that was told, -1 for a step that tells none; ``who`` the person, if it was
    one. ``changed``: what is known of the command changed with it.
    """

    kind: str
    utc_msc: int
    us: int
    relay_epoch: int
    said: int = -1
    evidence: int = 0
    retcode: int = 0
    order: int = 0
    deal: int = 0
    volume: float = 0.0
    text: str = ""
    who: str = ""
    changed: bool = False
    corrected: bool = False
    times: int = 1
    last_utc_msc: int = 0


def extended(life: tuple[Step, ...], step: Step) -> tuple[Step, ...]:
    """
    Return the life with one more step in it.
    """
    if step.kind in _COUNTED and not step.changed:
        for at in range(len(life) - 1, -1, -1):
            before = life[at]
            if before.changed or before.kind not in _COUNTED:
                break
            if _is_like(before, step):
                again = before._replace(times=before.times + 1, last_utc_msc=step.utc_msc)
                return (*life[:at], again, *life[at + 1 :])
    if len(life) < LIFE_MAX:
        return (*life, step)
    return (*life[:_FIRST_KEPT], _left_out(life), *life[_FIRST_KEPT + 2 :], step)


def steps_of(values: Any) -> tuple[Step, ...]:
    """
    Return the steps that were kept.

    Raises:
        ValueError: these are none.
    """
    known = len(Step._fields)
    try:
        # A later version appends fields; in front of them nothing changes.
        return tuple(Step(*value[:known]) for value in values)
    except TypeError as error:
        raise ValueError(f"not the steps of a life: {error}") from None


def _is_like(one: Step, other: Step) -> bool:
    return one[_CONTENT] == other[_CONTENT] and one.kind == other.kind


_CONTENT: Final = slice(Step._fields.index("relay_epoch"), Step._fields.index("times"))


def _left_out(life: tuple[Step, ...]) -> Step:
    # In the place of two of the middle stands how many are left out there.
    first, second = life[_FIRST_KEPT : _FIRST_KEPT + 2]
    number = first.times if first.kind == LifeStep.LEFT_OUT else 1
    return Step(
        LifeStep.LEFT_OUT.value,
        first.utc_msc,
        first.us,
        first.relay_epoch,
        times=number + 1,
        last_utc_msc=second.utc_msc,
    )
