"""From file, environment and command line to checked settings.

Every value remembers where it came from, so that an error names the file, the
variable or the flag that has to change, and the dotted key in it.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import platformdirs
from pydantic import ValidationError

from bridge.config.explaining import explained, suggestion
from bridge.config.fields import (
    FIELDS,
    SECTIONS,
    TERMINALS,
    TRADING,
    environment_name,
    field_of,
    types_of,
)
from bridge.config.settings import DATA_FOLDER, KEYS_FOLDER, LOG_FOLDER, Settings
from bridge.exceptions import ConfigError

__all__ = ["CONFIG_NAME", "default_config_path", "load", "problems"]

CONFIG_NAME: Final = "bridge.toml"

_HOME = "BRIDGE_HOME"
_CONFIG = "BRIDGE_CONFIG"
_COMMAND_LINE = "command line"
#: Names that users expect beside the full ones, which win.
_SHORT_NAMES = {"BRIDGE_LOG_LEVEL": ("relay", "log_level")}
_TRUTH = {"true": True, "1": True, "false": False, "0": False}
#: The configuration of a thousand terminals has 100 KiB.
_MAX_FILE_BYTES = 1024 * 1024


@dataclasses.dataclass(frozen=True, slots=True)
class _Value:
    value: object
    source: str
    #: A relative path starts here: at the file's folder, or where the shell is.
    base: Path


_Values = dict[tuple[str, ...], _Value]


def default_config_path(env: Mapping[str, str] | None = None) -> Path:
    """
    Return where the configuration is looked for when none is named.

    That is ``BRIDGE_CONFIG``, else ``bridge.toml`` in ``BRIDGE_HOME``, else in the
    folder that the platform has for the configuration of this user.

    Raises:
        ConfigError: the variable begins with ``~`` and there is no such user.
    """
    env = os.environ if env is None else env
    if env.get(_CONFIG):
        return _absolute(env[_CONFIG], _CONFIG)
    if env.get(_HOME):
        return _absolute(env[_HOME], _HOME) / CONFIG_NAME
    return Path(platformdirs.user_config_dir("bridge", appauthor=False, roaming=True)) / CONFIG_NAME


def load(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> Settings:
    """
    Return the settings out of file, environment and overrides, each above the former.

    Args:
        path: The TOML file. Without it ``default_config_path(env)`` is read, and need
            not exist unless ``BRIDGE_CONFIG`` names it.
        env: The environment, ``os.environ`` by default. ``BRIDGE_HOME`` (``--home`` on
            the command line: add it here) puts data, logs and keys below one folder.
        overrides: From dotted name to value, as ``{"endpoints.request": "tcp://…"}``.
            Text is converted to the type of the setting, ``None`` is skipped.

    Raises:
        ConfigError: the first of ``problems()``.
    """
    settings, found = _load(path, env, overrides)
    if found or settings is None:
        raise found[0]
    return settings


def problems(
    path: Path | None = None,
    env: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> list[ConfigError]:
    """
    Return everything that keeps these sources from being loaded, for ``config check``.
    """
    try:
        return _load(path, env, overrides)[1]
    except ConfigError as error:
        return [error]


def _load(
    path: Path | None, env: Mapping[str, str] | None, overrides: Mapping[str, object] | None
) -> tuple[Settings | None, list[ConfigError]]:
    env = os.environ if env is None else env
    file = default_config_path(env) if path is None else _absolute(path, _COMMAND_LINE)
    must_exist = path is not None or bool(env.get(_CONFIG))
    found: list[ConfigError] = []
    values: _Values = {}
    if must_exist or file.exists():
        values |= _from_table(_read_toml(file), (), str(file), file.parent)
    values |= _from_environment(env, _aliases(values), found)
    values |= _from_overrides(overrides or {})
    values = _defaults(values, env, file) | values
    try:
        settings = Settings.model_validate(_as_tables(values))
    except ValidationError as error:
        sources = {key: value.source for key, value in values.items()}
        return None, [*found, *explained(error, sources, str(file))]
    return settings, found


# Sources ------------------------------------------------------------------------------


def _read_toml(file: Path) -> dict[str, Any]:
    source = str(file)
    try:
        with file.open("rb") as stream:
            content = stream.read(_MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(
            "the file does not exist", source=source, hint="'bridge init' writes one"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"the file cannot be read: {reason}", source=source) from error
    if len(content) > _MAX_FILE_BYTES:
        raise ConfigError(f"the file has more than {_MAX_FILE_BYTES} bytes", source=source)
    try:
        # Notepad writes a byte order mark, which TOML does not know.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigError(
            "the file is not UTF-8", source=source, hint="save it with the encoding UTF-8"
        ) from None
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        problem = str(error)
        hint = "put Windows paths into 'single quotes'" if "\\" in text else ""
        raise ConfigError(problem[:1].lower() + problem[1:], source=source, hint=hint) from None


def _from_table(
    table: Mapping[str, Any], above: tuple[str, ...], source: str, base: Path
) -> _Values:
    values: _Values = {}
    for name, value in table.items():
        key = (*above, name)
        # Only as deep as sections go: what is below them is a value, right or wrong.
        if isinstance(value, dict) and key in {(TERMINALS,), *((name,) for name in SECTIONS)}:
            values |= _from_table(value, key, source, base)
        elif isinstance(value, dict) and (above == (TERMINALS,) or _is_trading(key)):
            # The section may be empty and still names a terminal.
            values[key] = _Value({}, source, base)
            values |= _from_table(value, key, source, base)
        else:
            values[key] = _Value(value, source, base)
    return values


def _is_trading(key: tuple[str, ...]) -> bool:
    return len(key) == 3 and f"{key[0]}.{key[2]}" == TRADING


def _from_environment(
    env: Mapping[str, str], aliases: Iterable[str], found: list[ConfigError]
) -> _Values:
    known = {environment_name(key): key for key in FIELDS if key[0] not in {TERMINALS, TRADING}}
    sections = tuple(environment_name((section, "")) for section in SECTIONS)
    values: _Values = {}
    for name, text in env.items():
        key = _SHORT_NAMES.get(name) or known.get(name) or _terminal_key(name, aliases)
        # An empty variable is how compose files and shells say "not set".
        if not text or (name in _SHORT_NAMES and env.get(environment_name(key or ()))):
            continue
        if key is not None:
            values[key] = _Value(_converted(key, text), name, Path.cwd())
        elif name.startswith(sections):
            hint = suggestion(name, known)
            found.append(ConfigError("unknown environment variable", source=name, hint=hint))
    return values


def _terminal_key(name: str, aliases: Iterable[str]) -> tuple[str, ...] | None:
    # BRIDGE_TERMINALS_FTMO_1_DEMO_ONLY: the end is the known name, the rest the alias.
    # A variable cannot hold "-": an alias of the file that differs only there is meant.
    start = environment_name((TERMINALS, ""))
    for section, field in FIELDS:
        # Where the alias stands between: ("terminals", alias, "trading", "enabled").
        first, *below = section.split(".")
        end = "_".join(("", *below, field)).upper()
        if first == TERMINALS and name.startswith(start) and name.endswith(end):
            alias = name[len(start) : -len(end)]
            if alias:
                same = [one for one in aliases if environment_name((one,)) == f"BRIDGE_{alias}"]
                return (TERMINALS, same[0] if same else alias.lower(), *below, field)
    return None


def _from_overrides(overrides: Mapping[str, object]) -> _Values:
    values: _Values = {}
    for name, value in overrides.items():
        if value is not None:
            key = tuple(name.split("."))
            values[key] = _Value(_converted(key, value), _COMMAND_LINE, Path.cwd())
    return values


def _converted(key: tuple[str, ...], value: object) -> object:
    # Text that does not convert is passed on: validation says what it should have been.
    field = field_of(key)
    if field is None or not isinstance(value, str):
        return value
    kinds = types_of(field)
    if typing.get_origin(kinds[0]) is tuple:
        return tuple(part.strip() for part in value.split(",") if part.strip())
    if bool in kinds:
        return _TRUTH.get(value.strip().lower(), value)
    for kind in (int, float):
        if kind in kinds:
            try:
                return kind(value)
            except ValueError:
                return value
    return value


def _defaults(values: _Values, env: Mapping[str, str], file: Path) -> _Values:
    # The defaults that depend on where things are; the others stand in the model.
    home = _absolute(env[_HOME], _HOME) if env.get(_HOME) else None
    folder = home or file.parent
    defaults: _Values = {}
    if home is not None:
        for name, below in (("data_dir", DATA_FOLDER), ("log_dir", LOG_FOLDER)):
            defaults["relay", name] = _Value(home / below, _HOME, home)
    for alias in _aliases(values):
        key_file = folder / KEYS_FOLDER / f"{alias}.key"
        defaults[TERMINALS, alias, "key_file"] = _Value(key_file, str(file), folder)
    return defaults


def _aliases(values: _Values) -> list[str]:
    return list(dict.fromkeys(key[1] for key in values if key[0] == TERMINALS and len(key) > 1))


# Together -----------------------------------------------------------------------------


def _as_tables(values: _Values) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    # Shorter keys first: a section is there before what is in it.
    for key in sorted(values, key=len):
        table = tables
        for name in key[:-1]:
            table = table.setdefault(name, {})
            if not isinstance(table, dict):
                # "relay = 5": validation reports that, whatever else was set below.
                break
        else:
            value = _resolved(key, values[key])
            # Sections are filled below; what the caller gave is not ours to change.
            table[key[-1]] = dict(value) if isinstance(value, dict) else value
    return tables


def _resolved(key: tuple[str, ...], given: _Value) -> object:
    field = field_of(key)
    value = given.value
    is_path = field is not None and Path in types_of(field)
    if is_path and isinstance(value, str | Path) and str(value):
        return _absolute(value, given.source, given.base)
    return value


def _absolute(path: Path | str, source: str, base: Path | None = None) -> Path:
    try:
        expanded = Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{path}: {error}", source=source) from None
    # Not resolve(): it follows links, and the user knows the folder by its link.
    return Path(os.path.abspath((base or Path.cwd()) / expanded))  # noqa: PTH100 - as said above
