"""The trade functions as a program sees them: each group, its errors, its overloads, its times."""

from __future__ import annotations

import dataclasses
import re

import pytest

from bridge.model.enums import AccountMarginMode, TradeRetcode
from bridge.model.symbol import spec_for
from bridge.model.tick import MqlTick
from bridge.model.trade import DealRecord, OrderRecord, PositionRecord, TradeRequest
from bridge.sim.exchange_rules import CommentMode
from bridge.sim.market import Market
from bridge.sim.terminal import Account
from bridge.wire.spec import Permission
from tests.mql5 import manifest
from tests.mql5.broker_trade import TradeFaults
from tests.mql5.host import EaProcess
from tests.mql5.scenarios.expert import why_not
from tests.mql5.trader import BUY, LIMIT, SELL, START_S, one, order, value_of
from tests.support.exchange_bench import START_MSC, ExchangeBench

pytestmark = [pytest.mark.skipif(bool(why_not()), reason=why_not()), pytest.mark.timeout(600)]

NETTING = AccountMarginMode.RETAIL_NETTING
ALL = ~Permission(0)


def printed(record, *names):
    """
    Return fields of a record as Print shows them.
    """
    shown = []
    for name in names:
        value = getattr(record, name)
        shown.append(f"{value:.10g}" if isinstance(value, float) else str(value))
    return [f"{text}.0" if re.fullmatch(r"-?\d+", text) and isinstance(getattr(record, name), float)
            else text for text, name in zip(shown, names, strict=True)]  # fmt: skip


# --- sending -------------------------------------------------------------------------------


def test_a_market_order_is_executed_at_the_exchange(quiet):
    bench = ExchangeBench()
    line = one(quiet(bench), f"send {BUY} magic=18446744073709551615 comment=tag sl=1.05 tp=1.2")

    assert (
        "sent true error 0 retcode 10009 deal 1 order 1 volume 0.5 price 1.1001 id 1 us 0 "
        "comment Done"
    ) == line
    position = bench.position
    assert (2**64 - 1, "tag", 0.5, 1.05, 1.2) == (
        position.magic, position.comment, position.volume, position.sl, position.tp
    )  # fmt: skip


def test_every_field_of_a_request_arrives(quiet):
    bench = ExchangeBench(account={"margin_mode": NETTING})
    seen = []
    send = bench.exchange.order_send
    bench.exchange.order_send = lambda request, now_us: (
        seen.append(request) or send(request, now_us)
    )
    numbers = "action=5 magic=1 order=18446744073709551615 deviation=3 type=6 filling=2 time=2"
    prices = "volume=1.5 price=1.25 stoplimit=1.24 sl=1.2 tp=1.3"
    one(
        quiet(bench),
        f"send {numbers} {prices} symbol=EURUSD expiration=1704967200 comment=é position=9 "
        "position_by=10",
    )

    assert [
        TradeRequest(
            action=5, magic=1, order=2**64 - 1, symbol="EURUSD", volume=1.5, price=1.25,
            stoplimit=1.24, sl=1.2, tp=1.3, deviation=3, type=6, type_filling=2, type_time=2,
            expiration=1_704_967_200, comment="é", position=9, position_by=10,
        )
    ] == seen  # fmt: skip


def test_ordersend_blocks_until_the_answer_is_there(quiet):
    ea = quiet(ExchangeBench(execution_ms=(30, 30), reply_ms=(70, 70)))
    line = one(ea, f"send {BUY}")

    assert "us 100000 " in line
    assert 100_000 == ea.now_us


def test_ordersend_blocks_in_real_time(quiet):
    ea = quiet(ExchangeBench(execution_ms=(30, 30), reply_ms=(70, 70)), clock="real")
    ea.wait_until_initialized()
    ea.chart_event(1, 0, 0.0, f"send {BUY}")
    line = ea.wait_for_line("sent")

    assert line.startswith("sent true error 0 retcode 10009 deal 1 order 1 ")
    assert 100_000 <= int(value_of(line, "us"))


def test_nothing_else_happens_while_ordersend_blocks(start):
    ea = start(ExchangeBench(reply_ms=(100, 100)))
    ea.chart_event(1, 0, 0.0, f"send {BUY}")
    ea.advance(99)

    assert [] == ea.said()

    ea.advance(1)

    assert ["sent", "transaction ORDER_ADD"] == [
        " ".join(line.split()[:count]) for line, count in zip(ea.said(), (1, 2), strict=False)
    ]


@pytest.mark.parametrize(
    ("text", "retcode"),
    [
        ("action=1 symbol=EURUSD volume=0 type=0", TradeRetcode.INVALID_VOLUME),
        ("action=1 symbol=EURUSD volume=nan type=0", TradeRetcode.INVALID_VOLUME),
        ("action=1 symbol=NOTHING volume=1 type=0", TradeRetcode.INVALID),
        ("action=1 volume=1 type=0", TradeRetcode.INVALID),
        ("action=99 symbol=EURUSD volume=1 type=0", TradeRetcode.INVALID),
        (f"{BUY} filling=2", TradeRetcode.INVALID_FILL),
        (f"{BUY} sl=1.2", TradeRetcode.INVALID_STOPS),
        ("action=1 symbol=EURUSD volume=90 type=0", TradeRetcode.NO_MONEY),
        ("action=8 order=99", TradeRetcode.INVALID),
        ("action=6 symbol=EURUSD position=99 sl=1.0", TradeRetcode.POSITION_CLOSED),
    ],
)
def test_a_refusal_is_false_with_its_code_and_error_4756(quiet, text, retcode):
    bench = ExchangeBench()
    ea = quiet(bench)

    for command, word in (("send", "sent"), ("check", "check")):
        line = one(ea, f"{command} {text}")
        assert line.startswith(f"{word} false error 4756 retcode {int(retcode)} ")
    assert [] == bench.exchange.positions()


@pytest.mark.parametrize(
    ("without", "retcode", "error"),
    [
        (Permission.TERMINAL_TRADE_ALLOWED, 10027, 4752),
        (Permission.MQL_TRADE_ALLOWED, 10027, 4752),
        (Permission.TERMINAL_CONNECTED, 10031, 4756),
        (Permission.ACCOUNT_TRADE_ALLOWED, 10017, 4756),
        (Permission.ACCOUNT_TRADE_EXPERT, 10026, 4756),
    ],
)
def test_a_terminal_refuses_what_it_is_not_allowed(quiet, without, retcode, error):
    bench = ExchangeBench()
    ea = quiet(bench)
    ea.set_permissions(ALL & ~without)
    expected = f"false error {error} retcode {retcode} "

    for what in ("sent", "check"):
        line = one(ea, f"{'send' if what == 'sent' else what} {BUY}")
        assert line.startswith(f"{what} {expected}")
    assert one(ea, f"async {BUY}").startswith(f"sent {expected}")
    assert () == bench.exchange.ledger().requests


@pytest.mark.parametrize(
    ("rules", "retcode", "error", "flags"),
    [
        ({"client_disables_at": True}, 10027, 4752, "1 0 1"),
        ({"connected": False}, 10031, 4756, "0 1 1"),
        ({"server_disables_at": True}, 10026, 4756, "1 1 1"),
        ({"trade_disabled": True}, 10017, 4756, "1 1 1"),
    ],
)
def test_the_rules_of_a_broker_show_in_flags_and_codes(quiet, rules, retcode, error, flags):
    ea = quiet(ExchangeBench(**rules))
    account, told, _ = order(ea, "account")

    assert one(ea, f"send {BUY}").startswith(f"sent false error {error} retcode {retcode} ")
    assert f"flags {flags}" == told
    assert str(int("trade_disabled" not in rules)) == value_of(account, "allowed")
    assert str(int("server_disables_at" not in rules)) == value_of(account, "expert")


@pytest.mark.parametrize("lost", ["lose_reply", "lose_request"])
def test_a_lost_answer_is_a_timeout_that_says_nothing(quiet, lost):
    bench = ExchangeBench(**{lost: 1.0})
    line = one(quiet(bench), f"send {BUY}")

    assert line.startswith("sent false error 4756 retcode 10012 deal 0 order 0 ")
    assert "us 60000000 " in line
    assert int(lost == "lose_reply") == len(bench.exchange.positions())


def test_an_answer_that_a_lost_connection_swallowed(quiet):
    bench = ExchangeBench(reply_ms=(100, 100))
    ea = quiet(bench)
    ea.chart_event(1, 0, 0.0, f"send {BUY}")
    ea.advance(50)
    ea.disconnect_trade_server()
    ea.wait_for_line("sent", within_s=100)

    assert ea.said()[0].startswith("sent false error 4756 retcode 10031 ")

    ea.reconnect_trade_server()

    assert "positions 1" == order(ea, "positions")[0]


def test_some_terminals_are_content_when_an_answer_came(quiet):
    ea = quiet()
    ea.broker.trade.faults.true_when_sent = True
    line = one(ea, "send action=1 symbol=EURUSD volume=0 type=0")

    assert line.startswith("sent true error 0 retcode 10014 ")

    ea.set_permissions(ALL & ~Permission.MQL_TRADE_ALLOWED)

    assert one(ea, f"send {BUY}").startswith("sent false error 4752 retcode 10027 ")


def test_an_asynchronous_order_returns_at_once_and_its_result_comes_later(start):
    ea = start(ExchangeBench(execution_ms=(30, 30), reply_ms=(70, 70)))
    first = one(ea, f"async {BUY} magic=5 comment=tag")
    ea.advance(99)
    before = [line for line in ea.said() if line.startswith("request")]
    ea.advance(1)

    assert first.startswith("sent true error 0 retcode 10008 deal 0 order 0 ")
    assert "id 1 us 0 " in first
    assert [] == before
    assert "request 1 EURUSD 0.5 5 tag result 10009 id 1 deal 1 order 1" in ea.said()


def test_request_ids_count_every_request(quiet):
    ea = quiet()

    assert ["1", "2", "3"] == [
        value_of(one(ea, f"{how} {BUY}"), "id") for how in ("send", "async", "send")
    ]


def test_in_the_tester_an_asynchronous_order_waits(quiet):
    ea = quiet(ExchangeBench(reply_ms=(70, 70)), options={"tester": 1})

    assert one(ea, f"async {BUY}").startswith("sent true error 0 retcode 10009 deal 1 ")


@pytest.mark.parametrize("what", ["send", "async", "check"])
def test_an_indicator_may_not_trade(quiet, what):
    line = one(quiet(options={"program_type": "indicator"}), f"{what} {BUY}")

    assert " false error 4014 retcode 0 " in line


def test_ordercheck_tells_what_the_account_would_be_like(quiet):
    bench = ExchangeBench()
    line = one(quiet(bench), f"check {BUY}")

    assert (
        "check true error 0 retcode 0 margin 550.05 free 9444.95 balance 10000.0 comment Done"
    ) == line.replace("9444.950000000001", "9444.95")
    assert () == bench.exchange.ledger().requests


def test_margin_and_profit_are_calculated(quiet):
    ea = quiet()

    assert ["margin true 1100.1 error 0", "profit true 1000.0 error 0"] == order(
        ea, "calculate type=0 symbol=EURUSD volume=1 price=1.1001 close=1.1101"
    )
    assert ["margin true 0.0 error 0", "profit false 0.0 error 4758"] == order(
        ea, "calculate type=2 symbol=EURUSD volume=1 price=1.1 close=1.11"
    )
    assert ["margin false 0.0 error 4758", "profit false 0.0 error 4758"] == order(
        ea, "calculate type=0 symbol=NOTHING volume=1 price=1.1 close=1.11"
    )


def test_without_an_exchange_no_program_trades(trader, tmp_path):
    market = Market([dataclasses.replace(spec_for("EURUSD"), select=True)])
    account = Account(login=1, server="Demo")
    with EaProcess(trader, market=market, account=account, clock="virtual", folder=tmp_path) as ea:
        assert one(ea, f"send {BUY}").startswith("sent false error 4752 retcode 10027 ")
        assert one(ea, f"async {BUY}").startswith("sent false error 4752 retcode 10027 ")
        assert one(ea, f"check {BUY}").startswith("check false error 4752 retcode 10027 ")
        assert "positions 0" == one(ea, "positions")
        assert "orders 0" == one(ea, "orders")
        assert "history true orders 0 deals 0 error 0" == one(ea, "history_all")
        assert "select false error 4753" == one(ea, "select symbol=EURUSD")


def test_an_exchange_or_a_market_is_needed(trader):
    with pytest.raises(ValueError, match="an exchange"):
        EaProcess(trader)


# --- positions and open orders ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "record"), [("POSITION", PositionRecord), ("ORDER", OrderRecord), ("DEAL", DealRecord)]
)
def test_every_property_has_a_field(kind, record):
    names = {field.name for field in dataclasses.fields(record)}
    enums = manifest.load().enums
    asked = {
        name.removeprefix(f"{kind}_").lower()
        for of in ("INTEGER", "DOUBLE", "STRING")
        for name in enums[f"ENUM_{kind}_PROPERTY_{of}"]
    }

    # Nobody can tell the levels of a deal.
    assert ({"sl", "tp"} if kind == "DEAL" else set()) == asked - names


def test_a_position_has_the_properties_of_its_record(quiet):
    bench = ExchangeBench()
    ea = quiet(bench)
    one(ea, f"send {BUY} magic=77 comment=tag sl=1.05 tp=1.2")
    ea.quote("EURUSD", MqlTick(START_MSC + 1500, 1.103, 1.1032))
    lines = order(ea, "positions")
    names = (
        "ticket", "time", "time_msc", "time_update", "time_update_msc", "type", "magic",
        "identifier", "reason", "volume", "price_open", "sl", "tp", "price_current", "swap",
        "profit", "symbol", "comment", "external_id",
    )  # fmt: skip
    position = bench.position

    assert ["positions 1", "at 0 1 EURUSD"] == lines[:2]
    assert ["position", *printed(position, *names), "error", "0"] == lines[2].split(" ")
    assert (145.0, 1_704_880_800, 1_704_880_800_000) == (
        position.profit, position.time, position.time_msc
    )  # fmt: skip


def test_a_pending_order_has_the_properties_of_its_record(quiet):
    bench = ExchangeBench()
    ea = quiet(bench)
    one(
        ea,
        "send action=5 symbol=EURUSD volume=0.5 type=6 price=1.2 stoplimit=1.19 sl=1.1 tp=1.3 "
        "filling=2 time=2 expiration=1704967200 magic=18446744073709551615 comment=tag",
    )
    lines = order(ea, "orders")
    names = (
        "ticket", "time_setup", "time_setup_msc", "time_done", "time_expiration", "type",
        "type_time", "type_filling", "state", "magic", "position_id", "position_by_id", "reason",
        "volume_initial", "volume_current", "price_open", "sl", "tp", "price_current",
        "price_stoplimit", "symbol", "comment", "external_id",
    )  # fmt: skip

    assert ["orders 1", "at 0 1"] == lines[:2]
    assert ["order", *printed(bench.order, *names), "error", "0"] == lines[2].split(" ")
    assert (2**64 - 1, 1_704_967_200) == (bench.order.magic, bench.order.time_expiration)


def test_tickets_have_all_their_bits(quiet):
    bench = ExchangeBench()
    ticket = 2**60 + 1
    bench.exchange._books.next_order = ticket
    bench.exchange._books.next_deal = ticket + 2
    ea = quiet(bench)

    assert f" deal {ticket + 2} order {ticket} " in one(ea, f"send {BUY}")
    assert f"at 0 {ticket} EURUSD" == order(ea, "positions")[1]
    assert "select false error 4753" == one(ea, f"select_position ticket={ticket - 1}")
    assert "select true error 0" == one(ea, f"select_position ticket={ticket}")
    assert f"deal {ticket + 2} {ticket} " in order(ea, f"history_deal ticket={ticket + 2}")[1]
    assert "true orders 1 deals 1" in order(ea, f"history_position ticket={ticket}")[0]

    one(ea, f"send {SELL} position={ticket}")

    assert [] == bench.exchange.positions()


def test_nothing_is_selected_at_first(quiet):
    ea = quiet()

    assert [
        "again false -1 false -1.0 false nothing error 4753",
        "again false -1 false -1.0 false nothing error 4754",
    ] == order(ea, "again")
    assert one(ea, "position").endswith(" error 4753")
    assert one(ea, "order").endswith(" error 4754")
    assert "old false -1 false -1.0 false nothing error 4002" == one(ea, "old_order ticket=1")
    assert "old false -1 false -1.0 false nothing error 4002" == one(ea, "old_deal ticket=1")
    assert "old at 0 error 4754 deal 0 error 4755" == one(ea, "old_at")


def test_both_overloads_read_the_selection(quiet):
    ea = quiet()
    one(ea, f"send {BUY}")
    one(ea, f"send {LIMIT}")
    one(ea, "select_position ticket=1")
    one(ea, "select_order ticket=2")

    assert [
        "again true 1 true 0.5 true EURUSD error 0",
        "again true 2 true 0.5 true EURUSD error 0",
    ] == order(ea, "again")


def test_a_selected_position_stays_what_it_was(quiet):
    ea = quiet()
    one(ea, f"send {BUY}")
    one(ea, "select symbol=EURUSD")
    before = one(ea, "position")
    ea.quote("EURUSD", MqlTick(START_MSC + 1, 1.2, 1.2001))
    one(ea, f"send {SELL} position=1")

    assert before == one(ea, "position")
    assert "select false error 4753" == one(ea, "select symbol=EURUSD")
    assert before == one(ea, "position")


def test_a_failed_select_may_select_nothing(quiet):
    ea = quiet(options={"failed_select": "clear"})
    one(ea, f"send {BUY}")
    one(ea, "select symbol=EURUSD")
    one(ea, "select symbol=GBPUSD")

    assert one(ea, "position").endswith(" error 4753")


def test_a_selected_order_stays_what_it_was(quiet):
    ea = quiet()
    one(ea, f"send {LIMIT}")
    one(ea, "select_order ticket=1")
    before = one(ea, "order")
    one(ea, "send action=8 order=1")

    assert before == one(ea, "order")
    assert "select false error 4754" == one(ea, "select_order ticket=1")


def test_a_symbol_selects_its_lowest_ticket(quiet):
    ea = quiet()
    for text in (SELL, BUY, BUY):
        one(ea, f"send {text}")
    ea.broker.trade.faults.list_order = "reversed"
    one(ea, "select symbol=EURUSD")

    assert one(ea, "position").startswith("position 1 ")
    assert ["at 0 3 EURUSD", "at 1 2 EURUSD", "at 2 1 EURUSD"] == order(ea, "positions")[1::2]


def test_a_list_may_come_in_any_order(quiet):
    ea = quiet()
    for _ in range(4):
        one(ea, f"send {BUY}")
    ea.broker.trade.faults.list_order = "shuffled"
    seen = {one(ea, "position_at", 0).split()[1] for _ in range(40)}

    assert {"1", "2", "3", "4"} == seen


@pytest.mark.parametrize("index", [-1, 1])
def test_an_index_out_of_range_is_told(quiet, index):
    ea = quiet()
    one(ea, f"send {BUY}")
    one(ea, f"send {LIMIT}")

    assert "at 0 error 4753 symbol  error 4753" == one(ea, "position_at", index)
    assert "at 0 error 4754" == one(ea, "order_at", index)


def test_in_netting_a_reversal_changes_the_ticket_and_keeps_the_identifier(quiet):
    bench = ExchangeBench(account={"margin_mode": NETTING})
    ea = quiet(bench)
    one(ea, f"send {BUY}")
    one(ea, "send action=1 symbol=EURUSD volume=1.5 type=1")
    line = order(ea, "positions")[2].split()

    assert (["2"], ["1"], "1") == (line[1:2], line[8:9], line[6])
    assert line[10] == "1.0"


def test_what_the_terminal_sees_comes_later(quiet):
    ea = quiet(ExchangeBench(state_delay_ms=(50, 50), visibility_ms=(80, 80)))
    one(ea, f"send {BUY}")
    seen = []
    for _ in range(3):
        seen.append((one(ea, "positions") if not seen else order(ea, "positions")[0],
                     order(ea, "history_all")[0]))  # fmt: skip
        ea.advance(50)

    assert [
        ("positions 0", "history true orders 0 deals 0 error 0"),
        ("positions 1", "history true orders 0 deals 0 error 0"),
        ("positions 1", "history true orders 1 deals 1 error 0"),
    ] == seen


# --- the history -------------------------------------------------------------------------------


def trades(ea, *at_ms):
    """
    Buy and sell so many milliseconds after the start.
    """
    for ms in at_ms:
        ea.advance(ms - ea.now_us / 1000)
        one(ea, f"send {BUY} comment=at{ms}")


def test_history_has_what_ended_within_a_time(quiet):
    ea = quiet()
    trades(ea, 0, 1000, 2500, 3001)

    assert [
        "history true orders 2 deals 2 error 0",
        f"old order 2 0 4 {START_S + 1} {START_MSC + 1000} 2 0.5 EURUSD at1000",
        f"old order 3 0 4 {START_S + 2} {START_MSC + 2500} 3 0.5 EURUSD at2500",
        f"deal 2 2 {START_S + 1} {START_MSC + 1000} 0 0 0 3 2 0.5 1.1001 0.0 EURUSD at1000",
        f"deal 3 3 {START_S + 2} {START_MSC + 2500} 0 0 0 3 3 0.5 1.1001 0.0 EURUSD at2500",
    ] == order(ea, f"history from={START_S + 1} to={START_S + 3}")
    ea.broker.trade.faults.whole_last_second = True

    head = order(ea, f"history from={START_S + 1} to={START_S + 3}")[0]
    assert "history true orders 3 deals 3 error 0" == head


def test_a_history_of_nothing_is_empty_and_no_error(quiet):
    ea = quiet()
    trades(ea, 0)

    assert "history true orders 0 deals 0 error 0" == one(ea, "history from=1 to=2")
    assert "history true orders 0 deals 0 error 0" == one(ea, "history_position ticket=99")


def test_a_history_that_ends_before_it_begins_is_an_error(quiet):
    assert one(quiet(), "history from=2 to=1").startswith("history false ")


def test_the_lists_stay_until_the_next_select(quiet):
    ea = quiet()
    trades(ea, 0)
    order(ea, "history_all")
    trades(ea, 10)

    assert "old false -1 false -1.0 false nothing error 4002" == one(ea, "old_deal ticket=2")
    assert "old true 0 true 0.5 true EURUSD error 0" == one(ea, "old_deal ticket=1")
    assert "old true 4 true 0.5 true EURUSD error 0" == one(ea, "old_order ticket=1")


def test_selecting_one_order_leaves_the_deals_alone(quiet):
    ea = quiet()
    trades(ea, 0, 10, 20)
    order(ea, "history_all")

    assert "history true orders 1 deals 3 error 0" == order(ea, "history_order ticket=2")[0]
    assert "old false -1 false -1.0 false nothing error 4002" == one(ea, "old_order ticket=1")
    assert "history true orders 1 deals 1 error 0" == order(ea, "history_deal ticket=3")[0]


def test_a_failed_select_of_one_empties_its_list(quiet):
    ea = quiet()
    trades(ea, 0)
    order(ea, "history_all")

    assert "history false orders 0 deals 1 error 4754" == order(ea, "history_order ticket=9")[0]
    assert "history false orders 0 deals 0 error 4755" == order(ea, "history_deal ticket=9")[0]


def test_an_open_order_is_not_in_the_history(quiet):
    ea = quiet()
    one(ea, f"send {LIMIT}")

    assert order(ea, "history_order ticket=1")[0].startswith("history false ")


def test_the_history_of_a_position_leaves_out_the_orders_of_the_other_one(quiet):
    ea = quiet()
    one(ea, f"send {BUY}")
    one(ea, f"send {SELL}")
    one(ea, "send action=10 position=1 position_by=2")

    def orders_of(ticket):
        lines = order(ea, f"history_position ticket={ticket}")
        return [line.split()[2] for line in lines if line.startswith("old order")]

    assert ["1", "3"] == orders_of(1)
    assert ["2"] == orders_of(2)


def test_a_history_that_is_not_there_is_an_error(quiet):
    ea = quiet()
    trades(ea, 0)
    ea.broker.trade.faults = TradeFaults(history_error=4403, history_blocks_ms=45_000)
    before_us = ea.now_us

    assert one(ea, "history_all").startswith("history false orders 0 deals 0 error 4403")
    assert 45_000_000 == ea.now_us - before_us


def test_a_comment_is_what_the_broker_made_of_it(quiet):
    ea = quiet(ExchangeBench(comment=CommentMode.TRUNCATE))
    one(ea, f"send {BUY} comment=zb1:ABCDEFGHIJKLMNOP")

    assert order(ea, "history_all")[1].endswith(" zb1:ABCDEF")


# --- account, symbol, time -----------------------------------------------------------------------


def test_the_account_is_the_exchanges(quiet):
    bench = ExchangeBench(
        account={"name": "Somebody", "server": "Demo", "limit_orders": 5, "margin_so_so": 50.0,
                 "margin_so_call": 100.0, "trade_mode": 2, "fifo_close": True},
        hedge_prohibited=True,
    )  # fmt: skip
    ea = quiet(bench)
    one(ea, f"send {BUY}")
    told = order(ea, "account")[0]

    assert (
        "account 7 mode 2 margin mode 2 leverage 100 limit 5 allowed 1 expert 1 so 0 digits 2 "
        "fifo 1 hedge 0 balance 10000.0 equity 9995.0 margin 550.05 free 9444.95 profit -5.0 "
        "call 100.0 out 50.0 name Somebody server Demo currency USD"
    ) == told.replace("9444.950000000001", "9444.95")


def test_the_trade_server_has_its_own_clock(quiet):
    ea = quiet()
    ea.advance(5000)

    assert f"server {START_S + 5} utc 1704153605" == order(ea, "account")[2]


def test_a_symbol_has_its_conditions(quiet):
    spec = dataclasses.replace(
        spec_for("EURUSD"), trade_stops_level=7, trade_freeze_level=3, volume_limit=15.0
    )

    assert [
        "symbol 3 2 4 127 15 7 3 0.01 100.0 0.01 15.0 1e-05 100000.0",
        "rate true 1.0 1.0",
    ] == order(quiet(ExchangeBench(spec)), "symbol symbol=EURUSD")
