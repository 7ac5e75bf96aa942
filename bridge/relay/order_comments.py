"""Comments: the broker has the tag of an order, its user wants his own words back."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any, Final, NamedTuple

from bridge.exceptions import JournalError
from bridge.journal import Journal
from bridge.logs import get_logger
from bridge.model.trade import TAG_PREFIX

__all__ = ["OrderComments"]

log = get_logger(__name__)

_CACHED_MAX: Final = 4_096


class _Words(NamedTuple):
    command_id: str
    comment: str


class OrderComments:
    """
    Puts comments back into what a terminal tells of orders, deals and positions.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._cached: OrderedDict[str, _Words] = OrderedDict()
        self._failed = False

    def put_back(self, record: dict[str, Any]) -> dict[str, Any]:
        """
        Return the record with ``tag`` (the broker's comment), the user's ``comment`` where the
        journal has it, and ``command_id``, ``""`` where it is no command of ours.
        """
        tag = record.get("comment", "")
        words = self._find(tag) if isinstance(tag, str) and tag.startswith(TAG_PREFIX) else None
        if words is None:
            return {**record, "tag": tag, "command_id": ""}
        return {**record, "comment": words.comment, "tag": tag, "command_id": words.command_id}

    def _find(self, tag: str) -> _Words | None:
        words = self._cached.get(tag)
        if words is None:
            try:
                entry = self._journal.find_by_tag(tag)
            except JournalError as error:
                # The broker's own is true, too. Said once: every position may have a tag.
                if not self._failed:
                    self._failed = True
                    log.warning("the journal cannot be read", tag=tag, reason=str(error))
                return None
            if entry is None:
                return None
            words = self._cached[tag] = _Words(entry.command_id, entry.comment)
            if len(self._cached) > _CACHED_MAX:
                self._cached.popitem(last=False)
        return words
