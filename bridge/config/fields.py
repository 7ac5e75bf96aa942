"""The settings as a flat list, for those who read or describe them one by one.

A key is a tuple of names: ``("ticks", "resume_max_age_s")``, and for a terminal
``("terminals", "demo", "login")`` or ``("terminals", "demo", "trading", "enabled")``.
In ``FIELDS`` the alias is left out, and a section is one name: ``"terminals.trading"``.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bridge.config.settings import Settings, TerminalSettings, TradingSettings

__all__ = [
    "FIELDS",
    "SECTIONS",
    "TERMINALS",
    "TRADING",
    "dotted",
    "environment_name",
    "field_of",
    "section_of",
    "types_of",
]

TERMINALS: Final = "terminals"
#: The section below each terminal's own.
TRADING: Final = "terminals.trading"


def _section_models() -> dict[str, type[BaseModel]]:
    models: dict[str, type[BaseModel]] = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            models[name] = kind
        else:
            # The one section that is no model is the mapping from alias to terminal.
            models[name] = TerminalSettings
            models[TRADING] = TradingSettings
    return models


#: Section name to its model, in the order of the file.
SECTIONS: Final[Mapping[str, type[BaseModel]]] = _section_models()

#: (section, name) to the field, in the order of the file.
FIELDS: Final[Mapping[tuple[str, str], FieldInfo]] = {
    (section, name): field
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
    # A section below a section has fields of its own.
    if field.annotation is not TradingSettings
}


def field_of(key: tuple[str, ...]) -> FieldInfo | None:
    """
    Return the field of a key, or ``None`` when there is none.
    """
    section = section_of(key)
    return None if section is None else FIELDS.get((section, key[-1]))


def section_of(key: tuple[str, ...]) -> str | None:
    """
    Return the section that a key of its length belongs to, whether or not it is in it.
    """
    if key[:1] != (TERMINALS,):
        return key[0] if len(key) == 2 else None
    if len(key) == 3:
        return TERMINALS
    return TRADING if len(key) == 4 and key[2] == "trading" else None


def types_of(field: FieldInfo) -> tuple[object, ...]:
    """
    Return the types a field takes: one, or the members of its union.
    """
    kind = field.annotation
    return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def dotted(key: tuple[str, ...]) -> str:
    """
    Return a key as it is written in messages: ``ticks.resume_max_age_s``.
    """
    return ".".join(key)


def environment_name(key: tuple[str, ...]) -> str:
    """
    Return the environment variable of a key: ``BRIDGE_TICKS_RESUME_MAX_AGE_S``.
    """
    return "_".join(("BRIDGE", *key)).upper().replace("-", "_").replace(".", "_")
