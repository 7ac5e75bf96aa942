"""Strategies as a process: threads that trade through one ``bridge.Client``, and never give up.

``python -m tests.chaos.clients OPTIONS``, which are JSON. A life is a few orders that belong
together: a position that is opened and closed, a pending order that is placed and cancelled. Which
lives there are is decided by the seed; what is asked for only by seed and life, so that another
process can ask for the same order under the same id.

Every call has a short time-out, chosen by chance. What has no end is asked for again, by the same
thread, by several at once, by the other process. Everything that a client was told is written down
line by line: ``answers-<number>.jsonl``.

Standard input: ``allow LIVES`` lets so many lives begin, ``stop`` lets no more begin. Standard output:
``progress ORDERS LIVES`` now and then, ``finished`` when every order has its end.
"""

from __future__ import annotations

import itertools
import json
import random
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from bridge import BridgeError, Client, OrderUnknown
from bridge.client.trade import OrderResult
from tests.chaos.account import ALIAS, CLIENT_ID
from tests.chaos.market import SYMBOLS

__all__ = ["Call", "Strategies", "first_call", "run"]

#: How often an order is asked for by several threads at once, and by another process as well.
_CROWD = 0.2
_SHADOW_EVERY = 5
#: How often a strategy lets go of an order of which it was told that nothing was sent.
_GIVE_UP = 0.05
_VOLUME = 0.02
#: How often a strategy tries to close a position.
_CLOSES = 4
_TELL_EVERY_S = 0.2


class Call(NamedTuple):
    """
    A method of the client and its arguments.
    """

    method: str
    args: tuple[Any, ...]
    options: dict[str, Any]


def first_call(seed: int, process: int, life: int) -> tuple[str, Call]:
    """
    Return kind and first order of a life: by the seed alone.
    """
    rng = random.Random(f"{seed}/{process}/{life}")
    kind = rng.choices(("close", "halves", "cancel", "keep"), (50, 15, 33, 2))[0]
    symbol = rng.choice(SYMBOLS)
    if kind != "cancel":
        volume = 0.0201 if rng.random() < 0.02 else _VOLUME  # off its step, now and then
        return kind, Call(rng.choice(("buy", "sell")), (symbol, volume), {})
    side = rng.choice(("BUY_LIMIT", "SELL_LIMIT"))
    # Far away, or where the market comes by: then it may be filled before it is cancelled.
    low, high = (1.05, 1.15) if rng.random() < 0.7 else (1.0972, 1.1030)
    options = {
        "type": side,
        "symbol": symbol,
        "volume": _VOLUME,
        "price": low if side == "BUY_LIMIT" else high,
    }
    return kind, Call("order_send", ("PENDING",), options)


class Strategies:
    """
    One process of them.

    ``renames`` is what no strategy may do: ask again under a new id when no answer came. It is
    here to see that the judge finds it.
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._number = options["number"]
        self._others = [n for n in range(options["processes"]) if n != self._number]
        self._seed = options["seed"]
        self._timeouts_s = options["timeouts_s"]
        self._renames = options["renames"]
        self._client = Client(
            options["endpoint"], terminal=ALIAS, client_id=CLIENT_ID, timeout=self._timeouts_s[-1]
        )
        self._log = (Path(options["folder"]) / f"answers-{self._number}.jsonl").open("a")
        self._lock = threading.Lock()
        self._more = threading.Condition(self._lock)
        self._allowed = 0
        self._begun = 0
        self._orders = 0
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._live, args=(n,)) for n in range(options["threads"])
        ]
        self._crowd = ThreadPoolExecutor(options["threads"] * 2)
        self._askers = itertools.count(1)

    def run(self) -> None:
        """
        Live until everything has its end.
        """
        for thread in self._threads:
            thread.start()
        threading.Thread(target=self._listen, daemon=True).start()
        while any(thread.is_alive() for thread in self._threads):
            with self._lock:
                told = f"progress {self._orders} {self._begun}"
            print(told, flush=True)
            for thread in self._threads:
                thread.join(_TELL_EVERY_S / len(self._threads))
        self._crowd.shutdown()
        self._log.close()
        self._client.close()
        print(f"progress {self._orders} {self._begun}", flush=True)
        print("finished", flush=True)

    def _listen(self) -> None:
        for line in sys.stdin:
            word, *rest = line.split()
            with self._more:
                if word == "allow":
                    self._allowed = int(rest[0])
                else:
                    self._stopping = True
                self._more.notify_all()
        with self._more:
            self._stopping = True
            self._more.notify_all()

    def _live(self, number: int) -> None:
        rng = random.Random(f"{self._seed}/{self._number}/thread {number}")
        while True:
            with self._more:
                while self._begun >= self._allowed and not self._stopping:
                    self._more.wait()
                if self._stopping and self._begun >= self._allowed:
                    return
                life = self._begun
                self._begun += 1
            for other in self._others if life % _SHADOW_EVERY == 0 else ():
                # The other process lives it; we ask for its first order as well.
                _, call = first_call(self._seed, other, life)
                self._settle(rng, f"{other}-{life}-0", call, ours=False)
            self._run_life(rng, life)

    def _run_life(self, rng: random.Random, life: int) -> None:
        name = f"{self._number}-{life}"
        kind, call = first_call(self._seed, self._number, life)
        first = self._settle(rng, f"{name}-0", call)
        if first is None or not (first.done or first.partial or first.placed):
            return
        if kind == "cancel":
            self._settle(rng, f"{name}-1", Call("order_cancel", (first.order,), {}))
        elif first.position and kind != "keep":
            if kind == "halves" and first.volume > _VOLUME / 2:
                half = Call("position_close", (first.position,), {"volume": _VOLUME / 2})
                self._settle(rng, f"{name}-1", half)
            for step in range(2, 2 + _CLOSES):
                # What ended without a trade is wanted still: that is a new order.
                close = Call("position_close", (first.position,), {})
                result = self._settle(rng, f"{name}-{step}", close)
                if result is None or result.done or result.reason == "NOTHING_TO_CLOSE":
                    break

    def _settle(
        self, rng: random.Random, name: str, call: Call, *, ours: bool = True
    ) -> OrderResult | None:
        # Several threads may want the same order: each goes on until it knows the end.
        if ours:
            with self._lock:
                self._orders += 1
        helpers: list[Future[OrderResult | None]] = []
        if rng.random() < _CROWD:
            helpers = [
                self._crowd.submit(self._insist, random.Random(rng.random()), name, call)
                for _ in range(rng.randint(1, 3))
            ]
        result = self._insist(rng, name, call)
        for helper in helpers:
            other = helper.result()
            result = result or other
        return result

    def _insist(self, rng: random.Random, name: str, call: Call) -> OrderResult | None:
        # One asker: it asks until it is told an end, or lets go of what it was denied.
        asker = f"{self._number}-{next(self._askers)}"
        attempt = 0
        asked_as = name
        doubtful = False
        while True:
            attempt += 1
            result = self._ask(rng, asked_as, call, asker)
            denied = isinstance(result, OrderResult) and result.denied
            if isinstance(result, OrderUnknown):
                doubtful = True
                if self._renames:
                    asked_as = f"{name}:{attempt}"
            elif isinstance(result, OrderResult) and not denied:
                doubtful = True
                if result.final:
                    return result
            elif denied and result.tag:
                return result
            elif (denied or not doubtful) and rng.random() < _GIVE_UP:
                # Nothing was sent for it, and nothing will be: so it says, and so it is judged.
                # An error says that of its own call only, a denial of the order.
                self._write(asked_as, "given up", {"asker": asker})
                return None
            _pause(rng.uniform(0.02, 0.1) * min(attempt, 3))

    def _ask(
        self, rng: random.Random, name: str, call: Call, asker: str
    ) -> OrderResult | BridgeError:
        method = getattr(self._client, call.method)
        timeout = rng.choice(self._timeouts_s)
        asked = {"asker": asker, "method": call.method, "args": call.args, "options": call.options}
        self._write(name, "ask", asked)
        try:
            result: OrderResult = method(
                *call.args, **call.options, client_order_id=name, timeout=timeout
            )
        except OrderUnknown as error:
            self._write(name, "unanswered", {"text": str(error)})
            return error
        except BridgeError as error:
            self._write(name, "error", {"kind": type(error).__name__, "text": str(error)})
            return error
        told = result.model_dump(exclude_defaults=True, exclude={"children"})
        self._write(name, "result", told)
        return result

    def _write(self, name: str, event: str, details: dict[str, Any]) -> None:
        line = json.dumps([time.monotonic(), f"{CLIENT_ID}/{name}", event, details])
        with self._lock:
            self._log.write(line + "\n")
            self._log.flush()


def _pause(seconds: float) -> None:
    threading.Event().wait(seconds)


def run(options: dict[str, Any]) -> None:
    """
    Be a process of strategies.
    """
    Strategies(options).run()


if __name__ == "__main__":
    run(json.loads(sys.argv[1]))
