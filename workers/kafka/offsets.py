"""Where a partition is read from: what the group has committed, and how to go there."""

import time
from collections.abc import Callable, Iterable
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from workers.log import Repeats
from workers.types import Partition

#: Seconds that one question to the group's coordinator, or one seek, may take.
ASK_S = 5.0

#: Seconds within which a coordinator that moves must have answered: far below max.poll.interval.ms.
COORDINATOR_S = 60.0


def to_kafka(partitions: Iterable[Partition]) -> list[TopicPartition]:
    """Partitions as Kafka's client names them."""
    return [TopicPartition(each.topic, each.number) for each in partitions]


def from_kafka(partitions: Iterable[TopicPartition]) -> set[Partition]:
    """Partitions as Tower names them."""
    return {Partition(each.topic, each.partition) for each in partitions}


def committed(client: Any, partitions: list[TopicPartition], repeats: Repeats) -> list[TopicPartition]:
    """The group's committed offsets, negative where it has none.

    Raises:
        KafkaException: The coordinator did not answer within `COORDINATOR_S`.
    """
    deadline = time.monotonic() + COORDINATOR_S
    while True:
        try:
            found: list[TopicPartition] = client.committed(partitions, timeout=ASK_S)
            failure = next((each.error for each in found if each.error is not None), None)
            if failure is None:
                return found
            raise KafkaException(failure)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise
            repeats.warning("ask", "Kafka: the committed offsets are not told yet: %s", error.args[0].str())
            time.sleep(0.1)


def seek(client: Any, partition: Partition, offset: int, owned: Callable[[], bool]) -> None:
    """Go on from an offset; a partition just assigned takes a moment until it can.

    Args:
        client: The consumer.
        partition: Which one.
        offset: Offset of the next message, or OFFSET_BEGINNING.
        owned: Whether the partition is still this worker's.

    Raises:
        KafkaException: It could not within `ASK_S`.
    """
    deadline = time.monotonic() + ASK_S
    while owned():
        try:
            client.seek(TopicPartition(partition.topic, partition.number, offset))
        except KafkaException:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
