"""The bench's account catches whatever is lost, twice or nobody's."""

from bench.harness.account import count_points


def test_all_stored_once_holds() -> None:
    account = count_points(range(9), produced=9, partitions=3)

    assert account.holds
    assert account.partitions == {0: 3, 1: 3, 2: 3}


def test_a_lost_record_is_seen_and_its_partition_named() -> None:
    account = count_points((seq for seq in range(9) if seq != 4), produced=9, partitions=3)

    assert (account.lost, account.duplicated, account.unknown) == (1, 0, 0)
    assert account.partitions == {0: 3, 1: 2, 2: 3}
    assert not account.holds


def test_a_record_stored_three_times_is_two_too_many() -> None:
    account = count_points([0, 1, 2, 1, 1], produced=3, partitions=1)

    assert (account.lost, account.duplicated, account.points) == (0, 2, 5)
    assert not account.holds


def test_one_lost_and_one_twice_do_not_cancel_out() -> None:
    account = count_points([0, 0, 2], produced=3, partitions=1)

    assert (account.lost, account.duplicated) == (1, 1)


def test_a_point_of_no_record_is_seen() -> None:
    assert count_points([0, 1, 7, -1], produced=2, partitions=1).unknown == 2


def test_bad_records_must_not_be_stored() -> None:
    def is_bad(seq: int) -> bool:
        return seq == 1

    assert count_points([0, 2], 3, 1, is_bad).holds
    assert count_points([0, 2], 3, 1, is_bad).produced == 2
    assert count_points([0, 1, 2], 3, 1, is_bad).unknown == 1


def test_hundreds_of_points_of_one_record_are_counted() -> None:
    assert count_points([0] * 1000, produced=1, partitions=1).duplicated == 999
