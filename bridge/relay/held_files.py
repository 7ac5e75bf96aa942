"""Replacing and removing files while others may have them open.

On Windows neither works as long as somebody reads the file: a virus scanner after it was
written, or ``bridge status``, which looks into ``control.json``. Both are done in a moment.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

from bridge.logs import get_logger

__all__ = ["remove_file", "replace_file"]

log = get_logger(__name__)

_TRIES: Final = 20
_PAUSE_S: Final = 0.05


def replace_file(temporary: Path, path: Path) -> None:
    """
    Put ``temporary`` in the place of ``path``; wait up to a second for whoever reads that.

    Raises:
        OSError: it cannot be replaced.
    """
    for attempt in range(_TRIES):
        try:
            temporary.replace(path)
        except PermissionError:
            if attempt == _TRIES - 1:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def remove_file(path: Path) -> None:
    """
    Remove a file that is of no use any more; wait up to a second for whoever reads it.

    What cannot be removed then stays, which the log tells.
    """
    for _attempt in range(_TRIES):
        try:
            path.unlink(missing_ok=True)
        except PermissionError as error:
            reason = error.strerror
            time.sleep(_PAUSE_S)
        else:
            return
    log.warning("a file cannot be removed", file=str(path), reason=reason)
