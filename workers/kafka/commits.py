"""Commits of offsets, and which of them the group has acknowledged."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from workers.log import ThrottledLogger
from workers.types import Partition


class Commits:
    """Commits offsets and stores the answers.

    A failed commit is counted and logged. It loses nothing: the records are read again and overwrite their
    own points.

    Attributes:
        acknowledged: Last offset that the group acknowledged, by partition.
        failures: Commits that failed.
    """

    def __init__(self) -> None:
        self.acknowledged: dict[Partition, int] = {}
        self.failures = 0
        self._throttled_log = ThrottledLogger(logging.getLogger("tower.consumer"))

    def send(
        self,
        client: Any,
        next_offsets: Mapping[Partition, int],
        metadata: Mapping[Partition, str],
        blocking: bool,
    ) -> None:
        """Commit offsets.

        Args:
            client: The group's member.
            next_offsets: For each partition the offset after its last record that is safe.
            metadata: Text that Kafka stores with an offset, by partition.
            blocking: Wait for the answer. Otherwise the client passes it to `on_answer` later.
        """
        commits = [
            TopicPartition(partition.topic, partition.number, offset, metadata.get(partition, ""))
            for partition, offset in next_offsets.items()
        ]
        if not commits:
            return
        try:
            answers = client.commit(offsets=commits, asynchronous=not blocking)
        except KafkaException as error:
            self.on_answer(error.args[0], commits)
        else:
            if blocking:
                self.on_answer(None, answers)

    def on_answer(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        """Store Kafka's answer to a commit.

        Args:
            error: Why the whole commit failed; None if it did not.
            partitions: The offsets, each with an error of its own if it failed.
        """
        for answer in partitions:
            failure = error or answer.error
            if failure is None:
                self.acknowledged[Partition(answer.topic, answer.partition)] = answer.offset
            elif failure.code() != KafkaError._NO_OFFSET:  # noqa: SLF001
                self.failures += 1
                self._throttled_log.warning(
                    "commit",
                    "Kafka: commit failed (%s). It is repeated; until then a restart reads these records "
                    "again and overwrites their points",
                    failure.str(),
                )

    def lag(self, client: Any, partition: Partition) -> int | None:
        """Return the number of messages from the committed offset to the end; None if it is unknown."""
        committed = self.acknowledged.get(partition)
        try:
            _, end = client.get_watermark_offsets(
                TopicPartition(partition.topic, partition.number), cached=True
            )
        except KafkaException:
            return None
        return max(0, end - committed) if committed is not None and end >= 0 else None
