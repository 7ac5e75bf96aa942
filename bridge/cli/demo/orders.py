"""The orders of a demo: each ends in the way it should, and the broker's own ledger agrees.

::

    filled      a market order, and the close of its position
    rejected    more than the account can pay for: the broker's word
    denied      more than the bridge lets through: the broker never hears of it
    retried     the first order again under the same ids: the same answer, no second trade
    cut         the broker has the order and the link is cut before its answer; what became of
                it is found out
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final

from bridge import Client, OrderResult, OrderStatus
from bridge.bus.orders import LifeStep
from bridge.cli.demo.report import Check, Orders
from bridge.exceptions import BridgeError, OrderUnknown
from bridge.model.trade import order_tag

__all__ = ["MAX_VOLUME", "SETTLE_MS", "OrderSteps"]

#: lots; what the demo's relay lets through
MAX_VOLUME: Final = 50.0
#: The simulated broker shows its deals at once, so nothing has to be waited for that long.
SETTLE_MS: Final = 1_000
_CLIENT_ID: Final = "demo"
_VOLUME: Final = 0.1
_RESOLVE_S: Final = 20.0
_LOOK_AGAIN_S: Final = 0.05


class OrderSteps:
    """
    Sends the orders. ``tags`` returns the comments of all orders that the broker ever took;
    behind ``mute`` the terminal is not heard any more, until ``cut`` cuts its link.
    """

    def __init__(
        self,
        endpoint: str,
        alias: str,
        symbol: str,
        tags: Callable[[], Sequence[str]],
        mute: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        self.orders = Orders()
        self.checks: list[Check] = []
        self._client = Client(endpoint, terminal=alias, client_id=_CLIENT_ID, timeout=_RESOLVE_S)
        self._symbol = symbol
        self._tags = tags
        self._mute = mute
        self._cut = cut
        self._outcomes: dict[str, str] = {}

    def run(self, say: Callable[[str], None]) -> None:
        """
        Send all of them, and say one line of each.

        Raises:
            BridgeError: a request could not be asked at all.
        """
        with self._client:
            first = self._filled(say)
            self._rejected(say)
            self._denied(say)
            self._retried(say, first)
            self._lost_answer(say)
            self._closed(say, first)
        self._count()

    def _buy(self, name: str, volume: float = _VOLUME) -> OrderResult:
        result = self._client.buy(self._symbol, volume, client_order_id=name)
        self._outcomes[name] = result.outcome
        return result

    def _filled(self, say: Callable[[str], None]) -> OrderResult:
        result = self._buy("first")
        say(
            f"order         buy {_VOLUME:g} {self._symbol}: {result.outcome} at {result.price:g}, "
            f"deal {result.deal}"
        )
        self._claim("order_filled", _told(result), ok=result.done)
        return result

    def _rejected(self, say: Callable[[str], None]) -> None:
        result = self._buy("too-much", MAX_VOLUME)
        say(f"order         buy {MAX_VOLUME:g}: {result.outcome} {result.retcode_name}")
        self._claim("order_rejected_by_the_broker", _told(result), ok=result.rejected)

    def _denied(self, say: Callable[[str], None]) -> None:
        result = self._buy("above-the-limit", MAX_VOLUME * 2)
        say(f"order         buy {MAX_VOLUME * 2:g}: {result.outcome} {result.reason}")
        unheard = order_tag(f"{_CLIENT_ID}/above-the-limit") not in self._tags()
        self._claim("order_denied_by_the_bridge", _told(result), ok=result.denied and unheard)

    def _retried(self, say: Callable[[str], None], first: OrderResult) -> None:
        before = len(self._tags())
        result = self._buy("first")
        self.orders.replayed += result.replayed
        say(f"  again       the same ids: {result.outcome}, deal {result.deal}, nothing sent")
        same = result.replayed and (result.deal, result.price) == (first.deal, first.price)
        self._claim(
            "retry_answered_without_a_trade",
            _told(result),
            ok=same and len(self._tags()) == before,
        )

    def _lost_answer(self, say: Callable[[str], None]) -> None:
        self._mute()
        cutter = threading.Thread(target=self._cut_behind, args=("answer-lost",), daemon=True)
        cutter.start()
        try:
            first = self._buy("answer-lost")
        except OrderUnknown as error:
            say(f"  cut         no answer: {error.message}")
        else:
            say(f"  cut         before the answer: {first.outcome}")
        cutter.join()
        result = self._settled("answer-lost")
        # Asked by the relay, maybe while the client still waited.
        self.orders.resolved += any(step.step == LifeStep.ASKED for step in result.life)
        self._outcomes["answer-lost"] = result.outcome
        say(f"  resolved    by asking, not by sending again: {result.outcome}")
        count = Counter(self._tags())[order_tag(f"{_CLIENT_ID}/answer-lost")]
        self._claim(
            "lost_answer_resolved",
            f"{_told(result)}, {count} at the broker",
            ok=result.final and result.done and count == 1,
        )

    def _cut_behind(self, name: str) -> None:
        # An order that never comes to the broker ends here, too: then the claim does not hold.
        tag = order_tag(f"{_CLIENT_ID}/{name}")
        until = time.monotonic() + _RESOLVE_S
        with contextlib.suppress(BridgeError):
            while tag not in self._tags() and time.monotonic() < until:
                time.sleep(_LOOK_AGAIN_S)
        self._cut()

    def _settled(self, name: str) -> OrderStatus:
        until = time.monotonic() + _RESOLVE_S
        while True:
            result = self._client.order_status(name)
            if result.final or time.monotonic() > until:
                return result
            time.sleep(_LOOK_AGAIN_S)

    def _closed(self, say: Callable[[str], None], first: OrderResult) -> None:
        position = first.position or first.order
        until = time.monotonic() + _RESOLVE_S
        while True:
            try:
                result = self._client.position_close(position, client_order_id="close-first")
            except BridgeError:
                # The terminal may still be on its way back from the cut.
                if time.monotonic() > until:
                    raise
            else:
                if not result.denied or time.monotonic() > until:
                    break
            time.sleep(_LOOK_AGAIN_S)
        self._outcomes["close-first"] = result.outcome
        say(f"order         close position {position}: {result.outcome}")
        self._claim("position_closed", _told(result), ok=result.done)

    def _claim(self, name: str, detail: str, *, ok: bool) -> None:
        self.checks.append(Check(name, ok=ok, detail=detail))

    def _count(self) -> None:
        orders = self.orders
        for outcome in self._outcomes.values():
            match outcome:
                case "DONE" | "PARTIAL" | "PLACED":
                    orders.done += 1
                case "REJECTED":
                    orders.rejected += 1
                case "DENIED":
                    orders.denied += 1
                case _:
                    orders.unknown += 1
        counted = Counter(self._tags())
        orders.duplicates = sum(
            max(0, counted[order_tag(f"{_CLIENT_ID}/{name}")] - 1) for name in self._outcomes
        )
        self._claim(
            "no_order_twice",
            f"{sum(counted.values())} orders at the broker, {orders.duplicates} doubled",
            ok=orders.duplicates == 0 and orders.unknown == 0,
        )


def _told(result: Any) -> str:
    words = (result.outcome, result.retcode_name or result.reason, result.message)
    return " ".join(word for word in words if word)
