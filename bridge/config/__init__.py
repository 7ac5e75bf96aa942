"""Settings and keys: what they are, where they come from, how a first set is written.

Three sources, each stronger than the one before: the TOML file, the environment
(``BRIDGE_<SECTION>_<KEY>``), and what the command line was given. A name that is not
known is an error with a suggestion, never ignored: a misspelt limit is no limit.

Layer 0: standard library, pydantic and platformdirs.
"""

from __future__ import annotations

from bridge.config.keys import KEY_BYTES, Key, load_key
from bridge.config.loading import CONFIG_NAME, default_config_path, load, problems
from bridge.config.settings import (
    JOURNAL_FILE,
    EndpointSettings,
    JournalSettings,
    LimitSettings,
    RelaySettings,
    SessionSettings,
    Settings,
    TerminalSettings,
    TickSettings,
    TradingSettings,
    split_endpoint,
)
from bridge.config.template import Initialised, init_config, settings_table, toml_text

__all__ = [
    "CONFIG_NAME",
    "JOURNAL_FILE",
    "KEY_BYTES",
    "EndpointSettings",
    "Initialised",
    "JournalSettings",
    "Key",
    "LimitSettings",
    "RelaySettings",
    "SessionSettings",
    "Settings",
    "TerminalSettings",
    "TickSettings",
    "TradingSettings",
    "default_config_path",
    "init_config",
    "load",
    "load_key",
    "problems",
    "settings_table",
    "split_endpoint",
    "toml_text",
]
