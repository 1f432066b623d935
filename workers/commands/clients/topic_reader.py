"""Reads ranges of offsets of a topic, without joining a consumer group."""

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.commands.clients.committed_offsets import CommittedOffsets
from workers.config.settings import Settings
from workers.errors import CommandError
from workers.kafka.properties import creation_error, reader_properties
from workers.kafka.rights import rejection

#: Seconds without a message after which reading fails.
SILENCE_S = 20.0

#: Messages per call of the client.
MESSAGES_PER_CALL = 500

#: The same if bytes are limited: the limit may be exceeded by this many messages.
MESSAGES_PER_LIMITED_CALL = 20


class TopicReader:
    """A consumer of given ranges of offsets. A context manager that closes it.

    Args:
        settings: How to reach the brokers.
        group: Its consumer group. Only `commit` commits anything.

    Raises:
        SettingsError: librdkafka rejects a property.
    """

    def __init__(self, settings: Settings, group: str) -> None:
        self._why = ""
        self._group = group
        quiet = logging.getLogger("tower.kafka.reader")
        quiet.setLevel(logging.CRITICAL)
        properties = reader_properties(settings) | {
            "group.id": group,
            "error_cb": self._on_error,
            "logger": quiet,
        }
        try:
            self._consumer: Any = Consumer(properties)
        except KafkaException as error:
            raise creation_error(error) from None
        self._committed = CommittedOffsets(self._consumer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    def read(self, topic: str, number: int, start: int, end: int) -> Iterator[Any]:
        """Read the messages of one partition from offset `start` to before `end`.

        Raises:
            CommandError: Kafka does not return them.
        """
        if start >= end:
            return
        self._consumer.assign([TopicPartition(topic, number, start)])
        silent_since = time.monotonic()
        while True:
            messages = self._consumer.consume(MESSAGES_PER_CALL, 0.5)
            # First, because the caller may stop at any message, and Kafka's client reports an error once.
            self._raise_errors(messages, topic, number)
            for message in messages:
                is_end = message.error() is not None
                if not is_end and message.offset() < end:
                    yield message
                if is_end or message.offset() >= end - 1:
                    return
            now = time.monotonic()
            if messages:
                silent_since = now
            elif now - silent_since > SILENCE_S:
                why = f": {self._why}" if self._why else ""
                raise CommandError(
                    f"reading {topic}[{number}]: Kafka sent nothing for {SILENCE_S:g} s{why}"
                )

    def read_together(
        self, topic: str, ranges: Mapping[int, tuple[int, int]], within_s: float, most_bytes: int
    ) -> list[Any]:
        """Read messages of several partitions at the same time.

        Args:
            topic: The topic.
            ranges: For each partition the first offset and the offset after the last.
            within_s: Seconds after which reading stops.
            most_bytes: Bytes of values after which reading stops.

        Returns:
            The messages in any order. Some are missing if a limit was reached.

        Raises:
            CommandError: Kafka rejects the request, or sends nothing at all in this time.
        """
        waiting = {number: end for number, (start, end) in ranges.items() if start < end}
        self._consumer.assign([TopicPartition(topic, number, ranges[number][0]) for number in waiting])
        messages, size, deadline = [], 0, time.monotonic() + within_s
        while waiting and size < most_bytes:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            # A call returns early only when it has all these messages, so its time-out has to be short.
            for message in self._consumer.consume(MESSAGES_PER_LIMITED_CALL, min(left_s, 0.1)):
                self._raise_errors([message], topic, message.partition())
                number, error = message.partition(), message.error()
                if number not in waiting:
                    continue
                if error is None and message.offset() < waiting[number]:
                    messages.append(message)
                    size += len(message.value() or b"")
                if error is not None or message.offset() >= waiting[number] - 1:
                    del waiting[number]
                    self._consumer.incremental_unassign([TopicPartition(topic, number)])
        if waiting and not messages:
            why = f": {self._why}" if self._why else ""
            raise CommandError(f"reading {topic}: Kafka sent nothing for {within_s:.0f} s{why}")
        return messages

    def committed(self, topic: str, number: int) -> tuple[int, str]:
        """Return the group's committed offset, negative if none, and the commit's metadata.

        Raises:
            CommandError: The coordinator does not answer.
        """
        try:
            (partition,) = self._committed.ask([TopicPartition(topic, number)], SILENCE_S)
        except KafkaException as error:
            rights = f"DESCRIBE on topic {topic}", f"DESCRIBE on group {self._group}"
            text = rejection(error.args[0], *rights)
            raise CommandError(f"reading the committed offset of {topic}[{number}]: {text}") from None
        return int(partition.offset), str(partition.metadata or "")

    def commit(self, offset: TopicPartition) -> None:
        """Commit an offset for this group; returns when Kafka has confirmed it.

        Raises:
            CommandError: Kafka does not confirm it.
        """
        try:
            self._consumer.commit(offsets=[offset], asynchronous=False)
        except KafkaException as error:
            rights = f"READ on topic {offset.topic}", f"READ on group {self._group}"
            raise CommandError(f"committing an offset: {rejection(error.args[0], *rights)}") from None

    def _raise_errors(self, messages: Iterable[Any], topic: str, number: int) -> None:
        for message in messages:
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                text = rejection(error, f"READ on topic {topic}", f"DESCRIBE on group {self._group}")
                raise CommandError(f"reading {topic}[{number}]: {text}")

    def _on_error(self, error: KafkaError) -> None:
        self._why = error.str()
