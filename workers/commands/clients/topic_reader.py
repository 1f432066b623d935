"""Reads ranges of a topic from beginning to end, without being a member of a group."""

import logging
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import reader_properties, settings_error

#: Seconds without a record after which reading is given up.
QUIET_S = 20.0

#: Records taken from the client at once.
AT_ONCE = 500

#: The same where bytes are counted: they may be exceeded by so many records.
FEW_AT_ONCE = 20


class Reader:
    """A consumer that reads where it is told to. A context manager, closed at its end.

    Args:
        settings: The way to the brokers.
        group: Name it has towards Kafka; nothing is committed unless `commit` is called.

    Raises:
        SettingsError: librdkafka refuses a property.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._why = ""
        quiet = logging.getLogger("tower.kafka.reader")
        quiet.setLevel(logging.CRITICAL)
        made = reader_properties(settings) | {
            "group.id": group,
            "error_cb": self._on_error,
            "logger": quiet,
        }
        try:
            self._consumer: Any = Consumer(made)
        except KafkaException as error:
            raise settings_error(error) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, topic: str, number: int, start: int, end: int) -> Iterator[Any]:
        """The messages of one partition from offset `start` up to, not including, `end`.

        Raises:
            CommandError: Kafka does not give them.
        """
        if start >= end:
            return
        self._consumer.assign([TopicPartition(topic, number, start)])
        quiet_since = time.monotonic()
        while True:
            messages = self._consumer.consume(AT_ONCE, 0.5)
            for message in messages:
                error = message.error()
                if error is None and message.offset() < end:
                    yield message
                if error is None and message.offset() < end - 1:
                    continue
                if error is None or error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001
                    return
                raise CommandError(f"reading {topic}[{number}]: {error.str()}")
            now = time.monotonic()
            if messages:
                quiet_since = now
            elif now - quiet_since > QUIET_S:
                why = f": {self._why}" if self._why else ""
                raise CommandError(f"reading {topic}[{number}]: Kafka gave nothing for {QUIET_S:g} s{why}")

    def read_together(
        self, topic: str, ranges: Mapping[int, tuple[int, int]], within_s: float, most_bytes: int
    ) -> list[Any]:
        """Messages of several partitions, read at the same time.

        Args:
            topic: Where they are.
            ranges: For each partition the first offset and the one after the last.
            within_s: Seconds after which reading stops.
            most_bytes: Bytes of values after which reading stops.

        Returns:
            The messages in no order; not all of them if time or bytes were used up.

        Raises:
            CommandError: Kafka refuses, or gives nothing at all in this time.
        """
        waiting = {number: end for number, (start, end) in ranges.items() if start < end}
        self._consumer.assign([TopicPartition(topic, number, ranges[number][0]) for number in waiting])
        messages, size, deadline = [], 0, time.monotonic() + within_s
        while waiting and size < most_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                break
            # A call returns early only if it has all these messages, so it must not wait for long.
            for message in self._consumer.consume(FEW_AT_ONCE, min(left, 0.1)):
                number, error = message.partition(), message.error()
                if number not in waiting:
                    continue
                if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                    raise CommandError(f"reading {topic}[{number}]: {error.str()}")
                if error is None and message.offset() < waiting[number]:
                    messages.append(message)
                    size += len(message.value() or b"")
                if error is not None or message.offset() >= waiting[number] - 1:
                    del waiting[number]
                    self._consumer.incremental_unassign([TopicPartition(topic, number)])
        if waiting and not messages:
            why = f": {self._why}" if self._why else ""
            raise CommandError(f"reading {topic}: Kafka gave nothing for {within_s:.0f} s{why}")
        return messages

    def committed(self, topic: str, number: int) -> tuple[int, str]:
        """Offset that this group has committed, negative where none, and the commit's metadata.

        Raises:
            CommandError: The coordinator does not answer.
        """
        try:
            (found,) = self._consumer.committed([TopicPartition(topic, number)], timeout=QUIET_S)
        except KafkaException as error:
            raise CommandError(f"reading how far was replayed: {error.args[0].str()}") from None
        return int(found.offset), str(found.metadata or "")

    def commit(self, where: TopicPartition) -> None:
        """Commit in the name of this group; returns when Kafka has confirmed it.

        Raises:
            CommandError: It did not.
        """
        try:
            self._consumer.commit(offsets=[where], asynchronous=False)
        except KafkaException as error:
            raise CommandError(f"marking what was replayed: {error.args[0].str()}") from None

    def _on_error(self, error: KafkaError) -> None:
        self._why = error.str()
