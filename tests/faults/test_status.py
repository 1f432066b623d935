"""Faults that only `status` can tell: two pools, a folder that cannot be written, a sender without end."""

import json
import random
import time

import pytest

from tests.faults.harness import checks
from tests.faults.harness.checks import Verdict
from tests.faults.harness.disk import SmallDisk
from tests.faults.harness.honesty import WITHIN_S, StatusWatch, honest, watched
from tests.faults.harness.http_fault import Fault
from tests.faults.harness.ledger import sample
from tests.faults.harness.rig import Rig
from tests.support.fakes import KAFKA_MS, route
from tests.support.pool import TowerPool
from workers.commands.pool.trouble import Trouble
from workers.records.encoder import Encoder

BUSY = Fault(status=503, body=b'{"code":"unavailable"}')

#: Seconds for which `status` shows that a client was pushed out of the group, and a few more.
SHOWN_S = 75.0

#: New names of a sender that are stored before the limit is reached.
ROOM = 20


def says(rig: Rig, watch: StatusWatch, words: str) -> float:
    """Wait until the pool's status says something; the seconds it took."""
    return rig.until(
        lambda: any(words in trouble.cause for trouble in watch.troubles()), 60, f"status to say {words!r}"
    )


@pytest.mark.quick
@pytest.mark.faults("honest")
def test_a_status_that_hides_or_invents_is_reported(rig: Rig) -> None:
    """Three watches of one pool: as `status` is, one that never says anything, one that always does."""
    rig.records, rig.rate = 2_000, 200
    rig.start()

    def nothing(*_: object) -> list[Trouble]:
        return []

    def always(*_: object) -> list[Trouble]:
        return [Trouble("worker 0 is stopped", "start it")]

    with (
        StatusWatch(rig.pool) as real,
        StatusWatch(rig.pool, find=nothing) as silent,
        StatusWatch(rig.pool, find=always) as crying,
    ):
        rig.run_for(WITHIN_S)
        rig.proxy.set(BUSY)
        rig.run_for(2 * WITHIN_S)
        rig.healed(rig.proxy.heal())
        rig.until(lambda: not real.troubles(), 30, "status to be well again")
    red = [honest(silent.looks), honest(crying.looks)]
    rig.result.verdicts.append(honest(real.looks))
    rig.result.verdicts += [
        Verdict("control", not verdict.ok, f"C9 is red: {verdict.evidence}") for verdict in red
    ]

    rig.finish()


@pytest.mark.faults(38)
def test_two_pools_of_one_group_on_one_host_are_told_by_both(rig: Rig) -> None:
    """A second folder with the same settings: its workers have the same names in the group."""
    rig.start()
    with watched(rig) as watch:
        rig.run_for(rig.seconds(15, 5))
        watch.cause = "a second pool of this group runs on this host"
        other = rig.join(3, ())
        second = StatusWatch(other)
        started = time.monotonic()
        for one in (watch, second):
            says(rig, one, "another pool has the same host name")
        told = time.monotonic() - started
        rig.run_for(rig.seconds(30, 10))
        renewals = sum(pool.counter("renewals") for pool in rig.pools)
        other.stop()
        # Its accounts count, but it no longer has workers to look at.
        rig.others.remove(other)
        rig.result.verdicts.append(checks.accounted(other.states()))
        rig.healed()
        rig.until(rig.pool.is_assigned, 60, "the first pool to have all partitions")
        rig.run_for(SHOWN_S)
        watch.cause = ""
        rig.run_for(5)
    rig.figure("told_s", told)
    rig.expect("told", told <= WITHIN_S, f"both said it {told:.1f} s after the second pool was started")
    # A worker that is pushed out drops its batch, which the next owner reads again.
    rig.finish(crashes=renewals + rig.pool.counter("renewals"))


@pytest.mark.faults(40)
def test_records_flow_while_the_pools_folder_is_full_and_then_read_only(rig: Rig) -> None:
    """`var/` on a small disk of its own: filled to the last block for a while, then mounted read-only."""
    disk = SmallDisk(rig.folder / "pool" / "var")

    def mount(pool: TowerPool) -> None:
        disk.mount()
        rig.at_end(disk.unmount)
        pool.var.chmod(0o700)

    rig.start(prepare=mount)
    pids = rig.pool.pids()
    with watched(rig) as watch:
        rig.run_for(5)
        for name, brake, heal, words in (
            ("full", disk.fill, disk.free, "its file system is full"),
            ("read-only", disk.seal, disk.unseal, "its file system is read-only"),
        ):
            watch.cause = f"var/ is {name}"
            begun = time.monotonic()
            brake()
            told = says(rig, watch, words)
            rig.run_for(rig.seconds(25, 15))
            gap = max(rig.proxy.longest_gap(begun, time.monotonic(), number) for number in range(3))
            heal()
            rig.until(lambda: not watch.troubles(), 30, "status to be well again")
            watch.cause = ""
            rig.expect(f"{name} told", told <= WITHIN_S, f"status named it after {told:.1f} s")
            rig.expect(f"{name} flows", gap < 5, f"longest time without a write {gap:.2f} s")
    rig.healed()
    rig.expect_same_processes(pids.values(), rig.pool.pids().values())

    rig.finish()


@pytest.mark.faults(41)
@pytest.mark.parametrize("kind", ["name", "tag"])
def test_a_sender_with_a_new_name_or_tag_in_every_record_is_stopped_at_the_limit(
    rig: Rig, kind: str
) -> None:
    """Two records in ten are such a sender's. InfluxDB answers queries at the end: all is read from it."""
    counts = Encoder(route()).cardinality
    own, devices = _cardinality(rig)
    assert len(counts.names) == 0
    setting, limit = ("TOWER_MAX_FIELD_NAMES", own) if kind == "name" else ("TOWER_MAX_SERIES", devices)
    rig.start({setting: str(limit + ROOM)})
    _fill(rig, kind)
    numbers = iter(range(10**9))

    def endless(partition: int, dice: random.Random) -> bytes | None:
        return _new(rig, partition, kind, next(numbers)) if dice.random() < 0.2 else None

    with watched(rig) as watch:
        rig.run_for(3)
        rig.load.poison = endless
        told = says(rig, watch, f"reason too_many_{'names' if kind == 'name' else 'series'}")
        rig.run_for(rig.seconds(30, 10))
        rig.top_up()
        rig.load.poison = None
    rig.healed()
    rig.figure("told_s", told)
    rig.expect("told", told <= WITHIN_S, f"status said it {told:.1f} s after the first of these records")
    reached = {state["worker"]: state["counters"] for state in rig.pool.states()}
    name = "field_names" if kind == "name" else "series"
    rig.expect(
        "limit",
        all(counters[name] == limit + ROOM for counters in reached.values()),
        f"{name} by worker: {[counters[name] for counters in reached.values()]}, limit {limit + ROOM}",
    )

    rig.finish(reasons={"too_many_names" if kind == "name" else "too_many_series"})


def _cardinality(rig: Rig) -> tuple[int, int]:
    """Field names that the load's records have besides those of the settings, and devices per partition."""
    encoder = Encoder(route())
    for seq in range(1_000):
        encoder.encode(json.loads(sample(rig.seed, 0, seq, KAFKA_MS // 1000)), KAFKA_MS, 0, seq)
    return len(encoder.cardinality.names), len(encoder.cardinality.series)


def _fill(rig: Rig, kind: str) -> None:
    """Let each worker meet all devices, and then as many new names as there is room for."""
    rig.until(
        lambda: all(state["counters"]["field_names"] for state in rig.pool.states()),
        30,
        "the first records",
    )
    rig.run_for(2)
    rig.pause_load()
    for partition in range(3):
        for number in range(ROOM):
            extra = {f"new{number}": 1} if kind == "name" else {"deviceId": f"new{number}"}
            rig.load.send(partition, extra=extra)
    rig.settle()
    rig.load.rate = rig.rate


def _new(rig: Rig, partition: int, kind: str, number: int) -> bytes:
    record = json.loads(sample(rig.seed, partition, 0, int(time.time())))
    record |= {f"endless{number}": 1} if kind == "name" else {"deviceId": f"endless{number}"}
    return json.dumps(record).encode()
