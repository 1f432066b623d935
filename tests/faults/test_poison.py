"""Records that cannot become points: refused by InfluxDB, undecodable, oversized, and what keeps them."""

import json
import random
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests import corpus
from tests.faults.harness.http_fault import Request
from tests.faults.harness.ledger import SendLedger, sample
from tests.faults.harness.rig import Rig

#: A tag and a key of this size pass the settings below, and together exceed the 65,535 bytes that
#: InfluxDB gives a series key.
HALF_KEY = 40_000

#: Fields by which a sample is found again.
OWN = {"part", "seq", "crc", "timestamp", "time"}

#: Most fields that are added to a sample, so that it stays below the limit of a record.
MOST = 200


def unparsable(ledger: SendLedger, partition: int) -> bytes:
    """A record whose line InfluxDB answers with 400: its series key is too long."""
    record = json.loads(sample(ledger.seed, partition, 0, int(time.time())))
    return json.dumps({**record, "ip": "i" * HALF_KEY, "deviceId": "d" * HALF_KEY}).encode()


def conflicting(ledger: SendLedger, partition: int) -> bytes:
    """A record whose line InfluxDB answers with 422: `part` is a number in all others."""
    record = json.loads(sample(ledger.seed, partition, 0, int(time.time())))
    return json.dumps({**record, "part": "none"}).encode()


def outdated(ledger: SendLedger, partition: int) -> bytes:
    """A record whose line InfluxDB answers with 422: it is older than the bucket keeps points."""
    return sample(ledger.seed, partition, 0, int(time.time()) - 6 * 3600)


def pieces(rig: Rig, since: float, status: int) -> list[tuple[Request, int]]:
    """Refused requests that are no part of a refused one before, and how many requests each cost."""
    request_pieces: list[tuple[Request, set[bytes], int]] = []
    for request in rig.proxy.writes(since):
        lines = set(request.text.splitlines())
        for place, (first, whole, cost) in enumerate(request_pieces):
            if lines <= whole:
                request_pieces[place] = (first, whole, cost + 1)
                break
        else:
            if request.upstream == status:
                request_pieces.append((request, lines, 0))
    return [(request, cost) for request, _, cost in request_pieces]


@pytest.mark.quick
@pytest.mark.faults(22)
def test_refused_lines_alone_go_to_the_dead_letters(rig: Rig) -> None:
    """Type conflicts (422), points outside the retention (422) and unparsable lines (400), 1 in 1,000.

    First alone among 5,000, to count what each costs: one more request for a 400, which lists its lines,
    and two for a 422, which names the cause.
    """
    rig.start({"TOWER_MAX_TAG_BYTES": "60000"}, keep=True, retention_s=3600)
    for make, status in ((unparsable, 400), (conflicting, 422), (outdated, 422)):
        rig.pause_load()
        since = time.monotonic()
        for seq in range(1_000 if rig.quick else 5_000):
            rig.load.send(0, make(rig.ledger, 0) if seq == 700 else None, poison=seq == 700)
        rig.settle()
        ((refused, cost),) = pieces(rig, since, status)
        most = 1 if status == 400 else 2
        name = make.__name__
        rig.expect(
            name, cost <= most, f"{cost} more requests for one line of {refused.lines}, at most {most}"
        )
        rig.figure(f"{name}_requests", cost)
    draw = random.Random(rig.seed)
    makers = (unparsable, conflicting, outdated)
    rig.load.poison = lambda partition, _: (
        draw.choice(makers)(rig.ledger, partition) if draw.random() < 0.001 else None
    )
    rig.load.rate = rig.rate
    rig.run_for(rig.seconds(20, 2))
    # And once 1 in 100.
    rig.load.poison = lambda partition, _: (
        draw.choice(makers)(rig.ledger, partition) if draw.random() < 0.01 else None
    )
    rig.run_for(rig.seconds(10, 1))
    rig.load.poison = None
    rig.healed()

    rig.finish(reasons={"refused", "type_conflict"})


def storable() -> Iterator[dict[str, Any]]:
    """Awkward fields from the corpus that may stand beside a sample's own, each name with one type."""
    types: dict[str, type] = {}
    for case in corpus.load():
        try:
            fields = json.loads(case.value or b"")
        except (ValueError, RecursionError):
            continue
        if case.expect != (corpus.STORED,) or not isinstance(fields, dict):
            continue
        if fields.keys() & OWN or len(fields) > MOST:
            continue
        if all(types.setdefault(name, type(value)) is type(value) for name, value in fields.items()):
            yield fields


@pytest.mark.quick
@pytest.mark.faults(23)
def test_poison_of_every_kind_costs_itself_alone(rig: Rig) -> None:
    """The corpus mixed with good records; alone, as a flood; and as the last record of each partition.

    Records with awkward but storable content are mixed in too, and must be stored.
    """
    dead = [case.value for case in corpus.load() if not case.stored]
    small = [value for value in dead if value is not None and len(value) < 1_000]
    some = [value for value in dead if value is not None]
    rig.start()
    rig.pause_load()
    for partition in range(3):
        for value in dead:
            rig.load.send(partition, value, poison=True)
            rig.load.send(partition)
        for extra in storable():
            rig.load.send(partition, extra=extra)
    rig.load.poison = lambda _, draw: draw.choice(some) if draw.random() < 0.01 else None
    rig.load.rate = rig.rate
    rig.run_for(rig.seconds(15, 1))
    rig.load.poison = lambda _, draw: draw.choice(small)
    rig.run_for(rig.seconds(10, 1))
    rig.load.poison = None
    rig.healed()
    rig.top_up()
    rig.pause_load()
    for partition in range(3):
        rig.load.send(partition, small[partition], poison=True)

    starts = len(rig.pool.spawned())
    rig.expect("no restart", starts == 3, f"{starts} starts of three workers")
    logged = sum(len(text) for name, text in rig.pool.texts().items() if ".log" in name)
    rig.expect("log", logged < 200_000, f"{logged} bytes of log")

    rig.finish()
