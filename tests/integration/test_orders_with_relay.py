"""Clients and command line against the real relay and the simulated terminal, as processes."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path

import pytest

from bridge import AsyncClient, Client
from bridge.cli import main
from bridge.client.trade import DealInfo, OrderResult
from bridge.config import init_config
from bridge.exceptions import InvalidRequest, NotAvailable, OrderDenied, OrderRejected
from tests.support.processes import FREE_PORTS, Bridge, run_bridge

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 30.0
BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """
    Return the home of a relay that trades, with a simulated terminal at it.
    """
    folder = tmp_path_factory.mktemp("home")
    init_config(folder, ["demo"])
    config = folder / "bridge.toml"
    text = config.read_text(encoding="utf-8")
    for line in ("enabled = false", "max_volume = 0.0"):
        assert f"#{line}" in text
    text = text.replace("#enabled = false", "enabled = true")
    text = text.replace("#max_volume = 0.0", "max_volume = 5.0")
    config.write_text(text, encoding="utf-8")
    with Bridge("run", *FREE_PORTS, home=folder) as relay:
        relay.err_line("relay ready")
        with Bridge("sim", home=folder) as terminal:
            relay.err_line("terminal connected")
            yield folder
            terminal.interrupt()
            assert terminal.finish().code == 0
        relay.interrupt()
        assert relay.finish().code == 0


@pytest.fixture
def endpoint(home):
    """
    Return the relay's request endpoint, once its terminal has traded state.
    """
    return json.loads((home / "data" / "control.json").read_text())["endpoints"]["request"]


@pytest.fixture
def name(request):
    """
    Return an id that no other test has.
    """
    return re.sub(r"[^A-Za-z0-9]", "-", request.node.name)[-40:].strip("-")


@pytest.fixture
def client(endpoint):
    """
    Return a client that may trade.
    """
    with Client(endpoint, client_id="me", timeout=DEADLINE_S) as connected:
        yield connected


def test_an_order_is_done_once(client, name):
    first = client.buy("EURUSD", 0.1, client_order_id=name, comment="mine")
    again = client.buy("EURUSD", 0.1, client_order_id=name, comment="mine")

    assert (True, False) == (first.done, first.replayed)
    assert (True, True) == (again.done, again.replayed)
    assert (first.order, first.deal) == (again.order, again.deal)
    found = client.positions(ticket=first.position)
    assert [("EURUSD", "BUY", 0.1, "mine", f"me/{name}")] == [
        (one.symbol, one.type_name, one.volume, one.comment, one.command_id) for one in found
    ]
    assert client.position_close(first.position, client_order_id=f"{name}-close").done
    assert [] == client.positions(ticket=first.position)


def test_the_same_id_with_other_content_is_denied(client, name):
    client.buy("EURUSD", 0.1, client_order_id=name)

    with pytest.raises(OrderDenied, match="DIVERGED"):
        client.buy("EURUSD", 0.2, client_order_id=name, raise_on_reject=True)
    client.close_all(client_order_id=f"{name}-end")


def test_a_stop_loss_is_kept_and_removed(client, name):
    position = client.sell(
        "EURUSD", 0.1, sl_points=500, tp_points=700, client_order_id=name
    ).position
    before = client.positions(ticket=position)[0]
    assert before.price_open < before.sl
    assert before.price_open > before.tp

    kept = client.position_modify(position, tp=0, client_order_id=f"{name}-1")
    after = client.positions(ticket=position)[0]

    assert kept.done
    assert (before.sl, 0.0) == (after.sl, after.tp)
    client.close_all(client_order_id=f"{name}-end")


def test_a_pending_order_is_placed_changed_and_cancelled(client, name):
    price = round(client.tick("EURUSD").bid * 0.9, 5)
    placed = client.order_send(
        "PENDING",
        type="BUY_LIMIT",
        symbol="EURUSD",
        volume=0.1,
        price=price,
        client_order_id=name,
    )
    assert placed.placed
    lower = round(price * 0.9, 5)
    assert client.order_modify(placed.order, price=lower, client_order_id=f"{name}-1").done
    assert [lower] == [one.price_open for one in client.orders(ticket=placed.order)]
    assert client.order_cancel(placed.order, client_order_id=f"{name}-2").done
    assert [] == client.orders(ticket=placed.order)


def test_everything_is_closed_with_a_result_for_each(client, name):
    for number in range(3):
        client.buy("EURUSD", 0.1, client_order_id=f"{name}-{number}")

    result = client.close_all(client_order_id=name)

    assert result.done
    assert all(part.done for part in result.children)
    assert len(result.children) >= 3
    assert [] == client.positions()
    assert client.close_all(client_order_id=f"{name}-again").children == ()


def test_refusals_name_who_and_why(client, name):
    denied = client.buy("EURUSD", 5.1, client_order_id=name)
    assert (True, "VOLUME_LIMIT", "relay") == (denied.denied, denied.reason, denied.hop)

    with pytest.raises(OrderRejected):
        client.order_cancel(4711, client_order_id=f"{name}-2", raise_on_reject=True)
    with pytest.raises(NotAvailable):
        client.order_status("never-heard-of")
    with pytest.raises(InvalidRequest, match="volume"):
        client.buy("EURUSD", float("inf"), client_order_id=name)


def test_what_became_of_an_order_is_told_to_anybody(client, endpoint, name):
    client.buy("EURUSD", 0.1, client_order_id=name)
    client.close_all(client_order_id=f"{name}-end")

    with Client(endpoint) as other:
        assert other.order_status(name, client_id="me").done
        assert other.order_status(command_id=f"me/{name}").final


def test_a_check_and_the_account(client):
    account = client.account()
    checked = client.order_check("DEAL", type="BUY", symbol="EURUSD", volume=0.1)

    assert account.demo
    assert checked.passed
    assert 0 < checked.margin < account.balance


def test_trades_are_told_as_they_happen(client, name):
    with client.trades(timeout=DEADLINE_S) as trades:
        result = client.buy("EURUSD", 0.1, client_order_id=name)
        deals, lives = [], []
        while not deals or not lives or not lives[-1].done:
            event = next(trades)
            if isinstance(event.record, DealInfo):
                deals.append(event.record)
            elif isinstance(event.record, OrderResult):
                lives.append(event.record)

    assert result.deal in [deal.ticket for deal in deals]
    assert f"me/{name}" == lives[-1].command_id
    client.close_all(client_order_id=f"{name}-end")


def test_the_same_from_asyncio(endpoint, name):
    async def main():
        async with AsyncClient(endpoint, client_id="aio", timeout=DEADLINE_S) as mt:
            done = await mt.buy("EURUSD", 0.1, client_order_id=name)
            again = await mt.order_status(name)
            closed = await mt.position_close(done.position, client_order_id=f"{name}-close")
            return done, again, closed

    done, again, closed = asyncio.run(main())

    assert [True, True, True] == [done.done, again.done, closed.done]
    assert done.order == again.order


@pytest.fixture
def bridge(home, monkeypatch, capsys):
    """
    Return a function that runs a command in this process: its exit code and stdout.
    """
    monkeypatch.setenv("BRIDGE_HOME", str(home))
    monkeypatch.delenv("BRIDGE_CONFIG", raising=False)

    def run(*words):
        code = main(list(words))
        out, err = capsys.readouterr()
        assert "defect" not in err
        return code, out

    return run


def test_the_command_line_trades_and_tells(home, bridge, name):
    words = ("order", "buy", "EURUSD", "0.1", "--key", name, "-o", "json")
    dry = bridge(*words, "--dry-run")
    bought = bridge(*words)
    again = bridge(*words)
    told = bridge("order", "status", name, "-o", "json")
    closed = run_bridge("order", "close-all", "--orders", "-o", "json", home=home)

    assert [0] * 5 == [dry[0], bought[0], again[0], told[0], closed.code]
    results = [json.loads(out)["result"] for _, out in (bought, again, told)]
    assert [f"cli/{name}"] * 3 == [result["command_id"] for result in results]
    assert 1 == len({result["order"] for result in results})
    assert [] == json.loads(bridge("positions")[1])["positions"]
    assert 13 == bridge("order", "buy", "EURUSD", "5.1")[0]


def test_a_halt_denies_and_a_resume_allows(bridge, client, name):
    halted, _ = bridge("halt", "--reason", "a test", "--terminal", "demo")
    denied = client.buy("EURUSD", 0.1, client_order_id=name)
    passed, _ = bridge("order", "buy", "EURUSD", "0.1", "--admin", "--key", name)
    resumed, _ = bridge("resume")
    done = client.buy("EURUSD", 0.1, client_order_id=name)
    client.close_all(client_order_id=f"{name}-end")

    assert (0, 0, 0) == (halted, passed, resumed)
    assert (True, "HALTED") == (denied.denied, denied.reason)
    assert "a test" in denied.message
    assert done.done


def test_the_page_about_orders_does_what_it_says(endpoint, capsys):
    """
    Every Python block of the how-to runs, in order, in one process.
    """
    page = (ROOT / "docs" / "howto" / "orders-from-python.md").read_text(encoding="utf-8")
    blocks = [match["code"] for match in BLOCK.finditer(page)]
    assert len(blocks) >= 6
    for code in blocks:
        if "mt.trades" in code:
            continue  # waits for what somebody else does
        here = code.replace("Client(client_id=", f'Client("{endpoint}", client_id=')
        exec(compile(here, str(page[:40]), "exec"), {"__name__": "__main__"})  # noqa: S102 - our own page
    out = capsys.readouterr().out

    assert "DONE 0.1 lots" in out
    assert "nothing was sent" not in out
