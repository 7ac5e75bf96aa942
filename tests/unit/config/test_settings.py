from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from bridge.bus import topics
from bridge.config import (
    EndpointSettings,
    JournalSettings,
    RelaySettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TickSettings,
    TradingSettings,
    split_endpoint,
)
from bridge.config.fields import FIELDS, SECTIONS, environment_name, field_of
from bridge.config.settings import ALIAS_PATTERN


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp://127.0.0.1:5556", ("127.0.0.1", 5556)),
        ("tcp://127.0.0.1:0", ("127.0.0.1", 0)),
        ("tcp://127.255.0.9:65535", ("127.255.0.9", 65535)),
        ("tcp://localhost:5556", ("127.0.0.1", 5556)),
    ],
)
def test_loopback_endpoints_are_taken_apart(endpoint, expected):
    assert expected == split_endpoint(endpoint)


@pytest.mark.parametrize(
    "host",
    ["0.0.0.0", "*", "192.168.1.7", "128.0.0.1", "example.com", "127.0.0.1.example.com", "127.1"],
)
def test_anything_but_loopback_is_refused_with_the_way_out(host):
    with pytest.raises(ValueError, match="SSH tunnel or WireGuard"):
        split_endpoint(f"tcp://{host}:5556")


@pytest.mark.parametrize(
    "endpoint",
    [
        "",
        "5556",
        "127.0.0.1:5556",
        "tcp://127.0.0.1",
        "tcp://127.0.0.1:",
        "tcp://127.0.0.1:-1",
        "tcp://127.0.0.1:x",
        "tcp://127.0.0.1:5556/",
        "tcp://127.0.0.1:5556\n",
        "tcp://:5556",
        "ipc:///tmp/bridge",
        "inproc://bridge",
        "TCP://127.0.0.1:5556",
    ],
)
def test_what_is_no_endpoint_is_refused_with_an_example(endpoint):
    with pytest.raises(ValueError, match=r"tcp://127\.0\.0\.1:5556"):
        split_endpoint(endpoint)


def test_ipv6_is_refused_because_metatrader_has_none():
    with pytest.raises(ValueError, match="IPv4"):
        split_endpoint("tcp://[::1]:5556")


def test_a_port_has_16_bits():
    with pytest.raises(ValueError, match="65535"):
        split_endpoint("tcp://127.0.0.1:65536")


def test_localhost_is_stored_as_an_address():
    assert "tcp://127.0.0.1:7000" == EndpointSettings(request="tcp://localhost:7000").request


def test_two_endpoints_cannot_share_a_port():
    with pytest.raises(ValidationError, match="terminal and publish have the same port 5555"):
        EndpointSettings(publish="tcp://127.0.0.1:5555")


def test_any_number_of_endpoints_may_take_a_free_port():
    any_port = "tcp://127.0.0.1:0"

    EndpointSettings(terminal=any_port, request=any_port, publish=any_port, control=any_port)


def test_one_ring_fits_into_all():
    with pytest.raises(ValidationError, match="ring_bytes_per_topic is above ring_bytes_total"):
        TickSettings(ring_bytes_per_topic=2**20, ring_bytes_total=2**19)


def test_a_late_heartbeat_does_not_cut_the_link():
    with pytest.raises(ValidationError, match="twice"):
        SessionSettings(heartbeat_interval_ms=1000, silence_limit_ms=1999)


def test_half_open_links_are_noticed_within_five_seconds_by_default():
    session = Settings().session

    assert session.silence_limit_ms + session.heartbeat_interval_ms <= 5000


def test_settings_do_not_change():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().ticks.resume_max_age_s = 1


def test_the_ports_are_those_of_the_documentation():
    assert Settings().endpoints.model_dump() == {
        "terminal": "tcp://127.0.0.1:5555",
        "request": "tcp://127.0.0.1:5556",
        "publish": "tcp://127.0.0.1:5557",
        "control": "tcp://127.0.0.1:5558",
    }


@pytest.mark.parametrize("key", FIELDS, ids=".".join)
def test_every_setting_tells_its_meaning(key):
    description = FIELDS[key].description

    assert description
    assert description.endswith(".")


NUMBERS = [key for key, field in FIELDS.items() if field.annotation in (int, float)]
UNITS = (
    "_ms",
    "_s",
    "_days",
    "_bytes",
    "_bytes_per_topic",
    "_bytes_total",
    "_per_client",
    "_ticks",
    # Lots, as everywhere in MetaTrader.
    "_volume",
)
COUNTS = {
    "max_open_positions",
    "max_orders_per_minute",
    "max_streams_per_terminal",
    "pending_requests_per_terminal",
    "send_hwm",
    "sessions_pending_logon",
}


@pytest.mark.parametrize("key", NUMBERS, ids=".".join)
def test_every_number_has_limits_and_a_unit_or_counts_something(key):
    assert key[1].endswith(UNITS) or key[1] in COUNTS
    assert 2 == len(FIELDS[key].metadata)


def test_no_two_settings_share_an_environment_name():
    names = {environment_name(key) for key in FIELDS}

    assert len(names) == len(FIELDS)


def test_every_section_has_settings():
    assert {section for section, _ in FIELDS} == set(SECTIONS)


@pytest.mark.parametrize(
    "key",
    [
        (),
        ("ticks",),
        ("ticks", "none"),
        ("terminals", "demo"),
        ("terminals", "login"),
        ("terminals", "demo", "trading"),
        ("terminals", "demo", "none", "enabled"),
        ("terminals", "demo", "trading", "login"),
        ("terminals.trading", "enabled", "none"),
        ("a",) * 4,
    ],
)
def test_what_is_no_setting_has_no_field(key):
    assert field_of(key) is None


def test_a_terminal_setting_is_found_below_any_alias():
    assert field_of(("terminals", "demo", "login")) is FIELDS["terminals", "login"]
    assert (
        field_of(("terminals", "demo", "trading", "enabled"))
        is (FIELDS["terminals.trading", "enabled"])
    )


def test_nothing_is_traded_by_default():
    assert TerminalSettings(key_file=Path("x")).trading == TradingSettings(enabled=False)


@pytest.mark.parametrize("volume", [float("nan"), float("inf"), -0.01])
def test_a_limit_that_limits_nothing_is_refused(volume):
    with pytest.raises(ValidationError):
        TradingSettings(max_volume=volume)


def test_symbols_are_a_list_of_names():
    assert ("EURUSD", "GBPUSD.r") == TradingSettings(symbols=["EURUSD", "GBPUSD.r"]).symbols


@pytest.mark.parametrize("symbols", ["EURUSD", [1], [""], ["x" * 129], {"EURUSD": 1}, [None]])
def test_what_is_no_list_of_names_is_refused(symbols):
    with pytest.raises(ValidationError):
        TradingSettings(symbols=symbols)


def test_ids_are_kept_for_thirty_days_at_least():
    with pytest.raises(ValidationError, match="greater than or equal to 30"):
        JournalSettings(retention_days=29)


def test_the_journal_lies_in_the_folder_that_is_locked():
    settings = Settings(relay=RelaySettings(data_dir=Path("/srv/data")))

    assert Path("/srv/data/journal.sqlite") == settings.journal_file


def test_no_alias_can_make_two_settings_share_an_environment_name():
    """
    BRIDGE_TERMINALS_<ALIAS>_<SETTING> is read from its end: no end may be that of another.
    """
    ends = [environment_name(key).removeprefix("BRIDGE_TERMINALS") for key in FIELDS]
    ends = [end for key, end in zip(FIELDS, ends, strict=True) if key[0].startswith("terminals")]

    assert [] == [(a, b) for a in ends for b in ends if a != b and a.endswith(b)]


def test_an_alias_of_the_settings_is_an_alias_on_the_bus():
    assert ALIAS_PATTERN == f"^{topics.ALIAS_PATTERN}$"
