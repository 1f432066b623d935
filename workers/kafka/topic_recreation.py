"""Finds positions that belong to an earlier topic of the same name."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping

from confluent_kafka import TopicPartition

from workers.types import Partition

#: Seconds between two requests for the topic id. They are needed only if the client does not report a
#: change, for example because a later version words it differently. 288 requests a day leave 59 kB in
#: memory.
ASK_EVERY_S = 300.0

#: Prefix of the metadata of an offset that Tower commits. Other tools may write any other text there.
ID_PREFIX = "topic-id="

#: The reason shown to an operator.
RECREATED = "the topic was deleted and created again under the same name"


class TopicRecreation:
    """Stores each partition's position together with the id of its topic.

    If the topic is deleted and created again, Kafka's client continues at the old position in the new topic
    and so skips the records before it. The client reports the new id before it returns the first message of
    the new topic. Without that report, the next request for the id finds the change, or the next assignment
    does by the id that was committed.

    Args:
        ask: Returns the current ids of topics by name; an id is empty if the topic has none. None if the
            brokers do not answer.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        ask: Callable[[Collection[str]], Mapping[str, str] | None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._ids: dict[Partition, str | None] = {}
        self._current: dict[str, str] = {}
        self._asked_at = float("-inf")
        self._is_known = False

    def refresh(self, topics: Iterable[str] = ()) -> bool:
        """Ask for the current ids. Return False if Kafka does not answer.

        Args:
            topics: Topics of which no partition was added yet.
        """
        self._asked_at = self._clock()
        topic_ids = self._ask({*topics, *(partition.topic for partition in self._ids)})
        if topic_ids is None:
            return False
        self._current |= topic_ids
        self._is_known = True
        return True

    def change(self, topic: str, topic_id: str) -> None:
        """Store the new id of a topic that the client reports."""
        self._current[topic] = topic_id

    def add(self, starts: Iterable[TopicPartition], refreshed: bool) -> None:
        """Add assigned partitions with the offsets the group has committed.

        Args:
            starts: The offsets, with the metadata they were committed with.
            refreshed: Whether a `refresh` before the request for these offsets was answered.
        """
        for start in starts:
            # An offset that another tool committed counts as one of the current topic.
            committed = _id_in(start.metadata) if start.offset >= 0 else None
            current = self._current.get(start.topic) if refreshed else None
            self._ids[Partition(start.topic, start.partition)] = committed or current or None
        self._is_known = refreshed

    def remove(self, partitions: Iterable[Partition]) -> None:
        """Remove partitions that are given up or stopped."""
        for partition in partitions:
            self._ids.pop(partition, None)

    def is_unchanged(self, any_messages: bool) -> bool:
        """Return whether the messages just consumed belong to the topic of the positions.

        This may ask Kafka. If it is False, do not use the messages: those of `stale` partitions never, the
        others after a seek back to their positions.

        Args:
            any_messages: Whether any messages were consumed.
        """
        due = (any_messages and not self._is_known) or self._clock() - self._asked_at > ASK_EVERY_S
        if due and self._ids:
            answered = self.refresh()
            if not self._is_known or (answered and self._fill_missing_ids()):
                return False
        return not self.stale

    @property
    def stale(self) -> set[Partition]:
        """Partitions whose position belongs to an earlier topic."""
        return {
            partition
            for partition, topic_id in self._ids.items()
            if topic_id and (current := self._current.get(partition.topic)) and topic_id != current
        }

    @property
    def metadata(self) -> dict[Partition, str]:
        """What to commit with an offset, for each partition whose topic id is known."""
        return {partition: ID_PREFIX + topic_id for partition, topic_id in self._ids.items() if topic_id}

    def _fill_missing_ids(self) -> bool:
        """Give partitions without an id the current one. Return True if there were any.

        Messages consumed before may be of another topic.
        """
        missing = {
            partition: current
            for partition, topic_id in self._ids.items()
            if topic_id is None and (current := self._current.get(partition.topic))
        }
        self._ids |= missing
        return bool(missing)


def _id_in(metadata: str | None) -> str | None:
    return metadata.removeprefix(ID_PREFIX) if metadata and metadata.startswith(ID_PREFIX) else None
