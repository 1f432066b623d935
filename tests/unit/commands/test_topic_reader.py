"""Ranges of several partitions, read at the same time from a broker."""

import time
from collections.abc import Iterator

import pytest

from tests.support import brokers, fakes
from tests.support.brokers import Brokers
from workers.commands.clients.topic_reader import TopicReader
from workers.config.settings import Settings
from workers.errors import CommandError


@pytest.fixture(scope="module")
def cluster() -> Iterator[Brokers]:
    with brokers.running() as running:
        yield running


def reading(cluster: Brokers) -> Settings:
    return fakes.settings({"TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap})


def test_partitions_are_read_together_each_to_its_own_end(cluster: Brokers) -> None:
    cluster.produce("together", [f"{place}".encode() for place in range(400)])
    ranges = {0: (10, 100), 1: (99, 100), 2: (50, 50), 3: (0, 20)}

    with TopicReader(reading(cluster), "reader") as reader:
        first = reader.read_together("together", ranges, 10, 10**6)
        again = reader.read_together("together", {0: (0, 10), 2: (0, 50)}, 10, 10**6)

    assert {(message.partition(), message.offset()) for message in first} == {
        (number, place) for number, (start, end) in ranges.items() for place in range(start, end)
    }
    assert len(first) == 90 + 1 + 20
    assert len(again) == 60


def test_reading_together_ends_at_the_end_of_the_log(cluster: Brokers) -> None:
    """As where the last offsets are a transaction's marker: there is no message to wait for."""
    cluster.produce("short", [b"x"] * 40)

    begun = time.monotonic()
    with TopicReader(reading(cluster), "reader") as reader:
        messages = reader.read_together("short", {0: (8, 12), 1: (10, 12)}, 60, 10**6)

    assert time.monotonic() - begun < 30
    assert [(message.partition(), message.offset()) for message in messages] == [(0, 8), (0, 9)]


def test_reading_together_is_bounded_by_bytes(cluster: Brokers) -> None:
    cluster.produce("large", [b"x" * 10_000] * 400)

    with TopicReader(reading(cluster), "reader") as reader:
        messages = reader.read_together("large", dict.fromkeys(range(4), (0, 100)), 10, 300_000)

    assert 30 <= len(messages) < 400


def test_a_kafka_that_gives_nothing_in_time_is_an_error_and_no_empty_topic(cluster: Brokers) -> None:
    cluster.produce("silent", [b"x"] * 4)

    with (
        TopicReader(reading(cluster), "reader") as reader,
        pytest.raises(CommandError, match=r"reading silent: Kafka sent nothing"),
    ):
        reader.read_together("silent", {0: (0, 1)}, 0.0, 10**6)
