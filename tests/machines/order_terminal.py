"""A terminal with a ledger, as the relay's order path sees it."""

from __future__ import annotations

from collections import deque

from bridge.model.enums import TradeRequestActions
from bridge.wire.messages import Halt, New, Query
from bridge.wire.spec import DenyReason, OrderOutcome, TradingState
from tests.support.orders import make_result

__all__ = ["ModelTerminal"]

_OPEN = (OrderOutcome.INTENT, OrderOutcome.UNKNOWN)


class ModelTerminal:
    """
    Executes an id once at most; ``executed`` is the truth, with the tags of the deals.

    ``corrects``: after an end without an execution it may find one: its settle time was too
    short.
    """

    def __init__(self, *, corrects=False):
        self.corrects = corrects
        self.state = TradingState.ACTIVE
        self.executed = {}
        #: those whose deals and orders have their tag
        self.tagged = set()
        #: what it says of an id; ``None``: there is the intent, and the end is not known yet
        self.ledger = {}
        #: what it will say later, in order
        self.better = {}
        self.received = deque()
        self.told = deque()
        #: what was ever told of a command in the ledger
        self.replays = []

    def cut(self):
        self.received.clear()
        self.told.clear()

    def work(self, now_us, rng):
        message = self.received.popleft() if self.received else None
        if isinstance(message, Halt):
            self.state = TradingState(message.trading_state)
        elif isinstance(message, New):
            self._new(message, now_us, rng)
        elif isinstance(message, Query):
            for name in message.command_ids:
                self._query(name, rng)

    def speak(self, rng):
        """
        Say something better of a command without being asked, as after an event.
        """
        if self.better:
            name = rng.choice(list(self.better))
            self._improve(name)
            self._replay(name, rng)

    def _tell(self, name, outcome, **fields):
        result = make_result(name, outcome, **fields)
        self.told.append(result)
        if name in self.ledger:
            self.replays.append(result)

    def _new(self, new, now_us, rng):
        name, chance = new.command_id, rng.random()
        if name in self.ledger:
            self._replay(name, rng)
        elif self.state is TradingState.HALTED:
            self._tell(name, OrderOutcome.DENIED, reason=DenyReason.HALTED)
        elif chance < 0.1:
            self._tell(name, OrderOutcome.DENIED, reason=DenyReason.RATE_LIMIT)
        elif now_us > new.deadline_us:
            self._tell(name, OrderOutcome.EXPIRED_NOT_SENT)
        else:
            if chance < 0.75:
                assert name not in self.executed, "executed twice"
                self.executed[name] = new.tag
            self._end(name, new.request.action, rng)
            if rng.random() < 0.3:
                # Its answer was lost.
                self.better[name] = [self.ledger[name], *self.better.get(name, ())]
                self.ledger[name] = None
            self._replay(name, rng)

    def _end(self, name, action, rng):
        pending = action == TradeRequestActions.PENDING
        if action in {TradeRequestActions.DEAL, TradeRequestActions.PENDING}:
            self.tagged.add(name)
        if name not in self.executed:
            self.ledger[name] = OrderOutcome.REJECTED
        elif self.corrects and name in self.tagged and rng.random() < 0.2:
            self.ledger[name] = OrderOutcome.NOT_FOUND
            self.better[name] = [OrderOutcome.DONE]
        elif rng.random() < 0.4:
            self.ledger[name] = rng.choice([OrderOutcome.PLACED, OrderOutcome.PARTIAL])
            self.better[name] = [OrderOutcome.DONE]
        else:
            self.ledger[name] = OrderOutcome.PLACED if pending else OrderOutcome.DONE

    def _query(self, name, rng):
        if name not in self.ledger:
            self._tell(name, OrderOutcome.NEVER_SEEN, replayed=True)
            return
        if name in self.better and rng.random() < 0.5:
            self._improve(name)
        self._replay(name, rng)

    def _improve(self, name):
        self.ledger[name] = self.better[name].pop(0)
        if not self.better[name]:
            del self.better[name]

    def _replay(self, name, rng):
        outcome = self.ledger[name]
        if outcome is None:
            self._tell(name, rng.choice(_OPEN))
            return
        deals = {}
        if outcome in {OrderOutcome.PARTIAL, OrderOutcome.DONE}:
            first = 2 * list(self.executed).index(name) + 1
            count = 1 if outcome is OrderOutcome.PARTIAL else 2
            deals = {"deals": tuple(range(first, first + count)), "volume": 0.05 * count}
        self._tell(name, outcome, **deals)
