"""Reads a topic's ends and a group's committed offsets, again and again, over one client."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, OFFSET_END, Consumer, KafkaException, TopicPartition

from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import reader_properties, settings_error

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
    """Offsets of one topic, by partition.

    Args:
        starts: The first offset that Kafka still has.
        ends: The offset that the next message will get.
        committed: The group's committed offset; partitions without one are left out.
    """

    starts: Mapping[int, int]
    ends: Mapping[int, int]
    committed: Mapping[int, int]

    def next(self, number: int) -> int:
        """Return the offset at which the group continues to read a partition."""
        return max(self.committed.get(number, 0), self.starts.get(number, 0))

    def lag(self, number: int) -> int:
        """Return the records of a partition that the group has not committed."""
        return max(0, self.ends[number] - self.next(number))


class OffsetsReader:
    """Reads offsets without being a member of the group. It never commits.

    Not an admin client: a request to an absent coordinator damages one (see clients/coordinator.py).

    Args:
        settings: How to reach the brokers; the topic and the group.
        clock: Monotonic seconds.

    Raises:
        SettingsError: librdkafka rejects a property.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._topic = settings.topic
        self._clock = clock
        self._numbers: list[int] = []
        self._numbers_at = float("-inf")
        self._why = ""
        quiet = logging.getLogger("tower.kafka.offsets")
        quiet.setLevel(logging.CRITICAL)
        properties = reader_properties(settings) | SMALL_FETCHES
        properties |= {"group.id": settings.group, "error_cb": self._on_error, "logger": quiet}
        try:
            self._consumer: Any = Consumer(properties)
        except KafkaException as error:
            raise settings_error(error) from None

    def read(self) -> Offsets:
        """Read all offsets.

        Raises:
            CommandError: Kafka does not answer, or there is no such topic.
        """
        try:
            numbers = self._partition_numbers()
            committed = self._consumer.committed(self._partitions(numbers, 0), timeout=REQUEST_S)
            return Offsets(
                self._by_time(numbers, OFFSET_BEGINNING),
                self._by_time(numbers, OFFSET_END),
                {partition.partition: partition.offset for partition in committed if partition.offset >= 0},
            )
        except KafkaException as error:
            # The reason of a failed connection comes by callback, and callbacks run in poll.
            self._consumer.poll(0)
            raise CommandError(
                f"Kafka does not answer: {self._why or error.args[0].str()}",
                "start the brokers, or correct TOWER_KAFKA_BOOTSTRAP_SERVERS",
            ) from None

    def time_of(self, number: int, offset: int) -> float | None:
        """Return the time of the first message from an offset on, in seconds; None if Kafka has none.

        Raises:
            CommandError: Kafka rejects the request.
        """
        self._consumer.assign([TopicPartition(self._topic, number, offset)])
        try:
            message = self._consumer.poll(REQUEST_S)
            kind, milliseconds = (0, 0) if message is None or message.error() else message.timestamp()
        except KafkaException as error:
            raise CommandError(f"reading {self._topic}[{number}]: {error.args[0].str()}") from None
        finally:
            self._consumer.unassign()
        return milliseconds / 1000 if kind else None

    def close(self) -> None:
        """Close the client."""
        self._consumer.close()

    def _partition_numbers(self) -> list[int]:
        now = self._clock()
        if now - self._numbers_at > PARTITIONS_S or not self._numbers:
            # Of all topics: asking for one by name could make a broker create it.
            topic = self._consumer.list_topics(timeout=REQUEST_S).topics.get(self._topic)
            if topic is None or not topic.partitions:
                raise CommandError(
                    f"there is no topic {self._topic}", "`python -m workers provision` creates it"
                )
            self._numbers, self._numbers_at = sorted(topic.partitions), now
        return self._numbers

    def _partitions(self, numbers: list[int], offset: int) -> list[TopicPartition]:
        return [TopicPartition(self._topic, number, offset) for number in numbers]

    def _by_time(self, numbers: list[int], time_or_end: int) -> dict[int, int]:
        # In place of a time, Kafka takes -1 for the end and -2 for the beginning.
        answers = self._consumer.offsets_for_times(
            self._partitions(numbers, time_or_end), timeout=REQUEST_S
        )
        for answer in answers:
            if answer.error is not None:
                raise KafkaException(answer.error)
        return {answer.partition: answer.offset for answer in answers}

    def _on_error(self, error: Any) -> None:
        self._why = str(error.str())
