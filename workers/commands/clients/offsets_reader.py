"""Reads the topics' ends and a group's committed offsets, again and again, over one client."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from workers.commands.clients.committed_offsets import CommittedOffsets
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import creation_error, reader_properties
from workers.kafka.rights import missing_right
from workers.types import Partition, PartitionKey

#: Seconds that one request may take.
REQUEST_S = 5.0

#: Seconds after which the number of partitions is read again.
PARTITIONS_S = 30.0

#: The client keeps what it fetches: with its own defaults up to 64 MB.
SMALL_FETCHES = {
    "fetch.message.max.bytes": "4096",
    "queued.min.messages": "1",
    "queued.max.messages.kbytes": "64",
    "fetch.wait.max.ms": "100",
}


@dataclass(frozen=True)
class Offsets:
    """Offsets by partition.

    Args:
        starts: The first offset that Kafka still has.
        ends: The offset that the next message will get.
        committed: The group's committed offset; partitions without one are left out.
    """

    starts: Mapping[PartitionKey, int]
    ends: Mapping[PartitionKey, int]
    committed: Mapping[PartitionKey, int]

    def next(self, key: PartitionKey) -> int:
        """Return the offset at which the group continues to read a partition."""
        return max(self.committed.get(key, 0), self.starts.get(key, 0))

    def lag(self, key: PartitionKey) -> int:
        """Return the records of a partition that the group has not committed."""
        return max(0, self.ends[key] - self.next(key))


class OffsetsReader:
    """Reads offsets without being a member of the group. It never commits.

    Not an admin client: a request to an absent coordinator damages one (see clients/coordinator.py).

    Args:
        settings: How to reach the brokers; the topics and the group.
        clock: Monotonic seconds.

    Raises:
        SettingsError: librdkafka rejects a property.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._partitions: list[Partition] = []
        self._partitions_at = float("-inf")
        self._why = ""
        quiet = logging.getLogger("tower.kafka.offsets")
        quiet.setLevel(logging.CRITICAL)
        properties = reader_properties(settings) | SMALL_FETCHES
        properties |= {"group.id": settings.group, "error_cb": self._on_error, "logger": quiet}
        try:
            self._consumer: Any = Consumer(properties)
        except KafkaException as error:
            raise creation_error(error) from None
        self._committed = CommittedOffsets(self._consumer)

    def read(self) -> Offsets:
        """Read all offsets of the group's topics.

        Raises:
            CommandError: Kafka does not answer, or there is no such topic.
        """
        group = self._settings.group
        topics = ", ".join(self._settings.topics)
        with self._described(f"DESCRIBE on topic {topics}", f"DESCRIBE on group {group}"):
            partitions = self._all_partitions()
            committed = self._committed.ask(_at(partitions, 0), REQUEST_S)
            starts = self._by_time(partitions, OFFSET_BEGINNING)
            ends = self._by_time(partitions, OFFSET_END)
        return Offsets(
            {self._name(partition): offset for partition, offset in starts.items()},
            {self._name(partition): offset for partition, offset in ends.items()},
            {self._name(_partition(answer)): answer.offset for answer in committed if answer.offset >= 0},
        )

    def bounds(self, topic: str) -> dict[Partition, tuple[int, int]]:
        """Return the first and the next offset of each partition of any topic.

        Raises:
            CommandError: Kafka does not answer, or there is no such topic.
        """
        with self._described(f"DESCRIBE on topic {topic}"):
            metadata = self._consumer.list_topics(timeout=REQUEST_S).topics.get(topic)
            if metadata is None:
                raise self._unseen(topic)
            partitions = [Partition(topic, number) for number in sorted(metadata.partitions)]
            starts = self._by_time(partitions, OFFSET_BEGINNING)
            ends = self._by_time(partitions, OFFSET_END)
        return {partition: (starts[partition], ends[partition]) for partition in partitions}

    def messages(self, partition: Partition, start: int, end: int) -> Iterator[Any]:
        """Read a range of messages, as far as `REQUEST_S` allows.

        Args:
            partition: The partition.
            start: The first offset.
            end: The offset after the last.

        Raises:
            CommandError: Kafka rejects the request.
        """
        if start >= end:
            return
        with self._described(f"READ on topic {partition.topic}"):
            self._consumer.assign(_at([partition], start))
            deadline = self._clock() + REQUEST_S
            try:
                while (left_s := deadline - self._clock()) > 0:
                    message = self._consumer.poll(left_s)
                    if message is None:
                        return
                    if (error := message.error()) is not None:
                        if error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                            return
                        raise KafkaException(error)
                    yield message
                    if message.offset() >= end - 1:
                        return
            finally:
                self._consumer.unassign()

    def time_of(self, key: PartitionKey, offset: int, end: int) -> float | None:
        """Return the time of the first message from an offset on, in seconds; None if it is unknown.

        Raises:
            CommandError: Kafka rejects the request.
        """
        (partition,) = (known for known in self._partitions if self._name(known) == key)
        for message in self.messages(partition, offset, end):
            kind, milliseconds = message.timestamp()
            return milliseconds / 1000 if kind else None
        return None

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    @contextmanager
    def _described(self, *rights: str) -> Iterator[None]:
        """Turn a client's error into one that says what to do; `rights` as for `missing_right`."""
        try:
            yield
        except KafkaException as error:
            # The reason of a failed connection comes by callback, and callbacks run in poll.
            self._consumer.poll(0)
            do = missing_right(error.args[0], *rights)
            if do:
                raise CommandError(f"Kafka rejects a request: {error.args[0].str()}", do) from None
            raise CommandError(
                f"Kafka does not answer: {self._why or error.args[0].str()}",
                "start the brokers, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
            ) from None

    def _unseen(self, topic: str) -> CommandError:
        """Return why a topic is not in the list: there is none, or this user may not see it."""
        # A consumer that asks for one topic lets no broker create it (allow.auto.create.topics).
        metadata = self._consumer.list_topics(topic, timeout=REQUEST_S).topics.get(topic)
        if metadata is not None and metadata.error is not None:
            do = missing_right(metadata.error, f"DESCRIBE on topic {topic}")
            if do:
                return CommandError(f"cannot look at the topic {topic}", do)
        return CommandError(f"there is no topic {topic}", "`tower provision` creates it")

    def _all_partitions(self) -> list[Partition]:
        now = self._clock()
        if now - self._partitions_at > PARTITIONS_S or not self._partitions:
            # Of all topics: asking for one by name could make a broker create it.
            topics = self._consumer.list_topics(timeout=REQUEST_S).topics
            self._partitions = [
                Partition(name, number)
                for name in sorted(topics)
                if any(route.matches(name) for route in self._settings.routes)
                for number in sorted(topics[name].partitions)
            ]
            self._partitions_at = now
            found = {partition.topic for partition in self._partitions}
            for topic in self._settings.topics:
                if topic not in found and not topic.startswith("^"):
                    raise self._unseen(topic)
        return self._partitions

    def _by_time(self, partitions: list[Partition], time_or_end: int) -> dict[Partition, int]:
        # In place of a time, Kafka takes -1 for the end and -2 for the beginning.
        answers = self._consumer.offsets_for_times(_at(partitions, time_or_end), timeout=REQUEST_S)
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {_partition(answer): answer.offset for answer in answers}

    def _name(self, partition: Partition) -> PartitionKey:
        return partition.key(self._settings.has_several_topics)

    def _on_error(self, error: Any) -> None:
        self._why = str(error.str())


def _partition(answer: TopicPartition) -> Partition:
    return Partition(answer.topic, answer.partition)


def _at(partitions: list[Partition], offset: int) -> list[TopicPartition]:
    return [TopicPartition(partition.topic, partition.number, offset) for partition in partitions]
