"""What the group has acknowledged of what it was told to commit."""

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

from workers.log import Repeats
from workers.types import Partition


class Commits:
    """Commits offsets and keeps the answers.

    A failure is counted and logged, and is no harm: the records are read again and overwrite their own
    points.

    Attributes:
        acknowledged: Last offset the group acknowledged, by partition.
        failures: Commits that Kafka refused: their records are read again, never skipped.
    """

    def __init__(self) -> None:
        self.acknowledged: dict[Partition, int] = {}
        self.failures = 0
        self._repeats = Repeats(logging.getLogger("tower.consumer"))

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
            metadata: What is kept with the offset, where there is anything.
            blocking: Wait for the answer; else it comes to `answered` by the client's callback.
        """
        wanted = [
            TopicPartition(each.topic, each.number, end, metadata.get(each, ""))
            for each, end in next_offsets.items()
        ]
        if not wanted:
            return
        try:
            done = client.commit(offsets=wanted, asynchronous=not blocking)
        except KafkaException as error:
            self.answered(error.args[0], wanted)
        else:
            if blocking:
                self.answered(None, done)

    def answered(self, error: KafkaError | None, partitions: Iterable[TopicPartition]) -> None:
        """What Kafka says to a commit, as a whole and of each partition."""
        for each in partitions:
            failure = error or each.error
            if failure is None:
                self.acknowledged[Partition(each.topic, each.partition)] = each.offset
            elif failure.code() != KafkaError._NO_OFFSET:  # noqa: SLF001
                self.failures += 1
                self._repeats.warning(
                    "commit", "commit failed, its records will be read again: %s", failure.str()
                )

    def lag(self, client: Any, partition: Partition) -> int | None:
        """Messages from the committed offset to the end of the partition, None while unknown."""
        safe = self.acknowledged.get(partition)
        where = TopicPartition(partition.topic, partition.number)
        try:
            _, end = client.get_watermark_offsets(where, cached=True)
        except KafkaException:
            return None
        return max(0, end - safe) if safe is not None and end >= 0 else None
