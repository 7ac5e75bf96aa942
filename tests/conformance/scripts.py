"""Where the conformance scripts are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "all_paths", "name_of"]

FOLDER: Final = Path(__file__).resolve().parent


def all_paths() -> list[Path]:
    """
    Return the files of all scripts, by group and name.
    """
    return sorted(FOLDER.glob("*/*.txt"))


def name_of(path: Path) -> str:
    """
    Return group and name.
    """
    return f"{path.parent.name}/{path.stem}"
