"""An offset is committed once every record before it is safe, and offsets without a record are passed."""

from collections.abc import Mapping

import pytest

from tests.support.fakes import FakeClock, partition
from workers.batch import Batch
from workers.committer import SOON_S, Committer
from workers.types import Partition

IDLE_S = 30.0


class FakeMember:
    """The group's member, whose commits succeed at once unless `answers` is False."""

    def __init__(self) -> None:
        self.commit_failures = 0
        self.committed: dict[Partition, int] = {}
        self.standing: dict[Partition, int] = {}
        self.commits: list[tuple[dict[int, int], bool]] = []
        self.answers = True

    def positions(self) -> dict[Partition, int]:
        return dict(self.standing)

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        self.commits.append(({key.number: offset for key, offset in next_offsets.items()}, blocking))
        if self.answers:
            self.committed |= next_offsets


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def member() -> FakeMember:
    return FakeMember()


@pytest.fixture
def committer(member: FakeMember, clock: FakeClock) -> Committer:
    return Committer(member, IDLE_S, clock)


def stored(offsets: dict[int, int]) -> Batch:
    """A batch that was stored, with its next offsets."""
    return Batch(next_offsets={partition(number): offset for number, offset in offsets.items()})


class TestBatch:
    """A batch is stored."""

    def test_its_offsets_are_committed_and_no_others(
        self, committer: Committer, member: FakeMember
    ) -> None:
        committer.commit(stored({0: 5, 1: 7}), is_final=False)
        committer.commit(stored({1: 9}), is_final=False)

        assert member.commits == [({0: 5, 1: 7}, False), ({1: 9}, False)]

    def test_the_last_commit_has_all_offsets_and_waits(
        self, committer: Committer, member: FakeMember
    ) -> None:
        committer.commit(stored({0: 5}), is_final=False)
        committer.commit(stored({1: 9}), is_final=True)

        assert member.commits[-1] == ({0: 5, 1: 9}, True)

    def test_what_has_no_record_behind_it_is_passed(self, committer: Committer, member: FakeMember) -> None:
        member.standing = {partition(0): 8}
        committer.commit(stored({0: 5}), is_final=False)

        assert member.commits == [({0: 8}, False)]

    def test_a_position_that_is_known_late_moves_no_offset_back(
        self, committer: Committer, member: FakeMember
    ) -> None:
        member.standing = {partition(0): 4}
        committer.commit(stored({0: 5}), is_final=False)

        assert member.commits == [({0: 5}, False)]


class TestBetweenBatches:
    """No batch is due."""

    def test_the_time_begins_with_the_last_commit(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        clock.now += IDLE_S
        committer.commit(stored({0: 5}), is_final=False)
        clock.now += IDLE_S
        committer.repeat(in_hand=())

        assert len(member.commits) == 1

    def test_nothing_is_committed_before_its_time(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5}), is_final=False)
        clock.now += IDLE_S - 1
        committer.repeat(in_hand=())

        assert len(member.commits) == 1

    def test_the_last_offsets_are_committed_again_when_idle(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5}), is_final=False)
        for _ in range(3):
            clock.now += IDLE_S + 1
            committer.repeat(in_hand=())

        assert member.commits == [({0: 5}, False)] * 4

    def test_records_in_hand_are_never_committed(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5, 1: 7}), is_final=False)
        member.standing = {partition(0): 9, partition(1): 8}
        clock.now += IDLE_S + 1
        committer.repeat(in_hand={partition(0)})

        assert member.commits[-1] == ({0: 5, 1: 8}, False)

    def test_offsets_without_a_record_are_passed_soon(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5}), is_final=False)
        member.standing = {partition(0): 6}
        committer.repeat(in_hand=())
        assert len(member.commits) == 1

        clock.now += SOON_S + 0.1
        committer.repeat(in_hand=())
        assert member.commits[1:] == [({0: 6}, False)]

        clock.now += SOON_S + 0.1
        committer.repeat(in_hand=())
        assert len(member.commits) == 2

    def test_a_commit_that_failed_is_repeated_soon_and_once(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5}), is_final=False)
        member.commit_failures += 1
        for _ in range(2):
            clock.now += SOON_S + 0.1
            committer.repeat(in_hand=())

        assert member.commits == [({0: 5}, False)] * 2

    def test_a_commit_without_an_answer_is_repeated(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        """A failure is known by its answer, and that may be lost."""
        member.answers = False
        member.standing = {partition(0): 5}
        committer.commit(stored({0: 5}), is_final=False)
        clock.now += SOON_S + 0.1
        committer.repeat(in_hand=())

        assert member.commits == [({0: 5}, False)] * 2

    def test_a_partition_that_was_given_up_is_forgotten(
        self, committer: Committer, member: FakeMember, clock: FakeClock
    ) -> None:
        committer.commit(stored({0: 5, 1: 7}), is_final=False)
        committer.forget({partition(0)})
        clock.now += IDLE_S + 1
        committer.repeat(in_hand=())

        assert member.commits[-1] == ({1: 7}, False)
