"""librdkafka's own mock of a Kafka cluster, inside this process, for real clients."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition

#: Partitions of a topic that springs up in the mock.
PARTITIONS = 4

#: Seconds one question to the mock may take.
ASK_S = 10.0


@dataclass(frozen=True)
class Brokers:
    """The running mock."""

    producer: Any
    bootstrap: str

    def make_topic(self, topic: str) -> None:
        """Make a topic of `PARTITIONS` partitions."""
        self.producer.list_topics(topic, timeout=ASK_S)

    def produce(self, topic: str, values: Sequence[bytes | None]) -> None:
        """Records to the partitions by turns."""
        self.make_topic(topic)
        for place, value in enumerate(values):
            self.producer.produce(topic, value=value, partition=place % PARTITIONS)
        assert self.producer.flush(ASK_S) == 0

    def read(self, topic: str, count: int) -> list[Any]:
        """The first `count` messages of a topic, partition by partition."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "reader"})
        try:
            consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
            messages = consumer.consume(count, ASK_S)
        finally:
            consumer.close()
        return sorted(messages, key=lambda it: (it.partition(), it.offset()))

    def commit(self, group: str, topic: str, offsets: Sequence[int]) -> None:
        """Set the committed offset of each partition of a group without members."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": group})
        try:
            consumer.commit(
                offsets=[TopicPartition(topic, number, offset) for number, offset in enumerate(offsets)],
                asynchronous=False,
            )
        finally:
            consumer.close()


@contextmanager
def running() -> Iterator[Brokers]:
    """One broker, gone at the end."""
    producer = Producer({"test.mock.num.brokers": 1, "bootstrap.servers": "mock", "log_level": 3})
    nodes = producer.list_topics(timeout=ASK_S).brokers.values()
    yield Brokers(producer, ",".join(f"{node.host}:{node.port}" for node in nodes))
