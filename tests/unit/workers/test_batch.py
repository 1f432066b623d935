"""When a batch is due, and what it removes."""

import pytest

from tests.support import fakes
from tests.support.fakes import partition
from workers.batch import Batch
from workers.types import DeadLetter, Origin, Reason, origin_of, partition_of


def filled(*numbers: int, dead: tuple[int, ...] = ()) -> Batch:
    """A batch with a line of each of these partitions, and a dead letter of each of `dead`."""
    batch = Batch(first_at=100.0)
    for offset, number in enumerate(numbers):
        batch.lines.append(f"line{offset}".encode())
        batch.origins.append(fakes.origin(number, offset))
    batch.dead_letters = [DeadLetter(fakes.origin(number, 50), Reason.JSON, "") for number in dead]
    for number in (*numbers, *dead):
        batch.records[partition(number)] += 1
        batch.next_offsets[partition(number)] = 60
    batch.size = sum(len(line) + 1 for line in batch.lines)
    return batch


def test_large_dead_letters_make_it_full_before_they_are_many() -> None:
    batch = filled(1)
    batch.dead_size = 100

    assert not batch.is_due(100.0, lines=10, size=batch.size + 101, age_s=1.0)
    assert batch.is_due(100.0, lines=10, size=batch.size + 100, age_s=1.0)


def test_an_empty_batch_is_never_due() -> None:
    assert not Batch().is_due(1e9, 1, 1, 0.1)
    assert not Batch()


@pytest.mark.parametrize(
    ("batch", "due"),
    [
        pytest.param(filled(0, 0), False, id="young and small"),
        pytest.param(filled(0, 0, 0), True, id="full by lines"),
        pytest.param(filled(dead=(0, 0, 0)), True, id="full by dead letters"),
        pytest.param(filled(dead=(0, 0)), False, id="not yet full by dead letters"),
    ],
)
def test_a_batch_is_due_when_it_is_full(batch: Batch, due: bool) -> None:
    assert batch.is_due(100.0, lines=3, size=1_000, age_s=1.0) is due


def test_a_batch_is_due_by_bytes() -> None:
    batch = filled(0)

    assert not batch.is_due(100.0, lines=10, size=batch.size + 1, age_s=1.0)
    assert batch.is_due(100.0, lines=10, size=batch.size, age_s=1.0)


def test_a_batch_is_due_by_age() -> None:
    assert not filled(0).is_due(100.9, lines=10, size=1_000, age_s=1.0)
    assert filled(0).is_due(101.0, lines=10, size=1_000, age_s=1.0)


def test_dropping_a_partition_removes_it_and_nothing_else() -> None:
    batch = filled(0, 1, 0, 2, dead=(0, 1))

    batch.drop({partition(0), partition(7)})

    assert batch.lines == [b"line1", b"line3"]
    assert [partition_of(origin_of(source).message) for source in batch.origins] == [
        partition(1),
        partition(2),
    ]
    assert [letter.origin.message.partition() for letter in batch.dead_letters] == [1]
    assert batch.next_offsets.keys() == batch.records.keys() == {partition(1), partition(2)}
    assert batch.size == sum(len(line) + 1 for line in batch.lines)


def test_dropping_every_partition_leaves_nothing_to_commit() -> None:
    batch = filled(0, 1, dead=(2,))

    batch.drop({partition(0), partition(1), partition(2)})

    assert not batch
    assert (batch.lines, batch.dead_letters, batch.size) == ([], [], 0)


def test_lines_that_became_dead_letters_are_removed() -> None:
    batch = filled(0, 0, 1)
    batch.dead_letters.append(DeadLetter(origin_of(batch.origins[1]), Reason.REFUSED, ""))

    batch.remove_dead_letters()

    assert batch.lines == [b"line0", b"line2"]
    assert batch.size == sum(len(line) + 1 for line in batch.lines)
    assert batch.records == {partition(0): 2, partition(1): 1}


def test_one_rejected_element_of_an_array_leaves_the_others() -> None:
    """They are of one message, so only the place in the array tells them apart."""
    batch = filled(0)
    message = origin_of(batch.origins[0]).message
    batch.lines = [b"line0", b"line1", b"line2"]
    batch.origins = [Origin(message, element, b"{}") for element in range(3)]
    batch.dead_letters.append(DeadLetter(origin_of(batch.origins[1]), Reason.REFUSED, ""))

    batch.remove_dead_letters()

    assert batch.lines == [b"line0", b"line2"]
    assert [origin_of(source).element for source in batch.origins] == [0, 2]


def test_dead_letters_are_counted_by_partition() -> None:
    assert filled(0, dead=(1, 1, 2)).dead_by_partition() == {partition(1): 2, partition(2): 1}


def test_the_oldest_message_of_each_partition_is_the_first_one_of_the_batch() -> None:
    batch = filled(0, 1)
    batch.note_oldest(
        [fakes.FakeMessage(number=number, milliseconds=ms) for number, ms in ((0, 5), (0, 6), (1, 7))]
    )

    batch.next_offsets[partition(2)] = 1
    batch.note_oldest(
        [fakes.FakeMessage(number=number, milliseconds=ms) for number, ms in ((0, 8), (2, 9))]
    )

    assert batch.oldest_ms == {partition(0): 5, partition(1): 7, partition(2): 9}


def test_a_dropped_partition_has_no_oldest_message() -> None:
    batch = filled(0, 1)
    batch.note_oldest([fakes.FakeMessage(number=0), fakes.FakeMessage(number=1)])

    batch.drop({partition(0)})

    assert batch.oldest_ms.keys() == {partition(1)}
