"""A batch that is damaged on its way or on Kafka's disk is never passed over."""

import time
import uuid
from collections.abc import Callable

import pytest
from confluent_kafka import Producer

from lab.lab import Lab
from tests.support import fakes
from workers.kafka.consumer import GroupConsumer
from workers.types import Partition

pytestmark = pytest.mark.integration

#: Records, each in a batch of its own.
VALUES = [b"first-record", b"second-record", b"third-record"]

#: Seconds to deliver and to read, and rounds in which a damaged batch is met again and again.
DEADLINE_S, ROUNDS = 30.0, 10


def flip(lab: Lab, topic: str, value: bytes) -> None:
    """Turn the first byte of a value in Kafka's file into another one, and the next time back."""
    (segment,) = lab.node(3).folder.glob(f"data/{topic}-0/*.log")
    content = segment.read_bytes()
    changed = bytes([value[0] ^ 1]) + value[1:]
    old, new = (value, changed) if value in content else (changed, value)
    with segment.open("r+b") as file:
        file.seek(content.index(old))
        file.write(new)


def test_records_behind_a_damaged_batch_are_read_once_it_is_whole(lab: Lab) -> None:
    topic = f"damaged-{uuid.uuid4().hex[:8]}"
    lab.topics.create(topic, 1)
    producer = Producer({"bootstrap.servers": lab.bootstrap_servers, "linger.ms": 0})
    for value in VALUES:
        producer.produce(topic, value=value, partition=0)
        assert producer.flush(DEADLINE_S) == 0
    flip(lab, topic, VALUES[1])
    consumer = GroupConsumer(
        fakes.settings(
            {"TOWER_KAFKA_CHECK_CRCS": "true"},
            kafka_bootstrap_servers=lab.bootstrap_servers,
            kafka_group_id=topic,
            topic=topic,
        ),
        lambda *_: None,
    )
    partition = Partition(topic, 0)
    values: list[bytes | None] = []

    def read(done: Callable[[], object]) -> None:
        until = time.monotonic() + DEADLINE_S
        while not done() and time.monotonic() < until:
            values.extend(message.value() for message in consumer.consume(10, 0.1))

    try:
        read(consumer.read_errors.current)
        for _ in range(ROUNDS):
            values.extend(message.value() for message in consumer.consume(10, 0.1))
        told, position = consumer.read_errors.current(), consumer.position(partition)
        before = list(values)
        flip(lab, topic, VALUES[1])
        read(lambda: len(values) == len(VALUES))
        told_after = consumer.read_errors.current()
    finally:
        consumer.close()

    assert (before, position) == (VALUES[:1], 1)
    assert "failed CRC32C check" in told[partition]
    assert values == VALUES
    assert told_after == {}
