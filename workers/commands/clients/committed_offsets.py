"""Asks for a group's committed offsets by a consumer that is no member of the group."""

import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicPartition

#: Seconds after which it is looked up whether Kafka rejected the group.
STEP_S = 0.5


class CommittedOffsets:
    """The committed offsets of one consumer's group.

    If the user may not use the group, Kafka's client looks for the group's coordinator until the time-out.
    It reports the rejection only once, as an event of the consumer.

    Args:
        consumer: A consumer of that group. While this asks, its events and messages are dropped.
    """

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._rejection: KafkaError | None = None

    def ask(self, partitions: Sequence[TopicPartition], timeout_s: float) -> list[TopicPartition]:
        """Return the committed offsets; an offset is negative if the group has none.

        Args:
            partitions: The partitions to ask for.
            timeout_s: Seconds until the coordinator must have answered.

        Raises:
            KafkaException: The coordinator rejects the group or a topic, or does not answer.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                answers: list[TopicPartition] = self._consumer.committed(
                    list(partitions), timeout=max(0.0, min(STEP_S, left_s))
                )
            except KafkaException as error:
                self._look_for_rejection()
                if self._rejection is not None:
                    raise KafkaException(self._rejection) from None
                if error.args[0].code() != KafkaError._TIMED_OUT or left_s <= STEP_S:  # noqa: SLF001
                    raise
                continue
            self._rejection = None
            failure = next((answer.error for answer in answers if answer.error is not None), None)
            if failure is not None:
                raise KafkaException(failure)
            return answers

    def _look_for_rejection(self) -> None:
        event = self._consumer.poll(0)
        error = None if event is None else event.error()
        if error is not None and error.code() == KafkaError.GROUP_AUTHORIZATION_FAILED:
            self._rejection = error
