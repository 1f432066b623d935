"""Records that are too large, or that grow: in Kafka's client, in the decoder, or into their lines."""

import json
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import corpus
from tests.faults.harness.load import Load
from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS, RSS_MB

#: Bytes that one gzip batch inflates to.
INFLATED = 48_000_000

#: Resident megabytes of a worker while such batches pass: what it has anyway; one as Kafka's client
#: inflates it; the worker's copies of its values; the next one, already fetched; and the copies that wait
#: in the dead letters' producer. None of it grows with the number of bombs.
BOMB_MB = RSS_MB + 4 * INFLATED / 1e6

#: Largest record a worker takes, and the largest compressed batch that the topics take.
LARGEST = 1_000_000
TOPIC_BYTES = {"max.message.bytes": "16000000"}
LETTER_BYTES = {"max.message.bytes": "20971520"}

#: What the bombs' producer needs to put them into one gzip batch.
GZIP = {
    "compression.type": "gzip",
    "message.max.bytes": 2 * INFLATED,
    "batch.size": 2 * INFLATED,
    "linger.ms": 300,
}

#: Data that a worker may use besides what it had before, in bytes: less than `INFLATED`.
ROOM = 40_000_000


def growing() -> Iterator[bytes]:
    """Records that are within the limit of their bytes and hold too much."""
    yield b"[" + b",".join([b"{}"] * 300_000) + b"]"
    yield b"[" + b",".join([b"1"] * 490_000) + b"]"
    yield json.dumps({f"k{number}": 1 for number in range(70_000)}).encode()
    yield b'{"a":' * 150_000 + b"1" + b"}" * 150_000
    yield b"[" * (LARGEST - 1)
    yield from (case.value for case in corpus.load() if case.reasons == ["msgpack"] and case.value)


def near() -> dict[str, str]:
    """Fields that make a sample nearly as large as a record may be."""
    return {f"text{number}": "x" * 60_000 for number in range(16)}


def wide() -> dict[str, dict[str, int]]:
    """Fields of 2,000 bytes that are 57,000 in a line, since each repeats the name above it."""
    return {"n" * 240: {str(number): number for number in range(220)}}


def over() -> bytes:
    """A record of one byte too many that is fine otherwise."""
    start = b'{"memory":1,"text":"'
    return start + b"x" * (LARGEST + 1 - len(start) - 2) + b'"}'


def kilobytes(pid: int, name: str) -> int:
    """One of the figures that the kernel tells of a process's memory."""
    return int(Path(f"/proc/{pid}/status").read_text().partition(f"{name}:")[2].split()[0])


def high_water_mb(pid: int) -> float:
    """The most a process had resident at any moment so far; looks now and then would miss it."""
    return kilobytes(pid, "VmHWM") * 1024 / 1e6


def data_bytes(pid: int) -> int:
    """Private writable memory of a process, as RLIMIT_DATA counts it."""
    return kilobytes(pid, "VmData") * 1024


@pytest.mark.faults(24)
def test_oversized_and_growing_records_cost_themselves_alone(rig: Rig) -> None:
    """Zeros of 48 MB in a gzip batch of 47 KB, as one record and as four; JSON and msgpack that expand.

    And one byte over the limit, nearly as many as the limit, and lines of 28 times their records' bytes.
    Good records stand between them, in the same batches, on every partition, and are stored.
    """
    rig.rss_mb = BOMB_MB
    rig.start(config=TOPIC_BYTES)
    rig.lab.topics.configure(rig.dead_letter_topic, LETTER_BYTES)
    pids = rig.pool.pids()
    bombs = Load(rig.bootstrap, rig.name, rig.ledger, properties=GZIP)
    rig.run_for(3)
    for _ in range(2):
        for partition in range(PARTITIONS):
            bombs.send(partition)
            for _ in range(4):
                bombs.send(partition, bytes(INFLATED // 4), poison=True)
                bombs.send(partition)
        bombs.flush(60)
        for partition in range(PARTITIONS):
            bombs.send(partition, bytes(INFLATED), poison=True)
            bombs.send(partition)
        bombs.flush(60)
    for partition in range(PARTITIONS):
        for value in (over(), *growing()):
            bombs.send(partition, value, poison=True)
            bombs.send(partition)
        for _ in range(20):
            bombs.send(partition, extra=near())
        for _ in range(300):
            bombs.send(partition, extra=wide())
    bombs.flush(60)
    rig.healed()

    rig.drain()
    peak = max(high_water_mb(pid) for pid in pids.values())
    rig.figure("high_water_mb", peak)
    rig.expect("peak", peak <= BOMB_MB, f"{peak:.0f} MB resident at most, {BOMB_MB:.0f} are allowed")
    rig.expect("no restart", rig.pool.pids() == pids, f"of {len(pids)} processes")
    rig.finish(reasons={"too_large", "too_many_records", "too_many_fields", "too_deep", "json", "msgpack"})


@pytest.mark.faults(24)
def test_a_bomb_that_does_not_fit_a_memory_limit_holds_its_partition_alone(rig: Rig) -> None:
    """RLIMIT_DATA, from outside, leaves 40 MB for a gzip batch that needs 48; after 15 s there is enough.

    Kafka's client inflates a gzip batch without a bound of its own, so this is how a machine is kept from
    being used up. The worker ends and is started again, over and over and never given up; nothing is
    skipped; the workers of the other partitions go on.
    """
    rig.rss_mb = BOMB_MB
    rig.start(config=TOPIC_BYTES)
    rig.lab.topics.configure(rig.dead_letter_topic, LETTER_BYTES)
    rig.run_for(3)
    processes = [rig.pool.pid, *rig.pool.pids().values()]
    _, hard = resource.prlimit(rig.pool.pid, resource.RLIMIT_DATA)
    limit = max(map(data_bytes, processes)) + ROOM
    for pid in processes:
        resource.prlimit(pid, resource.RLIMIT_DATA, (limit, hard))
    victim = rig.pool.owner(0)
    bombs = Load(rig.bootstrap, rig.name, rig.ledger, properties=GZIP)
    bombs.send(0)
    bomb = bombs.send(0, bytes(INFLATED), poison=True)
    bombs.send(0)
    bombs.flush(60)
    since = time.monotonic()
    before = len(rig.pool.spawned())
    rig.run_for(15)
    silence = max(rig.proxy.longest_gap(since, time.monotonic(), partition) for partition in (1, 2))
    names = {number: partition["statename"] for number, partition in rig.pool.processes().items()}
    again = [worker for worker, _ in rig.pool.spawned()[before:]]
    committed, place = rig.sampler.committed()[0], rig.ledger.books[0].offsets[bomb]
    for pid in [rig.pool.pid, *rig.pool.pids().values()]:
        resource.prlimit(pid, resource.RLIMIT_DATA, (hard, hard))
    healed = time.monotonic()
    rig.until(lambda: rig.sampler.committed()[0] > place, 60, "the commit of the bomb")
    rig.healed(healed, 0)
    rig.expect("held", committed <= place, f"committed {committed}, the bomb stands at {place}")
    rig.expect("others", silence <= 2, f"longest silence of the other partitions {silence:.1f} s")
    rig.expect(
        "started again",
        len(again) >= 3 and set(again) == {victim} and "FATAL" not in names.values(),
        f"{len(again)} starts of {sorted(set(again))} in 15 s, the bomb is {victim}'s; then {names}",
    )

    rig.finish(crashes=len(again) + 1, reasons={"too_large"})
