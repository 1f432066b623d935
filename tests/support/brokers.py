"""librdkafka's own mock of a Kafka cluster, inside this process, for real clients."""

import ctypes
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition, cimpl

#: Partitions of a topic that springs up in the mock.
PARTITIONS = 4

#: Seconds one question to the mock may take.
ASK_S = 10.0

#: Milliseconds between two heartbeats of a member. A partition is revoked and assigned with one each.
HEARTBEAT_MS = 50

#: Settings of a member whose threads wake often. Otherwise librdkafka reads a resumed partition only when
#: its thread wakes, once a second if nothing arrives, and after a seek only when the last fetch has ended.
QUICK = {"kafka_fetch_wait_max_ms": 10, "kafka_topic_metadata_refresh_interval_ms": 50}

#: The kind of client that the mock lives in, as C names it.
RD_KAFKA_PRODUCER = 0


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


def _library() -> Any:
    """Return the Python client's librdkafka: the mock's settings are functions of C only."""
    library = ctypes.CDLL(cimpl.__file__)
    handle, number = ctypes.c_void_p, ctypes.c_int
    library.rd_kafka_conf_new.restype = handle
    library.rd_kafka_conf_set.argtypes = [handle, *[ctypes.c_char_p] * 3, ctypes.c_size_t]
    library.rd_kafka_new.argtypes = [number, handle, ctypes.c_char_p, ctypes.c_size_t]
    library.rd_kafka_new.restype = handle
    library.rd_kafka_destroy.argtypes = [handle]
    library.rd_kafka_mock_cluster_new.argtypes = [handle, number]
    library.rd_kafka_mock_cluster_new.restype = handle
    library.rd_kafka_mock_cluster_bootstraps.argtypes = [handle]
    library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
    library.rd_kafka_mock_cluster_destroy.argtypes = [handle]
    library.rd_kafka_mock_group_initial_rebalance_delay_ms.argtypes = [handle, number]
    library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms.argtypes = [handle, number]
    return library


@contextmanager
def running() -> Iterator[Brokers]:
    """One broker, gone at the end. Its groups are quick: a broker waits seconds for a group's members."""
    library = _library()
    properties = library.rd_kafka_conf_new()
    library.rd_kafka_conf_set(properties, b"log_level", b"3", None, 0)
    client = library.rd_kafka_new(RD_KAFKA_PRODUCER, properties, None, 0)
    mock = library.rd_kafka_mock_cluster_new(client, 1)
    library.rd_kafka_mock_group_initial_rebalance_delay_ms(mock, 0)
    library.rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(mock, HEARTBEAT_MS)
    try:
        bootstrap = library.rd_kafka_mock_cluster_bootstraps(mock).decode()
        # It may outlive the mock, and then finds no broker.
        yield Brokers(Producer({"bootstrap.servers": bootstrap, "log_level": 0}), bootstrap)
    finally:
        library.rd_kafka_mock_cluster_destroy(mock)
        library.rd_kafka_destroy(client)
