"""A chaos run: everything is started, broken for a while, left in peace, and judged."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import random
import resource
import sys
import threading
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zmq

from bridge.sim.runner import clock_us
from tests.chaos.account import ALIAS
from tests.chaos.actors import BrokerProcess, Child, ClientProcess, RelayProcess, TerminalProcess
from tests.chaos.broker import ledger_of, make_rules
from tests.chaos.filling import fill_journal
from tests.chaos.injection import Counts, Injector, Recoveries, StampedLink, summary
from tests.chaos.oracle import Judgement, Told, judge, read_answers
from tests.chaos.remote import RemoteBroker
from tests.chaos.watching import Observer, Prober
from tests.support.subscriber import Asker

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["GATES", "SETTLE_MS", "Outcome", "Plan", "report", "run_chaos"]

SETTLE_MS = 2_000
#: What the issue asks for, in seconds: quantity, part of the summary, limit.
GATES = (
    ("cut_to_tick_s", "p95", 1.0),
    ("relay_serving_s", "p95", 2.0),
    ("half_open_noticed_s", "max", 5.0),
)
_TRADING = {"settle_ms": SETTLE_MS, "max_orders_per_minute": 0, "answer_ms": 1_000}
#: A broker that takes its time, refuses some, loses requests and answers, shows its deals late.
_RULES = {
    "execution_ms": [0, 8],
    "reply_ms": [0, 8],
    "visibility_ms": [0, 300],
    "state_delay_ms": [0, 30],
    "reject": 0.04,
    "partial": 0.03,
    "lose_request": 0.02,
    "lose_reply": 0.03,
    "reply_timeout_ms": 150,
    "shuffle_transactions": True,
}
_START_S = 60.0
#: How far the strategies may be behind the faults, as a part of all orders.
_LAG = 0.03
_LAG_S = 20.0
_ORDERS_OF_A_LIFE = 1.7
#: Behind the settle time, what the issue allows until every order has its end.
_RESOLVE_S = 5.0
#: For a machine that is busy with other things: nothing is waited for any longer.
_PATIENCE_S = 120.0
_WINDOW = 64
#: How long a deal may take to be told, in peace.
_TOLD_S = 60.0
_TELL_EVERY_S = 5.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """
    What is done, to the Python terminal or to the Expert Advisor (``is_ea``). ``rules`` are the
    broker's beside its own, ``timeouts_s`` what a strategy waits for an answer: the short ones are
    over before most answers come.

    ``renames`` and ``forgets`` break the rules on purpose, to see that the judge notices:
    strategies that ask again under a new id, a relay whose journal is gone in the end.
    """

    orders: int = 10_000
    seed: int = 1
    is_ea: bool = False
    cuts: int = 500
    relay_kills: int = 100
    terminal_kills: int = 50
    freezes: int = 4
    stops: int = 3
    processes: int = 2
    threads: int = 4
    rows: int = 100_000
    timeouts_s: tuple[float, ...] = (0.25, 0.6, 1.5, 4.0)
    rules: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    renames: bool = False
    forgets: bool = False


@dataclasses.dataclass(slots=True)
class Outcome:
    """
    What came of it.
    """

    plan: Plan
    counts: Counts
    recoveries: Recoveries
    judgement: Judgement
    seconds: float
    settle_s: float
    asks: int
    unanswered: int
    #: whether the strategies came to the end of all their orders
    finished: bool
    #: tickets of all deals, at the broker and on ``trade/<alias>``
    deals: list[int]
    deals_told: list[int]

    @property
    def events_are_right(self) -> bool:
        """
        Whether every deal was told once.
        """
        return self.deals == self.deals_told


def say(text: str) -> None:
    """
    Tell how far it is.
    """
    print(text, file=sys.stderr, flush=True)


class _Pacer:
    # Lets as many lives begin as there were faults, so that every fault meets orders.

    def __init__(self, plan: Plan, clients: list[ClientProcess], began: float) -> None:
        self._plan = plan
        self._clients = clients
        self._began = began
        self._told = 0.0

    @property
    def orders(self) -> int:
        return sum(client.orders for client in self._clients)

    def __call__(self, part: float) -> None:
        wanted = self._plan.orders * min(1.0, part + _LAG)
        lag = max(20.0, self._plan.orders * _LAG)
        until = time.monotonic() + _LAG_S
        while True:
            self.allow(wanted)
            if self.orders >= wanted - 2 * lag or time.monotonic() > until:
                break
            threading.Event().wait(0.05)
        if time.monotonic() >= self._told:
            self._told = time.monotonic() + _TELL_EVERY_S
            spent = time.monotonic() - self._began
            say(f"{spent:6.1f} s  {part:5.1%} of the faults, {self.orders} orders")

    def allow(self, wanted: float) -> None:
        missing = max(0.0, wanted - self.orders) / _ORDERS_OF_A_LIFE / len(self._clients)
        for client in self._clients:
            client.check()
            client.say(f"allow {client.lives + math.ceil(missing)}")

    def finish(self) -> None:
        # No fault any more: what is left of the orders, and then no new life.
        until = time.monotonic() + _PATIENCE_S
        while self.orders < self._plan.orders and time.monotonic() < until:
            self.allow(self._plan.orders)
            threading.Event().wait(0.05)
        for client in self._clients:
            client.say("stop")


def run_chaos(plan: Plan, folder: Path) -> Outcome:
    """
    Run it with all files below a folder.

    Raises:
        AssertionError: something of it did not start, or ended by itself.
    """
    began = time.monotonic()
    rng = random.Random(f"{plan.seed}/faults")
    offset_us = time.time_ns() // 1000 - clock_us()
    relay = RelayProcess(folder, _TRADING)
    if plan.rows:
        say(f"a journal of {plan.rows} commands is being made ...")
        fill_journal(relay.data, plan.rows)
    with contextlib.ExitStack() as stack:
        rules = {**_RULES, **plan.rules}
        common = {"offset_us": offset_us, "rules": rules}
        broker = BrokerProcess(folder, {**common, "seed": zlib.crc32(f"{plan.seed}".encode())})
        stack.callback(broker.kill)
        broker.start()
        stack.callback(relay.kill)
        relay.start()
        link = stack.enter_context(StampedLink(relay.ports["terminal"]))
        client_link = stack.enter_context(StampedLink(relay.ports["request"]))
        prober = Prober(relay.endpoint("request"))
        stack.callback(prober.close)
        observer = Observer(relay.endpoint("publish"), offset_us)
        stack.callback(observer.stop)
        terminal = TerminalProcess(
            folder,
            {
                **common,
                "is_ea": plan.is_ea,
                "folder": str(folder),
                "key": relay.key.reveal().hex(),
                "port": link.port,
                "broker": broker.port,
            },
        )
        stack.callback(terminal.kill)
        terminal.start()
        assert prober.ready(_START_S), f"nothing came up:\n{relay.log()}{terminal.log()}"
        clients = [
            _client(plan, folder, number, client_link.port) for number in range(plan.processes)
        ]
        for client in clients:
            stack.callback(client.kill)
            client.start()
        say(f"{time.monotonic() - began:6.1f} s  everything is up")

        pacer = _Pacer(plan, clients, began)
        injector = Injector(
            rng,
            relay=relay,
            terminal=terminal,
            link=link,
            client_link=client_link,
            observer=observer,
            prober=prober,
            progress=pacer,
        )
        injector.run(plan)
        peace = time.monotonic()
        say(f"{peace - began:6.1f} s  no more faults, {pacer.orders} orders")
        finished = _end(pacer, clients, peace)
        wait_until_ended(relay.endpoint("request"))
        say(f"{time.monotonic() - began:6.1f} s  the strategies have ended; asking the journal")
        if plan.forgets:
            _forget(relay, prober)
        told = read_answers(client.answers for client in clients)
        ask_journal(relay.endpoint("request"), told)
        judge_broker = RemoteBroker(broker.port, make_rules(rules), offset_us)
        ledger = ledger_of(judge_broker.ledger())
        judge_broker.close()
        deals = sorted(deal.ticket for deal in ledger.deals if deal.order)
        wanted = 0 if plan.forgets else len(deals)
        deals_told = sorted(read_deals(relay.endpoint("request"), wanted))
    _say_costs(began, relay, terminal, broker, *clients)
    return Outcome(
        plan=plan,
        counts=injector.counts,
        recoveries=injector.recoveries,
        judgement=judge(told, ledger),
        seconds=time.monotonic() - began,
        settle_s=_settled(told, peace),
        asks=sum(entry.asks for entry in told.values()),
        unanswered=sum(entry.unanswered for entry in told.values()),
        finished=finished,
        deals=deals,
        deals_told=deals_told,
    )


def _end(pacer: _Pacer, clients: list[ClientProcess], peace: float) -> bool:
    # Return whether the strategies came to their end by themselves.
    pacer.finish()
    for client in clients:
        client.finished.wait(max(0.0, peace + _PATIENCE_S - time.monotonic()))
    finished = all(client.finished.is_set() for client in clients)
    for client in clients:
        # Nothing may be asked for any more while it is judged.
        client.kill()
    return finished


def _forget(relay: RelayProcess, prober: Prober) -> None:
    relay.kill()
    for path in relay.data.glob("journal.sqlite*"):
        path.unlink()
    relay.start()
    prober.start(_START_S)[1].join()


def _say_costs(began: float, *actors: Child) -> None:
    spent = ", ".join(f"{actor.name} {actor.cpu_s:.0f}" for actor in actors)
    own = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    say(f"{time.monotonic() - began:6.1f} s  seconds of CPU: {spent}, this program {own:.0f}")


def _client(plan: Plan, folder: Path, number: int, port: int) -> ClientProcess:
    options = {
        "number": number,
        "processes": plan.processes,
        "threads": plan.threads,
        "seed": plan.seed,
        "endpoint": f"tcp://127.0.0.1:{port}",
        "folder": str(folder),
        "timeouts_s": plan.timeouts_s,
        "renames": plan.renames,
    }
    return ClientProcess(folder, options)


def _settled(told: dict[str, Told], peace: float) -> float:
    # How long after the last fault the last order that was asked for before it got its end.
    late = [
        entry.first_end - peace
        for entry in told.values()
        if entry.first_end is not None and entry.first_ask < peace
    ]
    return max([0.0, *late])


def wait_until_ended(endpoint: str) -> None:
    """
    Wait until the relay has no open order; what has no end by then never gets one.
    """
    context = zmq.Context()
    asker = Asker(context, endpoint)
    until = time.monotonic() + SETTLE_MS / 1000 + _RESOLVE_S
    while time.monotonic() < until:
        if not asker.ask("status")["trading"][0]["open_orders"]:
            break
        threading.Event().wait(0.1)
    asker.close()
    context.destroy(0)


def ask_journal(endpoint: str, told: dict[str, Told]) -> None:
    """
    Ask ``order_status`` for every id that was ever asked for.
    """
    context = zmq.Context()
    asker = Asker(context, endpoint)
    names = list(told)
    for first in range(0, len(names), _WINDOW):
        asked = {
            name: asker.start("order_status", {"command_id": name})
            for name in names[first : first + _WINDOW]
        }
        for name, request in asked.items():
            reply = asker.reply(request)
            if reply["ok"]:
                told[name].status = reply["result"]
            else:
                assert reply["error"]["code"] == "NOT_AVAILABLE", reply
    asker.close()
    context.destroy(0)


def read_deals(endpoint: str, wanted: int) -> list[int]:
    """
    Return the tickets of all deals that the relay told of, once they are as many as wanted.
    """
    context = zmq.Context()
    asker = Asker(context, endpoint)
    topic = f"trade/{ALIAS}"
    tickets: list[int] = []
    first = 1
    until = time.monotonic() + _TOLD_S
    while len(tickets) < wanted and time.monotonic() < until:
        (state,) = asker.ask("snapshot", {"topics": [topic]})["topics"]
        asked = {"topic": topic, "epoch": state["epoch"], "first": first, "last": state["seq"]}
        reply = asker.reply(asker.start("replay", asked)) if first <= state["seq"] else {"ok": 0}
        if not reply["ok"]:
            # Nothing new yet, or too much asked for in a second.
            threading.Event().wait(0.1)
            continue
        page = reply["result"]
        tickets += [body[5]["ticket"] for body in page["messages"] if _is_deal(body)]
        first = page["next"] or state["seq"] + 1
    asker.close()
    context.destroy(0)
    return tickets


def _is_deal(body: list[Any]) -> bool:
    return body[3] == "DEAL" and bool(body[5]["order"])


def report(outcome: Outcome) -> tuple[dict[str, Any], list[str]]:
    """
    Return the JSON of a run, and what is not as it has to be.
    """
    judgement, recoveries, counts = outcome.judgement, outcome.recoveries, outcome.counts
    noticed = recoveries.noticed_by_relay + recoveries.stop_noticed
    line: dict[str, Any] = {
        "v": 1,
        "orders": judgement.orders,
        "cuts": counts.cuts,
        "relay_kills": counts.relay_kills,
        "terminal_kills": counts.terminal_kills,
        "lost": judgement.lost,
        "duplicated": judgement.duplicated,
        "wrong_verdicts": judgement.wrong,
        "unresolved": judgement.unresolved,
        "seeds": 1,
        "failing_seeds": [] if judgement.clean else [outcome.plan.seed],
        "seconds": round(outcome.seconds, 1),
        "seed": outcome.plan.seed,
        "executed": judgement.executed,
        "asks": outcome.asks,
        "deals": len(outcome.deals),
        "deals_told": len(outcome.deals_told),
        "unanswered": outcome.unanswered,
        "half_open": counts.half_open,
        "journal_rows": outcome.plan.rows,
        "settled_s": round(outcome.settle_s, 3),
        "cut_to_tick_s": summary(recoveries.cut_to_tick),
        "relay_serving_s": summary(recoveries.relay_answers),
        "relay_trading_s": summary(recoveries.relay_trades),
        "terminal_to_tick_s": summary(recoveries.terminal_to_tick),
        "half_open_noticed_s": summary(noticed),
        "half_open_noticed_by_terminal_s": summary(recoveries.noticed_by_terminal),
    }
    problems = list(judgement.shown)
    problems += recoveries.stuck
    if not outcome.finished:
        problems.append(f"the strategies did not finish within {_PATIENCE_S:.0f} s of peace")
    if not outcome.events_are_right:
        told, deals = outcome.deals_told, outcome.deals
        twice = len(told) - len(set(told))
        untold = sorted(set(deals) - set(told))
        problems.append(f"deals on trade/{ALIAS}: {twice} told twice, not told: {untold[:20]}")
    for quantity, part, limit in GATES:
        found = line[quantity]
        if found is not None and found[part] > limit:
            problems.append(f"{quantity}: {part} is {found[part]}, at most {limit} is allowed")
    limit = SETTLE_MS / 1000 + _RESOLVE_S
    if outcome.settle_s > limit:
        problems.append(f"settled_s: {outcome.settle_s:.1f}, at most {limit} is allowed")
    return line, problems
