"""A broker whose transactions come in any order, twice, late or never."""

from __future__ import annotations

__all__ = ["TroubledBroker"]


class TroubledBroker:
    """
    An exchange as a terminal sees it on a bad day.

    ``trouble`` is the chance of each transaction to be lost, doubled or kept for later. As
    unrealistic as it gets: MetaTrader loses transactions only when its queue is full.
    """

    def __init__(self, exchange, rng):
        self.exchange = exchange
        self.trouble = 0.0
        #: what the desk calls while it sends, and how often each was sent
        self.command_id = ""
        self.sent = {}
        #: every transaction that was handed out in this session
        self.hinted = []
        self._rng = rng
        self._kept = []

    def __getattr__(self, name):
        return getattr(self.exchange, name)

    def order_send(self, request, now_us):
        self.sent.setdefault(self.command_id, []).append(request)
        return self.exchange.order_send(request, now_us)

    def transactions(self):
        found, self._kept = self._kept + self.exchange.transactions(), []
        if self.trouble:
            handed = []
            for transaction in found:
                chance = self._rng.random()
                if chance < self.trouble / 3:
                    continue
                if chance < self.trouble / 2:
                    self._kept.append(transaction)
                    continue
                handed += [transaction] * (2 if chance < self.trouble else 1)
            self._rng.shuffle(handed)
            found = handed
        self.hinted += found
        return found
