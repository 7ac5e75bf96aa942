"""``bridge.model.enums`` against MetaQuotes' own values."""

from __future__ import annotations

import enum
import json
import re
from pathlib import Path

import pytest

from bridge.model import enums

SHARED = Path(__file__).resolve().parents[3].parent / "shared"
CONSTANTS = SHARED / "data" / "mt5_constants.json"
FACTS = SHARED / "docs" / "mql5-facts.md"

needs_constants = pytest.mark.skipif(
    not CONSTANTS.exists(), reason=f"MetaQuotes' constants are not there: {CONSTANTS}"
)
needs_facts = pytest.mark.skipif(
    not FACTS.exists(), reason=f"the MQL5 fact sheet is not there: {FACTS}"
)

#: MetaQuotes' package has these all; the classes not here have no constants in it.
PREFIXES: dict[str, type[enum.IntEnum]] = {
    "TIMEFRAME_": enums.Timeframes,
    "COPY_TICKS_": enums.CopyTicks,
    "SYMBOL_TRADE_MODE_": enums.SymbolTradeMode,
    "SYMBOL_TRADE_EXECUTION_": enums.SymbolTradeExecution,
    "SYMBOL_CALC_MODE_": enums.SymbolCalcMode,
    "SYMBOL_SWAP_MODE_": enums.SymbolSwapMode,
    "ORDER_TYPE_": enums.OrderType,
    "ORDER_STATE_": enums.OrderState,
    "ORDER_FILLING_": enums.OrderTypeFilling,
    "ORDER_TIME_": enums.OrderTypeTime,
    "ORDER_REASON_": enums.OrderReason,
    "POSITION_TYPE_": enums.PositionType,
    "POSITION_REASON_": enums.PositionReason,
    "DEAL_TYPE_": enums.DealType,
    "DEAL_ENTRY_": enums.DealEntry,
    "DEAL_REASON_": enums.DealReason,
    "TRADE_ACTION_": enums.TradeRequestActions,
    "BOOK_TYPE_": enums.BookType,
    "ACCOUNT_TRADE_MODE_": enums.AccountTradeMode,
    "ACCOUNT_MARGIN_MODE_": enums.AccountMarginMode,
    "ACCOUNT_STOPOUT_MODE_": enums.AccountStopoutMode,
    "TRADE_RETCODE_": enums.TradeRetcode,
}

#: In the manual but not in the package, or without the prefix of their enumeration.
BESIDE_THE_PREFIX = {
    "DEAL_TYPE_": {"DIVIDEND": 15, "DIVIDEND_FRANKED": 16, "TAX": 17},
    "TRADE_RETCODE_": {"HEDGE_PROHIBITED": 10046},
}


def constants() -> dict[str, int]:
    rows = json.loads(CONSTANTS.read_text("utf-8"))["constants"]
    return {name: row["value"] for name, row in rows.items()}


def section(number: int) -> str:
    text = FACTS.read_text("utf-8")
    return text[text.index(f"\n## {number}. ") : text.index(f"\n## {number + 1}. ")]


@needs_constants
@pytest.mark.parametrize("prefix", PREFIXES)
def test_values_equal_those_of_metaquotes(prefix: str) -> None:
    """An enumeration has exactly the members and values of MetaQuotes' package."""
    expected = {
        name.removeprefix(prefix): value
        for name, value in constants().items()
        if name.startswith(prefix)
    } | BESIDE_THE_PREFIX.get(prefix, {})
    actual = {member.name: member.value for member in PREFIXES[prefix]}

    assert expected == actual


@needs_constants
def test_dividends_and_tax_are_named_without_type() -> None:
    """MQL5 calls three deal types ``DEAL_…`` and not ``DEAL_TYPE_…``, with these values."""
    expected = BESIDE_THE_PREFIX["DEAL_TYPE_"]
    actual = {name: constants()[f"DEAL_{name}"] for name in expected}

    assert expected == actual


@needs_facts
def test_retcodes_equal_the_fact_sheet() -> None:
    """Every trade retcode of the fact sheet is a member, and no other."""
    paragraph = re.search(r"Trade retcodes.*", section(6))
    assert paragraph is not None
    expected = {name: int(code) for code, name in re.findall(r"(\d{5}) ([A-Z_]+)", paragraph[0])}
    actual = {member.name: member.value for member in enums.TradeRetcode}

    assert expected == actual


@needs_facts
@pytest.mark.parametrize("number", [3, 12, 13])
def test_runtime_errors_of_the_fact_sheet_are_members(number: int) -> None:
    """Every runtime error code that the fact sheet names is a member of ``MqlError``."""
    named = {int(code) for code in re.findall(r"\b(?:4[0-9]|5[0-6])\d\d\b", section(number))}
    if number == 13:
        # The pages of the manual this section cites, and SQLite's codes as a formula.
        named -= {5600}
    actual = named - {int(error) for error in enums.MqlError}

    assert set() == actual
    assert named


@pytest.mark.parametrize(
    ("flag", "bits"),
    [
        (enums.SymbolFillingMode, {"FOK": 1, "IOC": 2, "BOC": 4}),
        (
            enums.SymbolOrderMode,
            {
                "MARKET": 1,
                "LIMIT": 2,
                "STOP": 4,
                "STOP_LIMIT": 8,
                "SL": 16,
                "TP": 32,
                "CLOSEBY": 64,
            },
        ),
        (enums.SymbolExpirationMode, {"GTC": 1, "DAY": 2, "SPECIFIED": 4, "SPECIFIED_DAY": 8}),
    ],
)
def test_bits_equal_the_manual(flag: type[enum.IntFlag], bits: dict[str, int]) -> None:
    """The bit masks, which the package lacks, have the values of the MQL5 manual."""
    actual = {member.name: member.value for member in flag}

    assert bits == actual


def test_filling_bits_are_not_filling_types() -> None:
    """``SYMBOL_FILLING_FOK`` is bit 1 where ``ORDER_FILLING_FOK`` is number 0: never mixed up."""
    expected = [(1, 0), (2, 1), (4, 3)]
    actual = [
        (int(enums.SymbolFillingMode[name]), int(enums.OrderTypeFilling[name]))
        for name in ("FOK", "IOC", "BOC")
    ]

    assert expected == actual


def test_every_class_is_public_and_names_its_page() -> None:
    """``__all__`` lists every enumeration, and each docstring says where the manual has it."""
    expected = sorted(enums.__all__)
    actual = sorted(
        name
        for name, value in vars(enums).items()
        if isinstance(value, enum.EnumMeta)
        and value.__module__ == enums.__name__
        and "MQL5 page: " in (value.__doc__ or "")
    )

    assert expected == actual
