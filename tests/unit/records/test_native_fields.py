"""The kernel's table of names: no sender's names shut out those of another."""

import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import count, islice

import pytest

from tests.support import fakes
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from workers.batch import Batch
from workers.types import Message

pytestmark = needs_kernel

#: Places in the table, and how many of them a name may take (workers/native/fields.h).
PLACES = 4096
PROBES = 16


def fnv_1a(name: bytes) -> int:
    """A hash without a key, in 32 bits: everybody can make names that collide."""
    value = 2166136261
    for byte in name:
        value = (value ^ byte) * 16777619 % 2**32
    return value


def colliding(hash_of: Callable[[bytes], int]) -> Iterator[bytes]:
    """Names that all have the same first place."""
    names = (b"field%d" % number for number in count())
    return (name for name in names if hash_of(name) % PLACES == 7)


def messages(*names: bytes) -> list[Message]:
    """A record with one field of each name, in a message each."""
    return [FakeMessage(b'{"%s":1}' % name, place=place) for place, name in enumerate(names)]


def left(path: Path, queue: list[Message]) -> int:
    """How many of these messages the kernel leaves to Python."""
    kernel = path.converter._kernel
    assert kernel is not None
    batch = Batch()
    place = count_left = 0
    while place < len(queue):
        place = kernel.convert(queue, place, batch.lines, batch.origins, batch.next_offsets, batch.records)[
            0
        ]
        count_left += place < len(queue)
        place += 1
    return count_left


@pytest.fixture
def path() -> Path:
    return Path(fakes.route(), native=True)


def test_names_that_collide_under_a_known_hash_do_not_collide(path: Path) -> None:
    names = list(islice(colliding(fnv_1a), 3 * PROBES))

    assert left(path, messages(*names)) == 0


def test_names_that_find_no_place_have_the_others_forgotten_and_find_one(path: Path) -> None:
    """Python's own hash is the table's, so a test can make them collide in its own process."""
    names = list(islice(colliding(hash), 3 * PROBES))

    # Of about 16, the one that comes after them; a configured name may have one of their places.
    assert 2 <= left(path, messages(*names)) <= 5
    # A name that found no place is met again, and then it finds one.
    assert left(path, messages(*[names[0]] * 5)) <= 1
    assert left(path, messages(*[names[-1]] * 5)) <= 1


def test_configured_names_are_known_whatever_comes(path: Path) -> None:
    lab = FakeMessage(json.dumps({"memory": 1, "tx": 2, "disk": 3}).encode())
    queue = [
        queued for message in messages(*islice(colliding(hash), 5 * PROBES)) for queued in (message, lab)
    ]

    assert left(path, queue) <= 10
    assert left(path, [lab] * 3) == 0


def test_names_of_one_hash_stay_apart() -> None:
    by_hash: dict[int, list[bytes]] = defaultdict(list)
    for name in (b"field%d" % number for number in count()):
        same = by_hash[hash(name) % 2**32]
        same.append(name)
        if len(same) == 2:
            break
    one, other = same
    values = [b'{"%s":1}' % one, b'{"%s":2}' % other, b'{"%s":3,"%s":4}' % (other, one)] * 2
    queue: list[Message] = [FakeMessage(value, place=place) for place, value in enumerate(values)]

    native, python = (Path(fakes.route(), native=native).outcome(queue) for native in (True, False))

    assert native == python


def test_names_whose_places_are_past_the_tables_end_are_found_at_its_beginning(path: Path) -> None:
    """The last places of the table are few, so these names go on at its first ones."""
    at_the_end = (b"field%d" % number for number in count())
    names = list(islice((name for name in at_the_end if hash(name) % PLACES >= PLACES - 2), PROBES - 4))
    python = Path(fakes.route(), native=False)

    assert left(path, messages(*names)) <= 1
    assert left(path, messages(*names)) <= 1
    assert path.outcome(messages(*names))["lines"] == python.outcome(messages(*names))["lines"]
