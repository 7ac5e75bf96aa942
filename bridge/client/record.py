"""The base of what the client's calls return."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Model"]


class Model(BaseModel):
    """
    Frozen, and open for fields of a newer relay, which can be read as attributes.
    """

    model_config = ConfigDict(extra="allow", frozen=True)
