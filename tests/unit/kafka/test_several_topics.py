"""A member of the group reads several topics, and tells their partitions apart."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition

from tests.support import brokers, fakes
from tests.support.brokers import PARTITIONS, Brokers
from workers.kafka.consumer import GroupConsumer
from workers.kafka.topic_recreation import TopicRecreation
from workers.types import Message, Partition, partition_of

DEADLINE_S = 30.0
RECORDS = 40


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "this never came to be"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Brokers]:
    with brokers.running() as running:
        yield running


@pytest.fixture
def join(cluster: Brokers, tmp_path: Path) -> Iterator[Callable[..., GroupConsumer]]:
    """Makes members that read these topics, all closed at the end."""
    with ExitStack() as closing:

        def make(*topics: str) -> GroupConsumer:
            file = tmp_path / "routes.toml"
            file.write_text(f"[[route]]\nname = 'one'\ntopics = {list(topics)}\n")
            consumer = GroupConsumer(
                fakes.settings(
                    routes=file,
                    kafka_bootstrap_servers=cluster.bootstrap,
                    kafka_group_id=topics[0].strip("^"),
                    # The mock waits for other members until a second before the end of the session.
                    kafka_session_timeout_ms=1_200,
                    kafka_heartbeat_interval_ms=50,
                    **brokers.QUICK,
                ),
                lambda *_: None,
                topic_ids=lambda names: dict.fromkeys(names, "first"),
            )
            closing.callback(consumer.close)
            return consumer

        yield make


def read(consumer: GroupConsumer, count: int) -> list[Message]:
    messages: list[Message] = []

    def enough() -> bool:
        messages.extend(consumer.consume(count - len(messages), 0.05))
        return len(messages) >= count

    until(enough)
    return messages


def every(*topics: str) -> set[Partition]:
    return {Partition(topic, number) for topic in topics for number in range(PARTITIONS)}


def test_it_reads_all_records_of_all_topics_and_commits_each_partition(
    cluster: Brokers, join: Callable[..., GroupConsumer]
) -> None:
    for topic in ("two-a", "two-b"):
        cluster.produce(topic, [b"{}"] * RECORDS)
    consumer = join("two-a", "two-b")
    messages = read(consumer, 2 * RECORDS)
    ends = dict.fromkeys(every("two-a", "two-b"), RECORDS // PARTITIONS)
    consumer.commit(ends, blocking=True)

    assert {partition_of(message) for message in messages} == every("two-a", "two-b")
    assert {partition: consumer.position(partition) for partition in ends} == ends
    assert consumer.committed == ends


def test_a_topic_that_is_created_later_is_found_by_its_pattern_and_read_from_its_start(
    cluster: Brokers, join: Callable[..., GroupConsumer]
) -> None:
    cluster.produce("later-a", [b"{}"] * RECORDS)
    consumer = join("^later-")
    read(consumer, RECORDS)
    cluster.produce("other-b", [b"{}"] * RECORDS)
    cluster.produce("later-b", [b"{}"] * RECORDS)
    messages = read(consumer, RECORDS)

    assert {message.topic() for message in messages} <= {"later-a", "later-b"}
    until(lambda: consumer.consume(1, 0.05) or consumer.owned == every("later-a", "later-b"))


def test_a_topic_that_is_created_again_stops_its_own_partitions_only() -> None:
    asked: list[Collection[str]] = []

    def ask(topics: Collection[str]) -> dict[str, str]:
        asked.append(topics)
        return dict.fromkeys(topics, "first")

    topics = TopicRecreation(ask)
    refreshed = topics.refresh({"a", "b"})
    topics.add([TopicPartition(topic, 0, 7) for topic in ("a", "b")], refreshed)
    topics.change("b", "second")

    assert topics.stale == {Partition("b", 0)}
    assert asked == [{"a", "b"}]
