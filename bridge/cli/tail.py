"""``bridge tail``: what is published, as it comes."""

from __future__ import annotations

import datetime as dt
import threading
from typing import Any, Final

import click

from bridge import Client
from bridge.bus.bodies import RelayBody, StatusBody
from bridge.bus.topics import parse_topic, tick_topic
from bridge.cli.options import Access, client_options, output_option, seconds
from bridge.cli.output import document, form, printable, say, write
from bridge.cli.read import open_client, time_text
from bridge.client.record import Model
from bridge.client.trade import DealInfo, OrderInfo, OrderResult, PositionInfo
from bridge.client.values import AccountEvent, Event, PositionEvent, TradeEvent
from bridge.model.tick import Gap, Tick

__all__ = ["describe", "line", "tail"]

_MARKS: Final = ("backlog", "late")
_KINDS: Final[dict[type, str]] = {
    Gap: "gap",
    StatusBody: "status",
    RelayBody: "relay",
    TradeEvent: "trade",
    AccountEvent: "account",
    PositionEvent: "position",
}


@click.command(short_help="Show what is published, as it comes.")
@click.argument("names", metavar="[SYMBOL|TOPIC]...", nargs=-1)
@client_options
@output_option(
    "table",
    "json",
    "jsonl",
    about="Form of the output; json needs --count or --seconds.  "
    "[default: table for people, jsonl for programs]",
)
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option("--seconds", "duration", type=seconds(), help="End after this time.")
@click.option("--wait", is_flag=True, help="Wait for a terminal that is not connected.")
def tail(
    names: tuple[str, ...],
    access: Access,
    output: str | None,
    count: int | None,
    duration: float | None,
    *,
    wait: bool,
) -> None:
    """
    Show ticks and gaps as they come, until Ctrl-C.

    A SYMBOL is subscribed, so the terminal streams it. A TOPIC is tick/demo/EURUSD,
    trade/demo or status/demo; with a star or slash at its end it is a prefix, which shows what streams
    anyhow. Without either: everything that is published.
    """
    chosen = form(output, "jsonl")
    if chosen == "json" and count is None and duration is None:
        raise click.UsageError("-o json is one document at the end: add --count or --seconds")
    collected: list[dict[str, Any]] = []
    with open_client(access) as client:
        topics = _topics(client, names, access.terminal) or ["*"]
        stream = client.events(*topics, wait=wait)
        if wait:
            say(f"subscribed: {', '.join(topics)}")
        timer = None if duration is None else threading.Timer(duration, stream.close)
        try:
            if timer is not None:
                timer.start()
            for number, event in enumerate(stream, 1):
                if chosen == "json":
                    collected.append(describe(event))
                else:
                    write(document(describe(event)) if chosen == "jsonl" else line(event))
                if number == count:
                    break
        finally:
            if timer is not None:
                timer.cancel()
    if chosen == "json":
        write(document({"events": collected}))


def describe(event: Event) -> dict[str, Any]:
    """
    Return an event as plain JSON values; ``event`` tells which kind it is.
    """
    if isinstance(event, Tick):
        return {"event": "tick", **event.as_dict()}
    kind = _KINDS.get(type(event), "message")
    fields = event._asdict()
    if isinstance(event, StatusBody):
        # The status' own event would hide ours.
        fields["what"] = fields.pop("event")
    return {"event": kind, **_plain(fields)}


def line(event: Event) -> str:
    """
    Return an event as one line for people.
    """
    if isinstance(event, Tick):
        marks = [name for name in _MARKS if getattr(event, name)]
        prices = f"{event.bid!r:>10} {event.ask!r:>10}"
        if event.last:
            prices += f" {event.last!r:>10} x {event.volume_real:g}"
        where = f"{event.terminal}/{event.symbol}"
        return " ".join([time_text(event), f"{where:<16}", prices, *marks])
    if isinstance(event, Gap):
        last = "?" if event.last is None else event.last
        return f"GAP {event.topic} {event.epoch}:{event.first}-{last} ({event.reason})"
    if isinstance(event, StatusBody):
        facts = " ".join(f"{name}={value!r}" for name, value in event.details.items())
        return f"{_at(event.time_utc_msc)} {event.event} {facts}".rstrip()
    if isinstance(event, TradeEvent):
        again = " recovered" if event.recovered else ""
        text = f"{event.terminal} {event.kind}{again} {_record_text(event.record)}"
        return f"{_at(event.time_utc_msc)} {printable(text)}"
    if isinstance(event, AccountEvent):
        told = event.account
        text = f"balance {told.balance:g} equity {told.equity:g} free {told.margin_free:g}"
        return f"{_at(event.time_utc_msc)} {event.terminal} ACCOUNT {text}"
    if isinstance(event, PositionEvent):
        text = "; ".join(_record_text(one) for one in event.positions) or "none"
        return f"{_at(event.time_utc_msc)} {event.terminal} POSITIONS {printable(text)}"
    if isinstance(event, RelayBody):
        return f"relay {event.epoch}:{event.seq}, {len(event.tails)} topics moved"
    return f"{type(event).__name__} {event.epoch}:{event.seq}"


def _at(time_utc_msc: int) -> str:
    at = dt.datetime.fromtimestamp(time_utc_msc / 1000, tz=dt.UTC)
    return f"{at:%Y.%m.%d %H:%M:%S} UTC"


def _record_text(record: DealInfo | OrderInfo | PositionInfo | OrderResult | dict[str, Any]) -> str:
    if isinstance(record, OrderResult):
        return f"{record.command_id} {record}"
    if isinstance(record, dict):
        return " ".join(f"{name}={value!r}" for name, value in record.items())
    volume = record.volume_initial if isinstance(record, OrderInfo) else record.volume
    price = record.price if isinstance(record, DealInfo) else record.price_open
    return f"{record.ticket} {record.symbol} {record.type_name} {volume:g} at {price!r}"


def _topics(client: Client, names: tuple[str, ...], terminal: str | None) -> list[str]:
    symbols = [name for name in names if not _is_topic(name)]
    alias = terminal
    if symbols and alias is None:
        alias = client.terminal
    return [name if _is_topic(name) else tick_topic(str(alias), name) for name in names]


def _is_topic(name: str) -> bool:
    # Not by the slash alone: BTC/USD is a symbol.
    return name.endswith(("*", "/")) or parse_topic(name) is not None


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Model):
        return value.model_dump(mode="json")
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if hasattr(value, "_asdict"):
        return _plain(value._asdict())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
