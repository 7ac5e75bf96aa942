"""The settings as a flat list, for those who read or describe them one by one.

A key is a tuple of names: ``("ticks", "resume_max_age_s")``, and for a terminal
``("terminals", "demo", "login")``. In ``FIELDS`` the alias is left out.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from bridge.config.settings import Settings, TerminalSettings

__all__ = [
    "FIELDS",
    "SECTIONS",
    "TERMINALS",
    "dotted",
    "environment_name",
    "field_of",
    "types_of",
]

TERMINALS: Final = "terminals"
_TERMINAL_KEY_PARTS = 3


def _section_models() -> dict[str, type[BaseModel]]:
    models: dict[str, type[BaseModel]] = {}
    for name, field in Settings.model_fields.items():
        kind = field.annotation
        # The one section that is no model is the mapping from alias to terminal.
        models[name] = TerminalSettings
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            models[name] = kind
    return models


#: Section name to its model, in the order of the file.
SECTIONS: Final[Mapping[str, type[BaseModel]]] = _section_models()

#: (section, name) to the field, in the order of the file.
FIELDS: Final[Mapping[tuple[str, str], FieldInfo]] = {
    (section, name): field
    for section, model in SECTIONS.items()
    for name, field in model.model_fields.items()
}


def field_of(key: tuple[str, ...]) -> FieldInfo | None:
    """
    Return the field of a key, or ``None`` when there is none.
    """
    if key[:1] == (TERMINALS,):
        return FIELDS.get((TERMINALS, key[2])) if len(key) == _TERMINAL_KEY_PARTS else None
    return FIELDS.get((key[0], key[1])) if len(key) == _TERMINAL_KEY_PARTS - 1 else None


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
    return "_".join(("BRIDGE", *key)).upper().replace("-", "_")
