"""Committed offsets, seeks, and partitions as Kafka's client names them."""

import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from confluent_kafka import KafkaException, TopicPartition

from workers.log import ThrottledLogger
from workers.types import Message, Partition, partition_of

#: Time-out in seconds of one request to the group coordinator, and of one seek.
ASK_S = 5.0

#: Seconds until the group coordinator must have answered, also if it moves to another broker. It is far
#: below max.poll.interval.ms.
COORDINATOR_S = 60.0


def to_kafka(partitions: Iterable[Partition]) -> list[TopicPartition]:
    """Return partitions as Kafka's client names them."""
    return [TopicPartition(partition.topic, partition.number) for partition in partitions]


def from_kafka(partitions: Iterable[TopicPartition]) -> set[Partition]:
    """Return partitions as Tower names them."""
    return {Partition(partition.topic, partition.partition) for partition in partitions}


def names(partitions: Iterable[Partition]) -> str:
    """Return partitions for people, in order."""
    return ", ".join(map(str, sorted(partitions))) or "none"


def committed(
    client: Any,
    partitions: list[TopicPartition],
    throttled_log: ThrottledLogger,
    check: Callable[[], None],
) -> list[TopicPartition]:
    """Return the group's committed offsets; an offset is negative if the group has none.

    Args:
        client: The consumer.
        partitions: The partitions to ask for.
        throttled_log: Where failed requests are logged.
        check: Called before each request. It may raise `DrainExpired`.

    Raises:
        KafkaException: The coordinator did not answer within `COORDINATOR_S`.
    """
    deadline = time.monotonic() + COORDINATOR_S
    while True:
        check()
        try:
            answers: list[TopicPartition] = client.committed(partitions, timeout=ASK_S)
            failure = next((answer.error for answer in answers if answer.error is not None), None)
            if failure is None:
                return answers
            raise KafkaException(failure)
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise
            throttled_log.warning(
                "committed offsets",
                "Kafka did not return the group's committed offsets (%s): retrying for up to %d s. If this "
                "repeats, check that all brokers are up",
                error.args[0].str(),
                COORDINATOR_S,
            )
            time.sleep(0.1)


def advance(
    positions: dict[Partition, int], messages: Sequence[Message], topic: str, is_one_partition: bool
) -> None:
    """Move positions past messages.

    Args:
        positions: The offset of the next message by partition; changed in place.
        messages: What was consumed, in order.
        topic: The topic of all messages, empty if there are several. It saves time.
        is_one_partition: Whether all messages are of one partition. It saves more.
    """
    if messages and is_one_partition:
        positions[partition_of(messages[-1])] = messages[-1].offset() + 1
    elif topic:
        last_offsets = {message.partition(): message.offset() for message in messages}
        for number, offset in last_offsets.items():
            positions[Partition(topic, number)] = offset + 1
    else:
        for message in messages:
            positions[partition_of(message)] = message.offset() + 1


def seek(client: Any, partition: Partition, offset: int, owned: Callable[[], bool]) -> None:
    """Continue at an offset. Retry for a moment, because a partition just assigned is not ready yet.

    Args:
        client: The consumer.
        partition: The partition.
        offset: Offset of the next message, or OFFSET_BEGINNING.
        owned: Returns whether the partition still belongs to this worker.

    Raises:
        KafkaException: The seek failed for `ASK_S`.
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
