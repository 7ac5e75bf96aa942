"""A moving-average strategy: an example of how to place orders, not of how to earn money.

    python examples/moving_average.py EURUSD --state ma.json --client-id ma [--yes]

It turns one position when a fast average of bars crosses a slow one. What matters is around it:

* Orders are named after the bar that caused them. The same signal, given again after a restart,
  asks for the same order, and the relay executes a name once at most.
* The name is on disk before the order is sent. What the last run left is looked up first.
* UNKNOWN is no failure: it waits until the relay knows, and trades nothing meanwhile.
* It trades on demo accounts only unless told otherwise, on live prices only, and stops by itself
  after a number of orders.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bridge import (
    BridgeError,
    Client,
    InvalidRequest,
    NotAvailable,
    OrderResult,
    OrderUnknown,
    RelayUnreachable,
    RequestError,
    Tick,
    TradeEvent,
)

STATUS_EVERY_S = 0.5
BUY, SELL = "BUY", "SELL"


def say(event: str, **facts: Any) -> None:
    print(json.dumps({"event": event, **facts}), flush=True)


class Averages:
    """
    Two averages over closes of bars by the trade server's clock. The same ticks give the same
    signals.
    """

    def __init__(self, fast: int, slow: int, bar_ms: int) -> None:
        self.fast = fast
        self.bar_ms = bar_ms
        self.closes: deque[float] = deque(maxlen=slow)
        self.bar: int | None = None
        self.close = 0.0
        self.above: bool | None = None

    def add(self, tick: Tick) -> tuple[str, int] | None:
        """
        Take a tick; return side and bar when its bar began with a crossing behind it.
        """
        bar = tick.time_msc // self.bar_ms
        signal = None
        if self.bar is not None and bar > self.bar:
            side = self._end(self.close)
            signal = (side, self.bar) if side else None
        # A late tick belongs to a bar that has ended: it changes nothing.
        if self.bar is None or bar >= self.bar:
            self.bar, self.close = bar, (tick.bid + tick.ask) / 2
        return signal

    def _end(self, close: float) -> str | None:
        self.closes.append(close)
        if len(self.closes) < (self.closes.maxlen or 0):
            return None
        fast = sum(list(self.closes)[-self.fast :]) / self.fast
        slow = sum(self.closes) / len(self.closes)
        if fast == slow:
            return None
        before, self.above = self.above, fast > slow
        if before is None or before == self.above:
            return None
        return BUY if self.above else SELL


class Intent:
    """
    The name of the order that may be under way, on disk before it is sent.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        # A file that cannot be read may name an order: a person has to look.
        if not self.path.exists():
            return None
        return str(json.loads(self.path.read_text(encoding="utf-8"))["id"])

    def write(self, name: str) -> None:
        new = self.path.with_suffix(".new")
        with new.open("w", encoding="utf-8") as file:
            json.dump({"id": name}, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)

    def clear(self) -> None:
        self.path.unlink(missing_ok=True)


class Strategy:
    def __init__(self, client: Client, options: argparse.Namespace) -> None:
        self.client = client
        self.symbol: str = options.symbol
        self.volume: float = options.volume
        self.magic: int = options.magic
        self.max_orders: int = options.max_orders
        self.max_age_ms: int = options.max_age_ms
        self.valid_s: float = options.valid_ms / 1000
        self.averages = Averages(options.fast, options.slow, options.bar_ms)
        self.intent = Intent(options.state)
        self.orders = 0

    def recover(self) -> None:
        """
        Find out what the last run left, before anything else is traded.
        """
        name = self.intent.read()
        if name is not None:
            result = self.settled(name)
            say("recovered", id=name, outcome=result.outcome if result else "NEVER_SENT")
            self.intent.clear()

    def tick(self, tick: Tick) -> None:
        signal = self.averages.add(tick)
        if signal is None:
            return
        age_ms = int(time.time() * 1000) - tick.time_utc_msc
        # A price of the past is no reason to trade now.
        if tick.backlog or tick.late or 0 < self.max_age_ms < age_ms:
            say("passed", signal=signal[0], bar=signal[1], age_ms=age_ms)
        else:
            self.turn(*signal)

    def turn(self, side: str, bar: int) -> None:
        """
        Go to one position on this side.
        """
        # Names are letters, digits and . _ : - only, and begin with a letter or a digit.
        base = f"s.{re.sub('[^A-Za-z0-9._-]', '_', self.symbol)[:24]}:{bar}"
        comment = f"{side} at {bar}"
        try:
            mine = self.client.positions(symbol=self.symbol, magic=self.magic)
        except RequestError as error:
            # What is open is not known: this signal is lost, and nothing else.
            say("error", code=error.code, message=str(error))
            return
        for position in mine:
            if position.type_name != side and not self.close(position.ticket, base, comment):
                # Without the close there would be two positions, or half a turn (netting).
                return
        if any(position.type_name == side for position in mine):
            return
        send = self.client.buy if side == BUY else self.client.sell
        self.place(
            f"{base}:open",
            lambda name: send(
                self.symbol,
                self.volume,
                client_order_id=name,
                magic=self.magic,
                comment=comment,
                timeout=self.valid_s,
            ),
        )

    def close(self, ticket: int, base: str, comment: str) -> bool:
        """
        Close a position; return whether it is closed now.
        """
        result = self.place(
            f"{base}:close:{ticket}",
            lambda name: self.client.position_close(
                ticket, client_order_id=name, comment=comment, timeout=self.valid_s
            ),
        )
        return result is not None and (result.done or result.reason == "NOTHING_TO_CLOSE")

    def place(self, name: str, send: Callable[[str], OrderResult]) -> OrderResult | None:
        """
        Send an order and return what became of it, ``None`` when it was not sent.
        """
        if self.orders >= self.max_orders:
            return None
        self.intent.write(name)
        result: OrderResult | None = None
        known = False
        try:
            result = send(name)
            known = result.replayed
        except OrderUnknown as unknown:
            say("unknown", id=name, message=str(unknown))
            result = self.settled(name)
        except RequestError as error:
            # Any other error: nothing was sent to the terminal, and nothing will be.
            say("error", id=name, code=error.code, message=str(error))
        if result is not None and result.unknown:
            say("unknown", id=name, message=result.message)
            result = self.settled(name)
        self.intent.clear()
        if result is None:
            return None
        if (result.done or result.partial) and not known:
            self.orders += 1
        say(
            "result",
            id=name,
            outcome=result.outcome,
            reason=result.reason or result.retcode_name,
            position=result.position,
            volume=result.volume,
            price=result.price,
            replayed=known,
            message=result.message,
        )
        return result

    def settled(self, name: str) -> OrderResult | None:
        """
        Wait until it is known what became of an order; ``None``: the relay never heard of it.
        """
        while True:
            try:
                result = self.client.order_status(name)
            except NotAvailable:
                return None
            except InvalidRequest:
                raise
            except BridgeError as error:
                # No relay at the moment: it knows more when it is back.
                say("waiting", id=name, message=str(error))
            else:
                if not result.unknown:
                    return result
            time.sleep(STATUS_EVERY_S)


def arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("symbol")
    parser.add_argument("--endpoint", default="tcp://127.0.0.1:5556")
    parser.add_argument("--terminal", help="alias; not needed when there is only one")
    parser.add_argument("--client-id", required=True, help="the same in every run")
    parser.add_argument("--state", required=True, type=Path, help="a file of this strategy's own")
    parser.add_argument("--volume", type=float, default=0.1, help="lots")
    parser.add_argument("--fast", type=int, default=5, help="bars of the fast average")
    parser.add_argument("--slow", type=int, default=20, help="bars of the slow average")
    parser.add_argument("--bar-ms", type=int, default=60_000, help="length of a bar")
    parser.add_argument("--magic", type=int, default=20_260)
    parser.add_argument("--max-orders", type=int, default=100, help="stop after so many")
    parser.add_argument("--max-age-ms", type=int, default=2_000, help="of a price; 0: any")
    parser.add_argument("--valid-ms", type=int, default=5_000, help="an order is not sent later")
    parser.add_argument("--yes", action="store_true", help="trade on an account that is no demo")
    options = parser.parse_args(given)
    if not 0 < options.fast < options.slow or options.bar_ms <= 0 or options.max_orders <= 0:
        parser.error("0 < fast < slow, and above 0 the length of a bar and the number of orders")
    return options


def is_correction(event: object, since_utc_msc: int) -> bool:
    # The newest event of the topic comes first, however old it is.
    return (
        isinstance(event, TradeEvent)
        and event.kind == "VERDICT_CORRECTED"
        and event.time_utc_msc >= since_utc_msc
    )


def run(options: argparse.Namespace) -> int:
    with Client(options.endpoint, terminal=options.terminal, client_id=options.client_id) as client:
        account = client.account()
        if not (account.demo or options.yes):
            print(f"account {account.login} is no demo account; --yes to trade on it")
            return 1
        strategy = Strategy(client, options)
        strategy.recover()
        alias = client.terminal
        started = client.ping().time_utc_msc
        with client.events(f"tick/{alias}/{options.symbol}", f"trade/{alias}") as events:
            say("joined", symbol=options.symbol, balance=account.balance)
            for event in events:
                if isinstance(event, Tick):
                    strategy.tick(event)
                elif is_correction(event, started):
                    say("stopped", reason="an order was executed after all: a person has to look")
                    return 1
                if strategy.orders >= strategy.max_orders:
                    say("stopped", reason="that many orders were placed", orders=strategy.orders)
                    return 0
    return 0


def main(given: list[str] | None = None) -> int:
    try:
        return run(arguments(given))
    except RelayUnreachable as error:
        print(error, file=sys.stderr)
        return 10
    except BridgeError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
