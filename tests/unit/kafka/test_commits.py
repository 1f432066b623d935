"""A commit counts once Kafka has acknowledged it, partition by partition."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from tests.support.fakes import partition
from workers.kafka.commits import Commits
from workers.types import Partition

TIMED_OUT = KafkaError(KafkaError._TIMED_OUT)
UNKNOWN_MEMBER = KafkaError(KafkaError.UNKNOWN_MEMBER_ID)

OFFSETS = {partition(0): 5, partition(1): 7}


class FakeClient:
    """Answers a commit as `confluent_kafka.Consumer` does: partitions, each with an error of its own.

    A coordinator refuses single partitions when it moves (librdkafka, rd_kafka_handle_OffsetCommit). No
    broker does that on request.
    """

    def __init__(
        self, errors: Mapping[int, KafkaError] | None = None, failure: KafkaError | None = None
    ) -> None:
        self.asked: list[tuple[list[tuple[int, int, str | None]], bool]] = []
        self._errors = errors or {}
        self._failure = failure

    def commit(self, offsets: list[TopicPartition], asynchronous: bool) -> Any:
        self.asked.append(([(it.partition, it.offset, it.metadata) for it in offsets], asynchronous))
        if self._failure is not None:
            raise KafkaException(self._failure)
        return None if asynchronous else answers(OFFSETS, self._errors)


def answers(offsets: Mapping[Partition, int], errors: Mapping[int, KafkaError]) -> list[Any]:
    return [
        SimpleNamespace(topic=key.topic, partition=key.number, offset=offset, error=errors.get(key.number))
        for key, offset in offsets.items()
    ]


@pytest.fixture
def commits() -> Commits:
    return Commits()


def test_a_commit_that_waits_is_acknowledged_by_its_answer(commits: Commits) -> None:
    commits.send(FakeClient(), OFFSETS, {}, blocking=True)

    assert (commits.acknowledged, commits.failures) == (OFFSETS, 0)


def test_a_commit_that_does_not_wait_is_not_acknowledged_before_its_answer(commits: Commits) -> None:
    commits.send(FakeClient(), OFFSETS, {}, blocking=False)
    before = dict(commits.acknowledged)
    commits.on_answer(None, answers(OFFSETS, {}))

    assert (before, commits.acknowledged) == ({}, OFFSETS)


@pytest.mark.parametrize("blocking", [True, False])
def test_a_partition_that_fails_alone_is_not_acknowledged_and_its_neighbour_is(
    commits: Commits, blocking: bool
) -> None:
    errors = {1: UNKNOWN_MEMBER}
    commits.send(FakeClient(errors), OFFSETS, {}, blocking=blocking)
    if not blocking:
        commits.on_answer(None, answers(OFFSETS, errors))

    assert (commits.acknowledged, commits.failures) == ({partition(0): 5}, 1)


def test_a_commit_that_fails_as_a_whole_acknowledges_nothing(
    commits: Commits, caplog: pytest.LogCaptureFixture
) -> None:
    commits.on_answer(TIMED_OUT, answers(OFFSETS, {}))

    assert (commits.acknowledged, commits.failures) == ({}, 2)
    assert "commit failed" in caplog.text


def test_a_commit_that_raises_is_a_failure_and_ends_nothing(commits: Commits) -> None:
    commits.send(FakeClient(failure=TIMED_OUT), OFFSETS, {}, blocking=True)

    assert (commits.acknowledged, commits.failures) == ({}, 2)


def test_an_answer_that_there_was_nothing_to_commit_is_no_failure(commits: Commits) -> None:
    commits.on_answer(KafkaError(KafkaError._NO_OFFSET), answers(OFFSETS, {}))

    assert (commits.acknowledged, commits.failures) == ({}, 0)


def test_a_commit_has_the_topics_id_where_it_is_known(commits: Commits) -> None:
    client = FakeClient()

    commits.send(client, OFFSETS, {partition(1): "topic-id=x"}, blocking=False)

    assert client.asked == [([(0, 5, ""), (1, 7, "topic-id=x")], True)]


def test_no_offsets_are_no_request(commits: Commits) -> None:
    client = FakeClient()

    commits.send(client, {}, {}, blocking=True)

    assert client.asked == []


@pytest.mark.parametrize(
    ("end", "committed", "lag"),
    [
        pytest.param(9, 5, 4, id="behind"),
        pytest.param(5, 5, 0, id="at the end"),
        pytest.param(3, 5, 0, id="the end is known late"),
        pytest.param(-1001, 5, None, id="the end is unknown"),
        pytest.param(9, None, None, id="nothing is committed"),
    ],
)
def test_the_lag_is_what_is_not_committed(
    commits: Commits, end: int, committed: int | None, lag: int | None
) -> None:
    if committed is not None:
        commits.acknowledged[partition(0)] = committed
    client = SimpleNamespace(get_watermark_offsets=lambda *_, **__: (0, end))

    assert commits.lag(client, partition(0)) == lag


def test_the_lag_is_unknown_if_the_client_does_not_know_the_end(commits: Commits) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KafkaException(TIMED_OUT)

    commits.acknowledged[partition(0)] = 5

    assert commits.lag(SimpleNamespace(get_watermark_offsets=fail), partition(0)) is None
