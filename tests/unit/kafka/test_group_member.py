"""What one member does with messages and ends that arrive while partitions come and go.

The client is scripted. librdkafka calls back in the middle of `consume`, and returns from the same call
what it has fetched before (rd_kafka_q_serve_rkmessages serves the queue's operations in order). It does so
with real brokers too, but not on request.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from tests.support import fakes
from tests.support.fakes import FakeMessage, partition
from workers.kafka import membership
from workers.kafka.consumer import GroupConsumer
from workers.types import Partition

Fetched = list[Any]


@dataclass(frozen=True, slots=True)
class Record(FakeMessage):
    """A message with a size."""

    def __len__(self) -> int:
        return len(self.raw or b"")


@dataclass(frozen=True, slots=True)
class End(Record):
    """The event at the end of a partition."""

    def error(self) -> Any:
        return KafkaError(KafkaError._PARTITION_EOF)


@dataclass(frozen=True, slots=True)
class Unreadable(Record):
    """The event of a partition that Kafka does not let this user read."""

    def error(self) -> Any:
        return KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED)


def records(number: int, *offsets: int) -> Fetched:
    return [Record(number=number, place=offset) for offset in offsets]


def end(number: int, offset: int) -> Fetched:
    return [End(number=number, place=offset)]


class ScriptedClient:
    """Stands in for `confluent_kafka.Consumer`.

    Attributes:
        script: What each `consume` does and returns; nothing when it is used up.
        asked: Seeks and commits, in order.
        commits: The group's committed offset of each partition.
    """

    def __init__(self, _: object) -> None:
        self.script: list[Callable[[], Fetched]] = []
        self.asked: list[tuple[object, ...]] = []
        self.commits: dict[int, int] = {}
        self.callbacks: dict[str, Any] = {}

    def seeks(self) -> list[tuple[object, ...]]:
        return [call for call in self.asked if call[0] == "seek"]

    def subscribe(self, _: object, **callbacks: Any) -> None:
        self.callbacks = callbacks

    def consume(self, *_: object) -> Fetched:
        return self.script.pop(0)() if self.script else []

    def come(self, *numbers: int) -> Fetched:
        self.callbacks["on_assign"](self, [TopicPartition("resource", number) for number in numbers])
        return []

    def go(self, *numbers: int) -> Fetched:
        self.callbacks["on_revoke"](self, [TopicPartition("resource", number) for number in numbers])
        return []

    def committed(self, partitions: Iterable[TopicPartition], **_: object) -> list[TopicPartition]:
        return [
            TopicPartition("resource", it.partition, self.commits.get(it.partition, -1001))
            for it in partitions
        ]

    def seek(self, place: TopicPartition) -> None:
        self.asked.append(("seek", place.partition, place.offset))

    def commit(self, offsets: list[TopicPartition], **_: object) -> list[TopicPartition]:
        self.asked.append(("commit", *((it.partition, it.offset) for it in offsets)))
        return offsets

    def incremental_assign(self, _: object) -> None:
        """Nothing: the script decides what is fetched."""

    assign = incremental_assign

    def pause(self, partitions: list[TopicPartition]) -> None:
        self.asked.append(("pause", *sorted(it.partition for it in partitions)))

    def resume(self, partitions: list[TopicPartition]) -> None:
        self.asked.append(("resume", *sorted(it.partition for it in partitions)))


class Member:
    """A real member of the group with a scripted client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(membership, "Consumer", ScriptedClient)
        self.at_revoke: Callable[[], None] = lambda: None
        self.consumer = GroupConsumer(
            fakes.settings(kafka_group_protocol="consumer"),
            lambda _, __: self.at_revoke(),
            topic_ids=lambda topics: dict.fromkeys(topics, "id"),
        )
        self.client: ScriptedClient = self.consumer._consumer

    def consume(self, *script: Callable[[], Fetched]) -> list[tuple[int, int]]:
        """Partition and offset of what one `consume` returns."""
        self.client.script = list(script)
        return [(message.partition(), message.offset()) for message in self.consumer.consume(100, 0.05)]

    def position(self, number: int) -> int | None:
        return self.consumer.position(partition(number))


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Member:
    """A member that owns partition 0 and has read it up to offset 3."""
    made = Member(monkeypatch)
    made.client.commits = {0: 1}
    made.consume(lambda: made.client.come(0))
    assert made.consume(lambda: records(0, 1, 2)) == [(0, 1), (0, 2)]
    made.client.asked.clear()
    return made


def test_messages_that_arrive_with_a_rebalance_are_read_again(member: Member) -> None:
    """They may be of the old assignment: taking them would skip the records before them."""

    def fetched_before() -> Fetched:
        member.client.come(1)
        return records(0, 5, 6)

    assert member.consume(fetched_before) == []
    assert member.client.seeks() == [("seek", 0, 3)]
    assert member.position(0) == 3


def test_an_end_that_arrives_with_a_rebalance_is_not_passed(member: Member) -> None:
    def fetched_before() -> Fetched:
        member.client.come(1)
        return end(0, 9)

    assert member.consume(fetched_before) == []
    assert member.client.seeks() == [("seek", 0, 3)]
    assert member.position(0) == 3


def test_a_partition_that_was_never_committed_is_read_again_from_its_beginning(member: Member) -> None:
    def fetched_before() -> Fetched:
        member.client.come(1)
        return records(1, 0)

    assert member.consume(fetched_before) == []
    assert member.client.seeks() == [("seek", 1, OFFSET_BEGINNING)]


def test_messages_of_a_partition_that_went_are_dropped_and_no_seek_is_tried(member: Member) -> None:
    def fetched_before() -> Fetched:
        member.client.go(0)
        return records(0, 3)

    assert member.consume(fetched_before) == []
    assert member.client.seeks() == []


def test_nothing_of_a_partition_that_went_is_kept(member: Member) -> None:
    member.consume(lambda: member.client.go(0))

    assert (member.position(0), member.consumer.committed, member.consumer.owned) == (None, {}, set())


def test_a_partition_that_returns_begins_at_the_groups_commit(member: Member) -> None:
    """Another member has gone on meanwhile."""

    def go_and_return() -> Fetched:
        member.client.go(0)
        member.client.commits = {0: 7}
        return member.client.come(0)

    member.consume(go_and_return)

    assert member.position(0) == 7
    assert member.consumer.committed == {partition(0): 7}


def test_what_is_finished_before_a_revocation_can_still_be_committed(member: Member) -> None:
    member.at_revoke = lambda: member.consumer.commit({partition(0): 3}, blocking=True)

    member.consume(lambda: member.client.go(0))

    assert member.client.asked == [("commit", (0, 3))]


class TestEnd:
    """The client reports the end of a partition behind all of its messages."""

    def test_reading_stands_there(self, member: Member) -> None:
        """Offsets 5 to 8 are markers and aborted records: no messages."""
        assert member.consume(lambda: records(0, 3, 4) + end(0, 9)) == [(0, 3), (0, 4)]

        assert member.consumer.positions() == {partition(0): 9}

    def test_it_is_passed_without_any_message(self, member: Member) -> None:
        assert member.consume(lambda: end(0, 9)) == []

        assert member.position(0) == 9

    def test_messages_behind_it_go_on(self, member: Member) -> None:
        assert member.consume(lambda: end(0, 3) + records(0, 3, 4)) == [(0, 3), (0, 4)]

        assert member.position(0) == 5

    def test_it_costs_no_other_partition_its_messages(self, member: Member) -> None:
        member.consume(lambda: member.client.come(1))

        assert member.consume(lambda: end(0, 9) + records(1, 0) + records(0, 9)) == [(1, 0), (0, 9)]
        assert (member.position(0), member.position(1)) == (10, 1)

    def test_it_is_not_passed_while_everything_is_held_back(self, member: Member) -> None:
        """A message that was consumed in a pause is read again, and so it stands before the end."""
        member.client.script = [lambda: records(0, 3), lambda: end(0, 9)]
        member.consumer.poll_paused(0.05)
        member.consumer.poll_paused(0.05)

        assert member.client.seeks() == [("seek", 0, 3)]
        assert member.position(0) == 3

    def test_that_of_a_foreign_partition_is_ignored(self, member: Member) -> None:
        member.consume(lambda: end(2, 9))

        assert member.consumer.positions() == {partition(0): 3}


def test_a_stopped_partition_stays_paused_after_an_outage(member: Member) -> None:
    member.consume(lambda: member.client.come(1))
    member.consumer._stop({Partition("resource", 0)}, "gone")

    member.consumer.poll_paused(0.0)
    member.consumer.resume()

    assert member.client.asked[-1] == ("resume", 1)


def test_a_partition_that_comes_during_an_outage_is_paused_too(member: Member) -> None:
    member.client.script = [lambda: member.client.come(1)]

    member.consumer.poll_paused(0.05)

    assert member.client.asked == [("pause", 0), ("pause", 1)]


def test_a_stopped_partition_has_no_position_to_commit(member: Member) -> None:
    member.consumer._stop({Partition("resource", 0)}, "gone")

    assert member.consumer.positions() == {}
    assert member.position(0) == 3


def test_an_error_of_a_partition_is_told_until_the_partition_is_read_again(member: Member) -> None:
    member.consume(lambda: [Unreadable(number=0, place=3)])

    assert list(member.consumer.read_errors.current()) == [partition(0)]
    assert "READ on topic resource" in member.consumer.read_errors.current()[partition(0)]

    assert member.consume(lambda: records(0, 3)) == [(0, 3)]

    assert member.consumer.read_errors.current() == {}


def test_an_error_of_a_partition_goes_with_it(member: Member) -> None:
    member.consume(lambda: [Unreadable(number=0, place=3), Unreadable(number=1, place=3)])
    member.consume(lambda: member.client.go(0))

    assert member.consumer.read_errors.current() == {}
