"""Why Kafka's client cannot read partitions, until it reads them again."""

import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import KafkaError

from workers.types import Message, Partition, partition_of

#: Seconds after which an error that did not come again is over. A partition without new records shows in no
#: other way that it can be read.
LASTS_S = 60.0

#: Errors that the client reports only once, however long they last: see
#: rd_kafka_fetch_reply_handle_partition_error in librdkafka.
REPORTED_ONCE = frozenset({KafkaError.TOPIC_AUTHORIZATION_FAILED})


class ReadErrors:
    """The last error of each partition that the client could not read.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: The error's text and the time when it is over.
        self._errors: dict[Partition, tuple[str, float]] = {}

    def add(self, partitions: Iterable[Partition], error: KafkaError, do: str) -> None:
        """Store an error.

        Args:
            partitions: The partitions that cannot be read.
            error: What the client says.
            do: What to do about it.
        """
        lasts_s = float("inf") if error.code() in REPORTED_ONCE else LASTS_S
        for partition in partitions:
            self._errors[partition] = (f"{error.str()}. {do}", self._clock() + lasts_s)

    def progress(self, messages: Sequence[Message], ends: Iterable[Partition]) -> None:
        """Forget the errors of partitions that are read again.

        Args:
            messages: What was read.
            ends: Partitions that were read to their end.
        """
        if self._errors:
            self.remove({partition_of(message) for message in messages}.union(ends))

    def remove(self, partitions: Iterable[Partition]) -> None:
        """Forget the errors of partitions."""
        for partition in partitions:
            self._errors.pop(partition, None)

    def current(self) -> dict[Partition, str]:
        """Return the errors that are not over."""
        now = self._clock()
        return {partition: text for partition, (text, end) in self._errors.items() if now < end}
