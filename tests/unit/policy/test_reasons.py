from __future__ import annotations

import dataclasses

import pytest

from bridge.bus.orders import Reason
from bridge.bus.requests import Hop
from bridge.policy import PERMISSIONS, Denial
from bridge.wire.spec import Permission


def test_every_flag_says_where_it_is_switched_on():
    assert set(Permission) == set(PERMISSIONS)
    for help_ in PERMISSIONS.values():
        assert help_.meaning
        assert help_.where


def test_the_trade_server_is_looked_at_first():
    """
    Without it MetaTrader reports the account's flags as off, which would mislead.
    """
    assert Permission.TERMINAL_CONNECTED == next(iter(PERMISSIONS))


def test_a_denial_is_the_relays_unless_it_says_otherwise():
    denial = Denial(Reason.VOLUME_LIMIT, "too much")

    assert (Hop.RELAY, "", "") == (denial.hop, denial.hint, denial.field)


def test_a_denial_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Denial(Reason.VOLUME_LIMIT, "too much").message = "x"
