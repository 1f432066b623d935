"""Faults of the workers themselves: killed, stopped, orphaned."""

import json
import random
import signal
import time
from collections import Counter

import pytest

from tests.faults.harness.honesty import watched
from tests.faults.harness.http_fault import Fault, Reply
from tests.faults.harness.rig import Rig

#: Begins a worker's account of itself in the last lines of its log.
REPORT = "shutdown report: "


@pytest.mark.faults(8)
def test_a_worker_killed_in_mid_batch_thirty_times_loses_and_repeats_nothing(rig: Rig) -> None:
    """SIGKILL in bursts of 0.1 to 1 s, then SIGTERM at random instants, as faust's stress test does.

    Answers take 50 ms, so that about every second kill meets a write in flight.
    """
    rig.start()
    rig.proxy.set(Fault(latency_s=0.05))
    draw = random.Random(rig.seed)
    kills, recovered = 0, []
    while kills < 30:
        worker = draw.randrange(rig.pool.workers)
        if rig.pool.signal(worker, signal.SIGKILL):
            kills += 1
        time.sleep(draw.uniform(0.1, 1.0))
    for _ in range(10):
        rig.pool.terminate(draw.randrange(rig.pool.workers))
        time.sleep(draw.uniform(0.5, 1.0))
    rig.proxy.set(None)
    rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    # Recovery is measured on its own, with the pool quiet: one kill at a time, by its partition.
    for partition in range(3):
        time.sleep(2)
        victim = rig.pool.owner(partition)
        others = [number for number in range(3) if rig.pool.owner(number) != victim]
        killed = time.monotonic()
        rig.pool.signal(victim, signal.SIGKILL)
        kills += 1
        recovered.append(rig.until_written(killed, partition))
        gaps = [rig.proxy.longest_gap(killed, time.monotonic(), other) for other in others]
        rig.expect("neighbours", max(gaps) < 1.5, f"longest silence of the others {max(gaps):.2f} s")
    rig.healed(killed, partition)
    rig.figure("recovery_s", max(recovered))
    rig.expect(
        "recovery", max(recovered) <= 3.0, f"kill -9 to first write {max(recovered):.2f} s, at most 3"
    )

    rig.finish(crashes=kills)


@pytest.mark.quick
@pytest.mark.faults(9)
def test_a_worker_killed_between_the_204_and_its_commit_writes_the_same_points_again(rig: Rig) -> None:
    """The proxy holds the 204 back: InfluxDB has the points, the worker does not know, and dies."""
    rig.start(keep=True)
    twice: list[int] = []
    rounds = 3 if rig.quick else 10
    for _ in range(rounds):
        rig.proxy.set(Fault(reply=Reply.HOLD, times=1))
        rig.until(lambda: rig.proxy.held > 0, 20, "a write whose answer is held")
        held = next(
            request for request in reversed(rig.proxy.requests) if request.upstream == 204 != request.status
        )
        partition = min(held.partitions)
        killed = time.monotonic()
        rig.pool.signal(rig.pool.owner(partition), signal.SIGKILL)
        rig.proxy.release()
        rig.until_written(killed, partition)
        again = b"".join(request.text + b"\n" for request in rig.proxy.writes(killed))
        lines = set(held.text.splitlines())
        twice.append(len(lines & set(again.splitlines())) - len(lines))
        rig.until(rig.pool.is_assigned, 30, "the pool to be whole again")
    rig.healed(killed, partition)
    rig.expect(
        "same points",
        not any(twice),
        f"{rounds} kills between write and commit; lines that came again differently: {-sum(twice)}",
    )

    rig.finish(crashes=rounds)


@pytest.mark.faults(10)
def test_sigterm_under_load_is_one_flush_one_commit_and_exit_code_zero(rig: Rig) -> None:
    """SIGTERM at random instants, twice over now and then, and restarts of the whole pool."""
    rig.start()
    draw = random.Random(rig.seed)
    exits: Counter[int] = Counter()
    slowest = 0.0
    for turn in range(3 if rig.quick else 20):
        worker = draw.randrange(rig.pool.workers)
        time.sleep(draw.uniform(0.1, 1.0))
        pid, took = rig.pool.terminate(worker, twice=turn % 5 == 4)
        slowest = max(slowest, took)
        exits.update(rig.pool.exit_codes(pid))
    for _ in range(1 if rig.quick else 5):
        rig.until(rig.pool.is_assigned, 30, "the pool to be whole again")
        begun = time.monotonic()
        rig.pool.control("restart", "all")
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(draw.uniform(0.1, 1.0))
    rig.until(rig.pool.is_assigned, 30, "the pool to be whole again")
    rig.healed()
    rig.expect("exit codes", set(exits) == {0}, f"exit codes of the workers: {dict(exits)}")
    rig.expect("exit time", slowest <= 20, f"slowest exit and restart {slowest:.1f} s, stopwaitsecs is 20")
    rig.figure("slowest_exit_s", slowest)

    # A second SIGTERM may come between InfluxDB's answer and its reader: those lines are written again.
    rig.finish(repeats=dropped(rig))


def dropped(rig: Rig) -> int:
    """Records that workers had in hand when a second SIGTERM ended them, by their shutdown reports."""
    return sum(
        partition["uncommitted"]
        for worker in range(rig.pool.workers)
        for line in rig.pool.log(worker).splitlines()
        if REPORT in line
        for partition in json.loads(line.partition(REPORT)[2])["partitions"].values()
    )


@pytest.mark.faults(11)
def test_sigterm_while_influxdb_is_down_exits_in_time_and_commits_nothing(rig: Rig) -> None:
    """What is uncommitted stays so, and is written after the next start."""
    rig.start()
    rig.run_for(3)
    rig.proxy.down()
    rig.run_for(3)
    before = rig.sampler.committed()
    begun = time.monotonic()
    rig.pool.control("stop", "all")
    took = time.monotonic() - begun
    after = rig.sampler.committed()
    codes = {number: worker["exitstatus"] for number, worker in rig.pool.processes().items()}
    rig.expect("exit codes", set(codes.values()) == {0}, f"exit codes {codes}")
    rig.expect("exit time", took <= 20, f"all stopped after {took:.1f} s, stopwaitsecs is 20")
    rig.expect("uncommitted", before == after, f"committed before {before} and after {after}")
    rig.figure("slowest_exit_s", took)
    rig.pool.control("start", "all")
    rig.run_for(3)
    rig.healed(rig.proxy.heal())

    rig.finish(crashes=0)


@pytest.mark.faults(36)
def test_sigterm_to_every_worker_again_and_again_never_leaves_the_pool_standing(rig: Rig) -> None:
    """Not from supervisord, which starts each again although its exit code is 0."""
    rig.start()
    starts = len(rig.pool.spawned())
    rounds = int(rig.seconds(60, 15) // 5)
    with watched(rig) as watch:
        watch.cause = "each worker gets SIGTERM every 5 s"
        for _ in range(rounds):
            for worker in range(rig.pool.workers):
                rig.pool.signal(worker, signal.SIGTERM)
            rig.run_for(5)
        rig.healed()
        rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
        rig.until(lambda: not watch.troubles(), 90, "status to be well again")
        watch.cause = ""
    again = len(rig.pool.spawned()) - starts
    rig.expect("came back", again >= rounds * rig.pool.workers, f"{again} starts after {rounds} rounds")

    rig.finish()
