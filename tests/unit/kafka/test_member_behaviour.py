"""What the loop relies on in the group's member, asked of the real one and of the tests' fake alike.

A fake that is kinder than the real member would hide bugs of the loop.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest

from tests.support import brokers, fakes
from tests.support.brokers import Brokers
from tests.support.fakes import FakeClock
from tests.support.worker import FakeConsumer
from workers.kafka.consumer import GroupConsumer
from workers.types import Message, Partition

DEADLINE_S = 30.0

#: Partitions of the topic, and records of each.
PARTITIONS, RECORDS = brokers.PARTITIONS, 5


class Group(Protocol):
    """A member, and what happens around it.

    Attributes:
        consumer: The member. It owns all partitions.
        revoked: Called before partitions go, with them.
    """

    consumer: Any
    revoked: Callable[[set[Partition]], None]

    def share(self) -> list[Message]:
        """Another member joins and takes some partitions; gives what was consumed meanwhile."""

    def leave(self) -> list[Message]:
        """It leaves, and the partitions return; gives what was consumed meanwhile."""


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "this never came to be"


class RealGroup:
    """The real member, and librdkafka's mock brokers."""

    def __init__(self, cluster: Brokers, topic: str) -> None:
        self.revoked: Callable[[set[Partition]], None] = lambda _: None
        self._topic = topic
        self._cluster = cluster
        cluster.produce(topic, [b"{}"] * (RECORDS * PARTITIONS))
        # A client that resumes while it asks for the first offset asks again only after 0.5 s.
        cluster.commit(topic, topic, [0] * PARTITIONS)
        self.consumer = self._join(lambda partitions, _: self.revoked(partitions))
        self._other: GroupConsumer | None = None

    def _join(self, on_revoke: Callable[[set[Partition], bool], None]) -> GroupConsumer:
        settings = fakes.settings(
            kafka_bootstrap_servers=self._cluster.bootstrap,
            kafka_group_id=self._topic,
            kafka_group_protocol="consumer",
            topic=self._topic,
            **brokers.QUICK,
        )
        return GroupConsumer(settings, on_revoke, topic_ids=lambda topics: dict.fromkeys(topics, "id"))

    def share(self) -> list[Message]:
        other = self._other = self._join(lambda _, __: None)
        messages: list[Message] = []

        def is_shared() -> bool:
            messages.extend(self.consumer.consume(1_000, 0.02))
            other.poll_paused(0.02)
            return 0 < len(other.owned) == PARTITIONS - len(self.consumer.owned)

        until(is_shared)
        return messages

    def leave(self) -> list[Message]:
        assert self._other is not None
        self._other.close()
        self._other = None
        messages: list[Message] = []

        def is_whole() -> bool:
            messages.extend(self.consumer.consume(1_000, 0.02))
            return len(self.consumer.owned) == PARTITIONS

        until(is_whole)
        return messages

    def end(self) -> None:
        """Leave the group."""
        if self._other is not None:
            self._other.close()


class FakeGroup:
    """The fake."""

    def __init__(self) -> None:
        self.revoked: Callable[[set[Partition]], None] = lambda _: None
        self.consumer = FakeConsumer(FakeClock())
        self.consumer.owned = {fakes.partition(number) for number in range(PARTITIONS)}
        self.consumer.on_revoke = lambda partitions, _: self.revoked(partitions)
        for number in range(PARTITIONS):
            self.consumer.produce(number, [b"{}"] * RECORDS)

    def share(self) -> list[Message]:
        return self._rebalance(lambda: self.consumer.give_up({2, 3}))

    def leave(self) -> list[Message]:
        return self._rebalance(lambda: self.consumer.take_back({2, 3}))

    def _rebalance(self, act: Callable[[], None]) -> list[Message]:
        def step() -> list[Message]:
            act()
            return self.consumer._fetch(1_000)

        self.consumer.steps = [step]
        return self.consumer.consume(1_000, 0.02)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Brokers]:
    """Mock brokers for all tests of this module."""
    with brokers.running() as running:
        yield running


@pytest.fixture(params=["fake", "real"])
def group(request: pytest.FixtureRequest, cluster: Brokers) -> Iterator[Group]:
    """A member that owns all partitions, of each kind."""
    if request.param == "fake":
        yield FakeGroup()
        return
    name = f"behaviour-{request.node.originalname[-40:]}".replace("_", "-")
    real = RealGroup(cluster, name)

    def owns_all() -> bool:
        real.consumer.poll_paused(0.02)
        return len(real.consumer.owned) == PARTITIONS

    until(owns_all)
    real.consumer.resume()
    yield real
    real.end()
    real.consumer.close()


def read(group: Group, count: int) -> list[Message]:
    """So many messages."""
    messages: list[Message] = []

    def enough() -> bool:
        messages.extend(group.consumer.consume(count - len(messages), 0.05))
        return len(messages) >= count

    until(enough)
    return messages


def numbered(messages: list[Message]) -> dict[int, list[int]]:
    """Offsets by partition, in the order they came."""
    offsets: dict[int, list[int]] = {}
    for message in messages:
        offsets.setdefault(message.partition(), []).append(message.offset())
    return offsets


def by_number(offsets: dict[Partition, int]) -> dict[int, int]:
    return {key.number: offset for key, offset in offsets.items()}


EVERYTHING = {number: list(range(RECORDS)) for number in range(PARTITIONS)}


def everything(group: Group) -> list[Message]:
    return read(group, RECORDS * PARTITIONS)


def commit(group: Group, offset: int) -> None:
    group.consumer.commit(dict.fromkeys(group.consumer.owned, offset), blocking=True)


def test_records_come_in_order_and_positions_follow(group: Group) -> None:
    messages = everything(group)

    assert numbered(messages) == EVERYTHING
    assert by_number(group.consumer.positions()) == dict.fromkeys(range(PARTITIONS), RECORDS)


def test_what_is_put_back_is_read_again_in_order(group: Group) -> None:
    messages = everything(group)
    left = [message for message in messages if message.offset() >= 2 and message.partition() != 1]

    group.consumer.put_back(left)
    positions = by_number(group.consumer.positions())
    again = read(group, len(left))

    assert positions == {0: 2, 1: RECORDS, 2: 2, 3: 2}
    assert numbered(again) == {number: [2, 3, 4] for number in (0, 2, 3)}
    assert by_number(group.consumer.positions()) == dict.fromkeys(range(PARTITIONS), RECORDS)


def test_a_pause_hands_out_nothing_and_moves_no_position(group: Group) -> None:
    read(group, 3)
    before = group.consumer.positions()
    group.consumer.poll_paused(0.05)
    while_paused = [message for _ in range(3) for message in group.consumer.consume(100, 0.05)]
    positions = group.consumer.positions()
    group.consumer.resume()

    assert while_paused == []
    assert positions == before
    assert len(read(group, RECORDS * PARTITIONS - 3)) == RECORDS * PARTITIONS - 3


def test_a_commit_is_known_and_covers_what_is_owned(group: Group) -> None:
    everything(group)
    group.consumer.commit({**dict.fromkeys(group.consumer.owned, 3), fakes.partition(99): 5}, blocking=True)

    assert by_number(group.consumer.committed) == dict.fromkeys(range(PARTITIONS), 3)


def test_partitions_are_still_owned_and_can_be_committed_when_they_go(group: Group) -> None:
    seen: list[tuple[set[int], dict[int, int]]] = []

    def revoked(partitions: set[Partition]) -> None:
        commit(group, 4)
        seen.append(({key.number for key in partitions}, by_number(group.consumer.committed)))

    everything(group)
    group.revoked = revoked
    group.share()
    group.revoked = lambda _: None

    ((gone, committed),) = seen
    assert committed == dict.fromkeys(range(PARTITIONS), 4)
    assert gone == set(range(PARTITIONS)) - {key.number for key in group.consumer.owned}


def test_nothing_is_known_of_partitions_that_went(group: Group) -> None:
    everything(group)
    commit(group, 3)
    group.share()
    owned = {key.number for key in group.consumer.owned}

    assert by_number(group.consumer.positions()).keys() == owned
    assert by_number(group.consumer.committed).keys() == owned
    assert all(group.consumer.position(key) is not None for key in group.consumer.owned)


def test_a_commit_for_partitions_that_went_is_none(group: Group) -> None:
    everything(group)
    before = set(group.consumer.owned)
    commit(group, 3)
    group.share()
    group.consumer.commit(dict.fromkeys(before, RECORDS), blocking=True)

    assert group.consumer.committed.keys() == group.consumer.owned
    group.leave()
    committed = by_number(group.consumer.committed)
    assert sorted(committed.values()) == [3, 3, RECORDS, RECORDS]


def test_partitions_that_return_are_read_again_from_the_groups_commit(group: Group) -> None:
    everything(group)
    commit(group, 3)
    group.share()
    gone = set(range(PARTITIONS)) - {key.number for key in group.consumer.owned}
    messages = group.leave()
    messages += read(group, 2 * len(gone) - len(messages))

    assert numbered(messages) == {number: [3, 4] for number in sorted(gone)}


def test_leaving_the_group_revokes_everything_once(group: Group) -> None:
    seen: list[set[int]] = []
    group.revoked = lambda partitions: seen.append({key.number for key in partitions})
    everything(group)

    group.consumer.close()

    assert seen == [set(range(PARTITIONS))]
    assert group.consumer.owned == set()
