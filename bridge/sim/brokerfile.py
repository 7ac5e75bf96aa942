"""A simulated broker that outlives its terminal: its books are in a file beside the terminal's.

A real broker is another machine. In a process that may be killed, it has to be on the disk
before anybody is told what it did.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from bridge.exceptions import ConfigError
from bridge.sim.exchange import Exchange

if TYPE_CHECKING:
    from bridge.model.trade import AccountRecord, TradeRequest
    from bridge.sim.exchange_records import Sent
    from bridge.sim.exchange_rules import BrokerRules
    from bridge.sim.market import Market

__all__ = ["KeptExchange"]

_FILE_MAX: Final = 256 * 2**20


class KeptExchange(Exchange):
    """
    An ``Exchange`` that writes itself down whenever something happened; made with ``open``.
    """

    #: where it is written; ``None``: nowhere, as an ``Exchange``
    path: Path | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        market: Market,
        *,
        account: AccountRecord,
        now_us: int,
        seed: int = 0,
        rules: BrokerRules | None = None,
        server_clock_offset_us: int | None = None,
    ) -> Self:
        """
        Return the broker of a file; without a file a new one.

        ``account`` is how a new one begins; that of the file goes on as it was. ``now_us`` is
        the caller's clock. The server's clock is as it is given here.

        Raises:
            ConfigError: the file cannot be read, is damaged, or of another account.
        """
        place = Path(path)
        exchange: Self
        try:
            with place.open("rb") as file:
                data = file.read(_FILE_MAX)
            exchange = cls.load(data, market, rules=rules, now_us=now_us)
        except FileNotFoundError:
            exchange = cls(market, account=account, seed=seed, rules=rules)
        except OSError as error:
            raise _refusal(place, f"the broker's file cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise _refusal(place, f"the broker's file is damaged: {error}") from error
        exchange.server_clock_offset_us = server_clock_offset_us
        exchange._check_symbols(place)
        kept = exchange.account()
        if (kept.login, kept.margin_mode) != (account.login, account.margin_mode):
            raise _refusal(place, "the broker's file is of another account or margin mode")
        exchange.path = place
        return exchange

    def order_send(self, request: TradeRequest, now_us: int) -> Sent:
        sent = super().order_send(request, now_us)
        self._write()
        return sent

    def advance(self, now_us: int) -> None:
        due_us = self.next_deadline()
        super().advance(now_us)
        if self._view.transactions or (due_us is not None and due_us <= now_us):
            self._write()

    def _check_symbols(self, path: Path) -> None:
        books = self._books
        symbols = {position.symbol for position in books.positions.values()}
        symbols |= {order.symbol for order in books.orders.values()}
        missing = sorted(symbols - set(self.market.specs))
        if missing:
            raise _refusal(path, f"the account holds what this market does not have: {missing[0]}")

    def _write(self) -> None:
        # Replaced as a whole; not synced: it has to survive this process, not the machine.
        if self.path is None:
            return
        temporary = self.path.with_name(f"{self.path.name}.new")
        with contextlib.suppress(FileNotFoundError):
            temporary.write_bytes(self.save())
            temporary.replace(self.path)


def _refusal(path: Path, problem: str) -> ConfigError:
    return ConfigError(problem, source=str(path), hint="delete it: the account then begins anew")
