"""Converts each message by the route of its topic."""

from collections import Counter
from collections.abc import Callable, Sequence

from workers.batch import Batch
from workers.config.route import Route
from workers.errors import SettingsError
from workers.records.cardinality import Cardinality
from workers.records.converter import Converter, never
from workers.records.crash_record import CrashRecord
from workers.records.encoder import Encoder
from workers.types import Message, Partition

#: Most converters in memory, each with caches of its own. A pattern may match any number of topics, so the
#: one that was not used for longest goes first.
KEPT = 64


class Router:
    """Fills a batch from consumed messages, each by the route of its topic.

    Each topic has a converter of its own, because the measurement and the tags may hold its name.

    Args:
        routes: All routes. The first one that matches a topic counts.
        native: Convert common records in the C kernel if it is built.
        crash_record: Remembers which record is being converted; None if nobody would read it.
    """

    def __init__(
        self, routes: Sequence[Route], native: bool = True, crash_record: CrashRecord | None = None
    ) -> None:
        self._routes = routes
        self._native = native
        self._crash_record = crash_record
        self._by_partition = any(route.partition_tag for route in routes)
        self._converters: dict[Partition, Converter] = {}
        #: One for all routes: the limits are those of the worker.
        self._cardinality = Cardinality(routes[0].limits)
        unused = routes[0].for_partition("", 0)
        #: Counts of converters that are no longer in memory; each name from the start.
        self._removed = Counter(Converter(unused, Encoder(unused), native=False).counts)
        names = [topic for route in routes for topic in route.topics if not topic.startswith("^")]
        for topic in names[:KEPT]:
            self._converter(Partition(topic, 0))
        # One topic is the common case: its messages need not be sorted.
        is_one = len(names) == 1 == sum(len(route.topics) for route in routes) and not self._by_partition
        self._only = self._converter(Partition(names[0], 0)) if is_one else None

    @property
    def why_not_native(self) -> str:
        """Why the kernel is not used, and what to do; empty if it is used."""
        return next(filter(None, (converter.why_not_native for converter in self._converters.values())), "")

    @property
    def counts(self) -> dict[str, int]:
        """All that was counted, by its name in the state file."""
        counts = self._removed.copy()
        counts.update(self._cardinality.counts)
        for converter in self._converters.values():
            counts.update(converter.counts)
        return dict(counts)

    def convert(
        self, messages: Sequence[Message], batch: Batch, is_full: Callable[[Batch], bool] = never
    ) -> list[Message]:
        """Add `messages` to `batch`, in their order within each partition. Return those that are left.

        Args:
            messages: Messages of any topics.
            batch: Gets the lines and dead letters.
            is_full: Whether the batch can take no more (see `Converter.convert`).

        Raises:
            SettingsError: No route matches a topic.
        """
        if self._only is not None:
            return list(self._only.convert(messages, batch, is_full))
        by_topic: dict[Partition, list[Message]] = {}
        for message in messages:
            key = Partition(message.topic(), message.partition() if self._by_partition else 0)
            if key in by_topic:
                by_topic[key].append(message)
            else:
                by_topic[key] = [message]
        left: list[Message] = []
        for key, its_messages in by_topic.items():
            left += self._converter(key).convert(its_messages, batch, is_full)
        return left

    def _converter(self, key: Partition) -> Converter:
        """Return the converter of a topic, or of a partition if its number is a tag."""
        converter = self._converters.pop(key, None)
        if converter is None:
            route = next((route for route in self._routes if route.matches(key.topic)), None)
            if route is None:
                raise SettingsError("TOWER_ROUTES", f"has no route for topic {key.topic}: add one")
            route = route.for_partition(key.topic, key.number)
            converter = Converter(
                route, Encoder(route, self._cardinality), self._native, self._crash_record
            )
            if len(self._converters) >= KEPT:
                oldest = next(iter(self._converters))
                self._removed.update(self._converters.pop(oldest).counts)
        # The dict's order is that of use.
        self._converters[key] = converter
        return converter
