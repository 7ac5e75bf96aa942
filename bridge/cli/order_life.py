"""The life of an order as a table for people."""

from __future__ import annotations

import datetime as dt

from bridge.cli.output import printable, table
from bridge.client.trade import OrderStatus, OrderStep

__all__ = ["life_text"]


def life_text(status: OrderStatus) -> str:
    """
    Return its tag, every step of it, what it waits for and what to do; empty when there is nothing.
    """
    lines = []
    if status.tag:
        lines.append(f"comment at the broker: {printable(status.tag)}")
    if status.life:
        columns = ["utc", "after", "relay", "step", "said", "from", "what"]
        first = status.life[0]
        rows = [
            [
                _utc(step.time_utc_msc),
                f"{_after_s(first, step):+.3f} s",
                str(step.relay_epoch or "-"),
                step.step,
                step.said or None,
                step.evidence or None,
                _what(step),
            ]
            for step in status.life
        ]
        lines.append(table(columns, rows))
    if status.waiting_for:
        lines.append(f"waits for: {printable(status.waiting_for)}")
    if status.advice:
        lines.append(f"what to do: {printable(status.advice)}")
    return "\n".join(lines)


def _what(step: OrderStep) -> str:
    parts = []
    if step.corrected:
        parts.append("CORRECTED: an earlier end was wrong")
    elif step.changed:
        parts.append("taken")
    if step.who:
        parts.append(f"by {step.who}")
    retcode = step.retcode_name or (str(step.retcode) if step.retcode else "")
    parts += [retcode] if retcode else []
    parts += [f"{step.volume:g} lots"] if step.volume else []
    named = (("order", step.order), ("deal", step.deal))
    parts += [f"{name} {ticket}" for name, ticket in named if ticket]
    if step.times > 1:
        parts.append(f"{step.times} times, the last at {_utc(step.last_utc_msc)}")
    if step.text:
        parts.append(step.text)
    return ", ".join(parts)


def _after_s(first: OrderStep, step: OrderStep) -> float:
    # The wall clock may be set in between; the other one is not, but begins anew with a relay.
    if step.relay_epoch == first.relay_epoch and first.relay_us and step.relay_us:
        return (step.relay_us - first.relay_us) / 1e6
    return (step.time_utc_msc - first.time_utc_msc) / 1e3


def _utc(utc_msc: int) -> str:
    try:
        time = dt.datetime.fromtimestamp(utc_msc / 1000, dt.UTC)
    except (OverflowError, OSError, ValueError):
        return str(utc_msc)
    return time.strftime("%Y-%m-%d %H:%M:%S.") + f"{utc_msc % 1000:03d}"
