"""Faults of the group: members that come and go, and one that sleeps through its eviction."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from itertools import pairwise

import pytest

from tests.faults.harness.honesty import watched
from tests.faults.harness.http_fault import Fault, Reply
from tests.faults.harness.rig import Rig


class Member:
    """A further worker, outside supervisord.

    Args:
        rig: Whose group it joins.
        number: Its number; its state file and log have it too.
        environment: Settings besides the pool's.
    """

    def __init__(self, rig: Rig, number: int, environment: Mapping[str, str]) -> None:
        settings = rig.pool.process_environment() | dict(environment)
        folder = rig.folder / f"member-{number}"
        folder.mkdir(exist_ok=True)
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "workers", "run"],
                cwd=rig.pool.folder,
                env=settings | {"TOWER_RUN_DIR": str(folder)},
                stdout=log,
                stderr=log,
            )

    def end(self, how: signal.Signals) -> bool:
        """Signal it and wait for its end; True where it was killed."""
        self.process.send_signal(how)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return True
        return how is signal.SIGKILL


def expect_forward(rig: Rig) -> None:
    """No committed offset ever moved back: nobody committed what was no longer his."""
    back = [
        f"partition {number}: {before.offsets[number]} to {after.offsets[number]}"
        for before, after in pairwise(rig.sampler.commits)
        for number in before.offsets
        if after.offsets.get(number, 0) < before.offsets[number]
    ]
    rig.expect("commits move forward", not back, f"{len(rig.sampler.commits)} looks, back: {back[:5]}")


@pytest.mark.faults(12)
@pytest.mark.parametrize(
    ("settings", "static"),
    [
        pytest.param({}, True, id="classic, static members"),
        pytest.param({}, False, id="classic, dynamic members among static ones"),
        pytest.param(
            {"TOWER_KAFKA_PARTITION_ASSIGNMENT_STRATEGY": "cooperative-sticky"}, False, id="cooperative"
        ),
        pytest.param({"TOWER_KAFKA_GROUP_PROTOCOL": "consumer"}, False, id="KIP-848"),
    ],
)
def test_a_rebalance_storm_commits_only_what_is_owned(
    rig: Rig, settings: dict[str, str], static: bool
) -> None:
    """A fourth and a fifth worker come and go every 1.5 s, by SIGTERM or SIGKILL, for 40 s."""
    rig.start(settings)
    rig.proxy.set(Fault(latency_s=0.05))
    draw = random.Random(rig.seed)
    members: dict[int, Member] = {}
    kills, moves = 0, 0
    ends = time.monotonic() + 40
    try:
        while time.monotonic() < ends:
            number = draw.choice((3, 4))
            if number in members:
                kills += members.pop(number).end(draw.choice((signal.SIGTERM, signal.SIGKILL)))
            else:
                members[number] = Member(
                    rig, number, settings | ({"TOWER_WORKER": str(number)} if static else {})
                )
            moves += 1
            rig.run_for(1.5)
    finally:
        for member in members.values():
            kills += member.end(signal.SIGTERM)
    rig.proxy.set(None)
    rig.healed()
    # A member that was killed keeps what it had until its session ends: 10 s, or the broker's 45.
    rig.until(rig.pool.is_complete, 60, "the pool to own all partitions")
    expect_forward(rig)
    rig.figure("moves", moves)
    rig.figure("kills", kills)

    rig.finish(crashes=moves)


@pytest.mark.faults(13)
def test_a_worker_that_sleeps_through_its_eviction_can_do_no_harm(rig: Rig) -> None:
    """SIGSTOP with a write in flight; when it wakes, another has its partition and has written on.

    Its 204 is there when it wakes, so the first thing it wants is to commit: that must be refused.
    """
    rig.start({"TOWER_KAFKA_MAX_POLL_INTERVAL_MS": "30000"})
    rig.run_for(3)
    rig.proxy.set(Fault(reply=Reply.HOLD, times=1))
    rig.until(lambda: rig.proxy.held > 0, 20, "a write whose answer is held")
    held = next(
        request for request in reversed(rig.proxy.requests) if request.upstream == 204 != request.status
    )
    partition = min(held.partitions)
    victim = rig.pool.owner(partition)
    slept = time.monotonic()
    pid = rig.pool.signal(victim, signal.SIGSTOP)
    rig.proxy.release()
    try:
        takeover = rig.until_written(slept, partition, 60)
        rig.run_for(max(5.0, 40 - takeover))
    finally:
        os.kill(pid, signal.SIGCONT)
    woke = time.monotonic()
    rig.until(
        lambda: "lost" in rig.pool.log(victim) or "commit failed" in rig.pool.log(victim), 30, "regret"
    )
    rig.healed(woke)
    rig.until(rig.pool.is_complete, 60, "the pool to own all partitions")
    rig.figure("takeover_s", takeover)
    rig.expect("takeover", takeover <= 30, f"another wrote partition {partition} after {takeover:.1f} s")
    expect_forward(rig)

    rig.finish(crashes=2)


@pytest.mark.faults(39)
def test_a_topic_that_grows_again_and_again_stops_nobody(rig: Rig) -> None:
    """Past 16 partitions, which was a limit once. The workers stay the same processes."""
    rig.start()
    before = rig.pool.pids().values()
    with watched(rig) as watch:
        for partitions in (6, 12, 24):
            watch.cause = f"the topic grew to {partitions} partitions"
            rig.grow(partitions)
            # Kafka's client looks for new partitions every 30 s (topic.metadata.refresh.interval.ms).
            rig.until(rig.pool.is_complete, 90, f"each of {partitions} partitions to have a worker")
            rig.run_for(rig.seconds(8, 2))
            watch.cause = ""
    rig.healed()
    rig.expect_same_processes(before, rig.pool.pids().values())
    stopped = [state["stopped"] for state in rig.pool.states() if state["stopped"]]
    rig.expect("all are read", not stopped, f"stopped partitions {stopped}")

    rig.finish()
    empty = [number for number, book in enumerate(rig.ledger.books) if not any(True for _ in book.acked())]
    assert not empty, f"nothing was sent to partitions {empty}"
