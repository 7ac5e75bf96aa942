"""What a stream is subscribed to: exact topics, prefixes, and what prefixes discover. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from bridge.bus.topics import RELAY, exact, parse_topic
from bridge.client.core import Budget, Item, StreamStats, Topic, TopicInfo
from bridge.exceptions import InvalidRequest

__all__ = ["Subscriptions", "TooManyTopics", "sort_topics"]

#: What a prefix may discover.
TOPICS_MAX: Final = 10_000
#: Messages that wait behind a hole: of one topic, and the bytes of all.
_PENDING_MAX: Final = 10_000
_PENDING_BYTES: Final = 32 * 1024 * 1024


class TooManyTopics(InvalidRequest):
    """
    More topics than a stream can watch begin with its prefixes.
    """


def sort_topics(names: Iterable[str]) -> tuple[list[str], list[str]]:
    """
    Return exact topics and prefixes among ``names``, each once.

    A name that ends with ``*`` or ``/`` is a prefix (``tick/demo/``, ``tick/demo/EUR*``,
    ``*`` for everything). Everything else is one topic.

    Raises:
        InvalidRequest: no names, or one that is neither.
    """
    topics: dict[str, None] = {}
    prefixes: dict[str, None] = {}
    for name in names:
        if not isinstance(name, str) or "\0" in name:
            raise InvalidRequest(f"{name!r} is not a topic", field="topics")
        parsed = parse_topic(name)
        if name.endswith("*"):
            prefixes[name[:-1]] = None
        elif parsed is not None and parsed.kind != "sync":
            topics[name] = None
        elif name.endswith("/"):
            prefixes[name] = None
        else:
            raise InvalidRequest(
                f"{name!r} is not a topic",
                field="topics",
                hint="for example tick/demo/EURUSD, or tick/demo/* for a prefix",
            )
    if not topics and not prefixes:
        raise InvalidRequest("no topics", field="topics", hint="name at least one, or '*'")
    return list(topics), list(prefixes)


class Subscriptions:
    """
    The topics of one stream, by the bytes of their names.

    ``relay`` is watched by every stream and is not among ``topics``; ``relay_wanted`` tells
    whether the user asked for it as well.

    Raises:
        InvalidRequest: a name is neither a topic nor a prefix.
    """

    def __init__(self, names: Iterable[str], items: list[Item], stats: StreamStats) -> None:
        exact_names, prefixes = sort_topics(names)
        self.topics: dict[bytes, Topic] = {}
        self._prefixes = [prefix.encode() for prefix in prefixes]
        self._items = items
        self.stats = stats
        self._budget = Budget(_PENDING_BYTES)
        self.relay_wanted = RELAY in exact_names or self._begins(RELAY.encode())
        for name in exact_names:
            if name != RELAY:
                self._add(name)
        self.filters: list[bytes] = [
            *(exact(topic.info.name) for topic in self.topics.values()),
            *self._prefixes,
            exact(RELAY),
        ]

    def __iter__(self) -> Iterator[Topic]:
        return iter(self.topics.values())

    def find(self, name: str) -> Topic | None:
        """
        Return the topic of this name, if it is one of ours.
        """
        return self.topics.get(name.encode(errors="replace"))

    def discover(self, name: bytes) -> Topic | None:
        """
        Return a new topic if ``name`` begins with one of the prefixes, else ``None``.

        Raises:
            TooManyTopics: there are ``TOPICS_MAX`` already.
        """
        if not self._begins(name):
            return None
        try:
            text = name.decode()
        except UnicodeDecodeError:
            self.stats.malformed += 1
            return None
        if len(self.topics) >= TOPICS_MAX:
            raise TooManyTopics(
                f"more than {TOPICS_MAX} topics begin with one of the prefixes",
                field="topics",
                hint="ask for fewer in one stream",
            )
        return self._add(text)

    def _begins(self, name: bytes) -> bool:
        return any(name.startswith(prefix) for prefix in self._prefixes)

    def _add(self, name: str) -> Topic:
        parsed = parse_topic(name)
        info = (
            TopicInfo(name, "", "", "")
            if parsed is None
            else TopicInfo(name, parsed.kind, parsed.alias, parsed.symbol)
        )
        topic = Topic(info, self._items, self.stats, self._budget, _PENDING_MAX)
        self.topics[name.encode()] = topic
        return topic
