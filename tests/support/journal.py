"""Entries to journal, and what became of their completions."""

from __future__ import annotations

import queue
import time

from bridge.journal import Entry, Verdict, content_hash
from bridge.model.enums import TradeRequestActions
from bridge.wire.spec import OrderOutcome
from bridge.wire.structures import OrderRequest

ALIAS = "demo"
LOGIN = 20_260_101
SERVER = "Example-Demo"
#: a Saturday in 2026, UTC
NOW = 1_795_000_000_000
DAY = 86_400_000


def make_request(action=TradeRequestActions.DEAL, volume=0.1, symbol="EURUSD"):
    return OrderRequest(
        action=int(action),
        magic=7,
        order=None,
        symbol=symbol,
        volume=volume,
        price=None,
        stoplimit=None,
        sl=None,
        tp=None,
        deviation=None,
        type=0,
        type_filling=None,
        type_time=None,
        expiration=None,
        comment=None,
        position=None,
        position_by=None,
    )


def make_entry(
    name="strategy/1",
    content="same",
    action=TradeRequestActions.DEAL,
    reserved=NOW,
    alias=ALIAS,
    parent="",
    request=...,
    tag=None,
):
    """
    Return an entry; ``content`` stands for everything that the content hash covers.
    """
    return Entry(
        command_id=name,
        alias=alias,
        login=LOGIN,
        server=SERVER,
        incarnation=b"incarnation-0001",
        method="order_send",
        content_hash=content_hash("order_send", alias, {"content": content}),
        request=make_request(action) if request is ... else request,
        flags=0,
        tag=f"zb1:{name}" if tag is None else tag,
        comment="my comment",
        parent=parent,
        reserved_utc_msc=reserved,
        deadline_utc_msc=reserved + 5_000,
        relay_epoch=3,
    )


def done_verdict(**fields):
    return Verdict(**{"outcome": OrderOutcome.DONE, "deals": (5,), "volume": 0.1, **fields})


class Completions(list):
    """
    What ``done`` was called with, by name, in the order of the calls.
    """

    def done(self, name):
        return lambda error: self.append((name, error))

    @property
    def names(self):
        return [name for name, error in self if error is None]

    @property
    def failed(self):
        return [name for name, error in self if error is not None]


class Deliveries:
    """
    The owner's thread: calls wait here until it takes them.
    """

    def __init__(self):
        self._calls = queue.SimpleQueue()

    def __call__(self, call):
        self._calls.put(call)

    def run_until(self, condition, seconds=20):
        """
        Run what is delivered until the condition holds.
        """
        end = time.monotonic() + seconds
        while not condition():
            left = end - time.monotonic()
            assert left > 0, "the journal did not complete in time"
            try:
                self._calls.get(timeout=min(left, 0.05))()
            except queue.Empty:
                continue
