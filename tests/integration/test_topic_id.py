"""The topic's id as real brokers tell it, and a worker whose topic is made anew under its feet."""

import gc
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from lab.lab import Lab
from tests.support import fakes
from workers.kafka.consumer import GroupConsumer
from workers.kafka.topic_id import TopicId

pytestmark = pytest.mark.integration

PARTITIONS = 3
DEADLINE_S = 30.0

#: Records in each partition of the topic that is deleted: few, so that the next one outgrows it at once.
OLD = 20

#: Records in each partition of the next one.
NEW = 200


@pytest.fixture
def name(lab: Lab) -> Iterator[str]:
    """A topic that is gone at the end."""
    new_topic = f"topic-id-{time.time_ns()}"
    lab.topics.create(new_topic, PARTITIONS)
    yield new_topic
    lab.topics.delete(new_topic)


def fill(lab: Lab, name: str, value: bytes, count: int) -> None:
    """So many records to each partition, by a producer that knows nothing of an earlier topic."""
    producer = Producer({"bootstrap.servers": lab.bootstrap_servers})
    for place in range(count * PARTITIONS):
        producer.produce(name, value=value, partition=place % PARTITIONS)
    assert producer.flush(DEADLINE_S) == 0


def whole(offsets: dict[int, list[int]]) -> set[int]:
    """Partitions of the next topic that were read from their beginning to their end."""
    return {partition for partition, handed in offsets.items() if set(handed) == set(range(NEW))}


def test_a_topic_made_anew_has_another_id(lab: Lab, name: str) -> None:
    asking = TopicId(fakes.settings(kafka_bootstrap_servers=lab.bootstrap_servers, topic=name))
    before = asking.ask([name])
    again = asking.ask([name])
    lab.topics.delete(name)
    lab.topics.create(name, PARTITIONS)

    assert before
    assert before[name]
    assert again == before
    after = asking.ask([name])
    assert after
    assert after[name] not in {before[name], ""}


def test_a_question_leaves_one_object_at_most(lab: Lab, name: str) -> None:
    """The id, which the client never frees; `tests/unit` counts the questions of a day."""
    asking = TopicId(fakes.settings(kafka_bootstrap_servers=lab.bootstrap_servers, topic=name))
    asking.ask([name])
    gc.collect()
    before = len(gc.get_objects())
    answers = {str(asking.ask([name])) for _ in range(200)}
    gc.collect()

    assert len(answers) == 1
    assert len(gc.get_objects()) - before < 300


def test_asking_for_a_topic_that_is_not_there_makes_none(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.kafka.topic_id.ASK_S", 1.0)
    asking = TopicId(fakes.settings(kafka_bootstrap_servers=lab.bootstrap_servers, topic="nobody-made-it"))

    assert asking.ask(["nobody-made-it"]) is None
    assert "nobody-made-it" not in lab.topics.names()


def test_a_topic_made_anew_and_outgrown_at_once_is_never_jumped_into(
    lab: Lab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client's report alone stops the worker before it hands out a record of the new topic."""
    monkeypatch.setattr("workers.kafka.topic_recreation.ASK_EVERY_S", float("inf"))
    jumped, _ = made_anew(lab, name)

    assert jumped == set()


def test_a_topic_made_anew_is_found_by_a_look_where_the_client_reports_nothing(
    lab: Lab, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if another version of the client worded its report differently."""
    monkeypatch.setattr("workers.kafka.topic_id.CHANGED", re.compile("not in any line"))
    monkeypatch.setattr("workers.kafka.topic_recreation.ASK_EVERY_S", 3.0)
    jumped, stopped = made_anew(lab, name)

    assert jumped <= stopped


def made_anew(lab: Lab, name: str) -> tuple[set[int], set[int]]:
    """Delete the topic, make it anew and fill it past the position, all in a quarter of a second.

    Returns:
        Partitions of which a worker that is consuming got new records, but not the first ones; and those
        that it stopped.
    """
    settings = fakes.settings(
        kafka_bootstrap_servers=lab.bootstrap_servers, kafka_group_id=name, topic=name
    )
    consumer = GroupConsumer(settings, lambda *_: None)
    fill(lab, name, b"old", OLD)

    def remake() -> None:
        lab.topics.delete(name)
        lab.topics.create(name, PARTITIONS)
        fill(lab, name, b"new", NEW)

    remaking = threading.Thread(target=remake)
    offsets: dict[bytes, dict[int, list[int]]] = {b"old": defaultdict(list), b"new": defaultdict(list)}
    stopped: set[int] = set()
    deadline = time.monotonic() + DEADLINE_S
    try:
        while len(stopped | whole(offsets[b"new"])) < PARTITIONS:
            assert time.monotonic() < deadline, f"{offsets} handed out, {stopped} stopped"
            for message in consumer.consume(1_000, 0.25):
                offsets[message.value() or b""][message.partition()].append(message.offset())
            stopped |= {partition.number for partition in consumer.stopped}
            read = [len(handed) for handed in offsets[b"old"].values()]
            if read == [OLD] * PARTITIONS and remaking.ident is None:
                consumer.commit(dict.fromkeys(consumer.owned, OLD), blocking=True)
                remaking.start()
    finally:
        consumer.close()
        if remaking.ident is not None:
            remaking.join()

    return {
        partition for partition, handed in offsets[b"new"].items() if max(handed) >= len(set(handed))
    }, stopped
