"""What is made from the settings: the commented file, the first keys, the tables."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bridge.config.fields import FIELDS, SECTIONS, TERMINALS, TRADING, types_of
from bridge.config.keys import Key, write_key
from bridge.config.loading import CONFIG_NAME
from bridge.config.settings import ALIAS_PATTERN, KEYS_FOLDER
from bridge.exceptions import ConfigError

__all__ = ["Initialised", "init_config", "settings_table", "toml_text"]

_HEAD: Final = """\
# Settings of mt5-zmq-bridge.
#
# A line "#name = value" shows a default: remove the "#" and change the value.
# A name that is not known is an error; "bridge config check" tells what is wrong.
# The environment is above this file (BRIDGE_TICKS_RESUME_MAX_AGE_S=3600), the flags of
# the command line are above both. Relative paths start at the folder of this file.
# Write Windows paths in 'single quotes'.
"""
_WIDTH: Final = 92
_KIB: Final = 1024
_UNITS: Final = (("GiB", _KIB**3), ("MiB", _KIB**2), ("KiB", _KIB))
#: Where the type ends, not the setting.
_MAX_INTEGER: Final = 2**63 - 1
#: From here on digits are grouped: 65_536.
_LONG_NUMBER: Final = 10_000


@dataclasses.dataclass(frozen=True, slots=True)
class Initialised:
    """
    What ``init_config`` did.

    ``written`` are the files it made; ``kept`` those that were there and stay as they
    are; ``unlisted`` the aliases that a kept configuration does not name: the user has
    to add a section ``[terminals.<alias>]`` for each.
    """

    config_file: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    unlisted: tuple[str, ...]


def init_config(directory: Path, aliases: Sequence[str], *, force: bool = False) -> Initialised:
    """
    Write ``bridge.toml`` and ``keys/<alias>.key`` for each alias below ``directory``.

    What exists is kept, so that a second call adds a terminal and breaks none. With
    ``force`` all is written anew: terminals that hold an old key are refused then.

    Raises:
        ConfigError: an alias is malformed or given twice, or a file cannot be written.
    """
    _check_aliases(aliases)
    config_file = directory / CONFIG_NAME
    written: list[Path] = []
    kept: list[Path] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        # Keys first: a configuration never names a key that is not there yet.
        for alias in aliases:
            path = directory / KEYS_FOLDER / f"{alias}.key"
            if path.exists() and not force:
                kept.append(path)
            else:
                write_key(path, Key.generate(), force=force)
                written.append(path)
        if config_file.exists() and not force:
            kept.append(config_file)
        else:
            _write_whole(config_file, toml_text(aliases))
            written.append(config_file)
        listed = _listed(config_file)
    except OSError as error:
        reason = error.strerror or str(error)
        source = str(error.filename or directory)
        raise ConfigError(f"cannot be written: {reason}", source=source) from error
    unlisted = tuple(alias for alias in aliases if alias not in listed)
    return Initialised(config_file, tuple(written), tuple(kept), unlisted)


def toml_text(aliases: Sequence[str] = ()) -> str:
    """
    Return a configuration with every setting, its meaning and its default as comments.
    """
    blocks = [_HEAD]
    for section in SECTIONS:
        if section == TERMINALS:
            for alias in aliases or ("demo",):
                # Without a terminal its sections are there as an example, commented out.
                mark = "" if aliases else "#"
                blocks.append(_section_text(TERMINALS, alias, mark=mark))
                blocks.append(_section_text(TRADING, alias, mark=mark))
        elif section != TRADING:
            blocks.append(_section_text(section))
    return "\n".join(blocks)


def settings_table() -> str:
    """
    Return the tables of ``docs/reference/configuration.md``, one for each section.
    """
    blocks = []
    for section, model in SECTIONS.items():
        title = _title(section, "<alias>")
        lines = [
            f"### `[{title}]`",
            "",
            _sentence(model.__doc__),
            "",
            "| Setting | Type | Default | Limits | Meaning |",
            "|---|---|---|---|---|",
        ]
        for name, field in _fields(section):
            cells = (f"`{name}`", _type_name(field), _default_cell(field), _limits(name, field))
            lines.append(f"| {' | '.join(cells)} | {field.description} |")
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)


# Files --------------------------------------------------------------------------------


def _check_aliases(aliases: Sequence[str]) -> None:
    for alias in aliases:
        if not re.fullmatch(ALIAS_PATTERN, alias):
            hint = f"an alias matches {ALIAS_PATTERN}, as ftmo1 does"
            raise ConfigError(f"{alias!r} is no alias", hint=hint)
        if aliases.count(alias) > 1:
            raise ConfigError(f"the alias {alias} is given twice")


def _write_whole(path: Path, text: str) -> None:
    # In one step: a crash leaves the old file or the new one, never half of one.
    new = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    new.write_text(text, encoding="utf-8", newline="\n")
    new.replace(path)


def _listed(path: Path) -> frozenset[str]:
    # A kept file may be broken; then nothing is known to be listed, and "config check"
    # tells why.
    try:
        terminals = tomllib.loads(path.read_text(encoding="utf-8-sig")).get(TERMINALS)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return frozenset()
    return frozenset(terminals) if isinstance(terminals, dict) else frozenset()


# Texts --------------------------------------------------------------------------------


def _fields(section: str) -> Iterator[tuple[str, FieldInfo]]:
    return ((name, field) for (of, name), field in FIELDS.items() if of == section)


def _title(section: str, alias: str) -> str:
    first, *below = section.split(".")
    return ".".join((first, alias, *below)) if first == TERMINALS else section


def _section_text(section: str, alias: str = "", *, mark: str = "") -> str:
    about = _comment(_sentence(SECTIONS[section].__doc__))
    return f"{about}{mark}[{_title(section, alias)}]\n\n{_settings_text(section, alias)}"


def _settings_text(section: str, alias: str = "") -> str:
    blocks = []
    for name, field in _fields(section):
        notes = [note for note in (_default_note(field), _limits(name, field)) if note]
        about = f"{field.description} ({'; '.join(notes)})" if notes else f"{field.description}"
        about = _comment(about.replace("<alias>", alias))
        example = _toml_example(name, field).replace("<alias>", alias)
        blocks.append(f"{about}#{name} = {example}\n")
    return "\n".join(blocks)


def _comment(text: str) -> str:
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + len(word) < _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"# {word}")
    return "\n".join(lines) + "\n"


def _sentence(docstring: str | None) -> str:
    return " ".join((docstring or "").split())


def _toml_example(name: str, field: FieldInfo) -> str:
    # What has no fixed default shows what a value looks like.
    examples = {
        "data_dir": '"data"',
        "log_dir": '"logs"',
        "key_file": f'"{KEYS_FOLDER}/<alias>.key"',
        "login": "12345678",
        "server": '"Broker-Demo"',
    }
    return examples.get(name) or _literal(field.default)


def _literal(value: object) -> str:
    # Numbers, booleans and plain strings of JSON are those of TOML, which also groups digits.
    if type(value) is int and value >= _LONG_NUMBER:
        return f"{value:_}"
    return json.dumps(value)


def _default_note(field: FieldInfo) -> str:
    note = _special_default(field)
    if note:
        return f"default: {note.replace('`', '')}"
    return "" if field.default is not None else "default: not set"


def _default_cell(field: FieldInfo) -> str:
    special = _special_default(field)
    if special:
        return special
    return "not set" if field.default is None else f"`{_literal(field.default)}`"


def _special_default(field: FieldInfo) -> str:
    extra = field.json_schema_extra
    return str(extra.get("default_text", "")) if isinstance(extra, dict) else ""


def _type_name(field: FieldInfo) -> str:
    kinds = types_of(field)
    if get_origin(kinds[0]) is tuple:
        return "list of text"
    if get_origin(kinds[0]) is Literal:
        return " ".join(f"`{value}`" for value in get_args(kinds[0]))
    names = {bool: "true or false", int: "integer", float: "number", Path: "path", str: "text"}
    return next(name for kind, name in names.items() if kind in kinds)


def _limits(name: str, field: FieldInfo) -> str:
    low = high = None
    for rule in field.metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    if low is None or high is None:
        return ""
    if high == _MAX_INTEGER:
        return f"from {_amount(low)}"
    units = _UNITS if "_bytes" in name else ()
    return f"{_amount(low, units)} to {_amount(high, units)}"


def _amount(value: float, units: Sequence[tuple[str, int]] = ()) -> str:
    for unit, size in units:
        if value >= size and value % size == 0:
            return f"{value // size} {unit}"
    return f"{value:_}"
