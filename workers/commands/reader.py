"""Reads ranges of a topic from beginning to end, without being a member of a group."""

import logging
import time
from collections.abc import Iterator
from typing import Any, Self

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from workers.errors import CommandError
from workers.kafka import reader_properties, settings_error
from workers.settings import Settings

#: Seconds without a record after which reading is given up.
QUIET_S = 20.0

#: Records taken from the client at once.
AT_ONCE = 500


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
