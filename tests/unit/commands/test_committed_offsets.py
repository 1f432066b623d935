"""A group's committed offsets, asked for by a consumer that is no member."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from workers.commands.clients import committed_offsets
from workers.commands.clients.committed_offsets import CommittedOffsets

PARTITIONS = [TopicPartition("labs", 0, 7)]


class FakeEvent:
    """What the consumer returns in place of a message."""

    def __init__(self, code: int) -> None:
        self._error = KafkaError(code)

    def error(self) -> KafkaError:
        return self._error


class FakeConsumer:
    """A consumer that has no coordinator for its first requests.

    It reports a rejection once, as rd_kafka_cgrp_handle_FindCoordinator of librdkafka does.
    """

    def __init__(self, failures: int, *events: int) -> None:
        self.failures = failures
        self._events = [FakeEvent(code) for code in events]

    def committed(self, partitions: list[TopicPartition], timeout: float) -> list[TopicPartition]:
        assert timeout >= 0
        self.failures -= 1
        if self.failures >= 0:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))
        return partitions

    def poll(self, _: float) -> Any:
        return self._events.pop() if self._events else None


def test_a_coordinator_that_comes_late_is_waited_for() -> None:
    assert CommittedOffsets(FakeConsumer(3)).ask(PARTITIONS, 20) == PARTITIONS


def test_a_coordinator_that_stays_away_is_not_waited_for_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(committed_offsets, "STEP_S", 0.01)

    with pytest.raises(KafkaException) as raised:
        CommittedOffsets(FakeConsumer(1_000_000)).ask(PARTITIONS, 0.05)

    assert raised.value.args[0].code() == KafkaError._TIMED_OUT


def test_a_rejection_ends_the_wait_each_time_until_the_right_is_there() -> None:
    consumer = FakeConsumer(2, KafkaError.GROUP_AUTHORIZATION_FAILED)
    offsets = CommittedOffsets(consumer)

    for _ in range(2):
        with pytest.raises(KafkaException) as raised:
            offsets.ask(PARTITIONS, 20)
        assert raised.value.args[0].code() == KafkaError.GROUP_AUTHORIZATION_FAILED

    assert offsets.ask(PARTITIONS, 20) == PARTITIONS


def test_an_event_about_something_else_does_not_end_the_wait() -> None:
    assert CommittedOffsets(FakeConsumer(1, KafkaError._TRANSPORT)).ask(PARTITIONS, 20) == PARTITIONS
