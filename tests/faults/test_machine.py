"""Faults of the machine around the workers: no supervisor, no more open files, no more memory."""

import resource
import signal
import time

import psutil
import pytest

from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS

#: Seconds a group member may be silent: so long two processes may think that a partition is theirs.
SESSION_S = 15.0

#: Open files a worker has to make do with, as after `ulimit -n 64`.
FILES = 64

#: Bytes of data that are too few for a worker: the stacks of its threads alone are more.
DATA = 40_000_000


def generations(rig: Rig) -> tuple[list[psutil.Process], list[psutil.Process]]:
    """The pool's worker processes: those whose supervisord lives, and the orphans."""
    kept: list[psutil.Process] = []
    left: list[psutil.Process] = []
    for process in rig.pool.orphans():
        try:
            parent = process.parent()
            (kept if parent and "supervisord" in " ".join(parent.cmdline()) else left).append(process)
        except psutil.NoSuchProcess:
            continue
    return kept, left


@pytest.mark.faults(30)
def test_workers_without_their_supervisord_work_on_and_make_room_for_the_next(rig: Rig) -> None:
    """SIGKILL for supervisord, three times; started again after 10 s, at once, and after 10 s."""
    rig.start()
    slowest = 0.0
    for pause in (10.0, 0.0, 10.0):
        rig.run_for(3)
        killed = time.monotonic()
        rig.pool.kill_supervisord()
        rig.run_for(pause)
        if pause:
            gap = max(
                rig.proxy.longest_gap(killed, time.monotonic(), partition)
                for partition in range(PARTITIONS)
            )
            _, left = generations(rig)
            rig.expect(
                "work on", len(left) == 3 and gap < 2, f"{len(left)} orphans, longest silence {gap:.2f} s"
            )
        began = time.monotonic()
        rig.pool.start(wait=False)
        rig.until(lambda: len(generations(rig)[0]) == 3, 30, "three new workers")
        rig.until(lambda: not generations(rig)[1], 2 * SESSION_S, "the orphans to end")
        slowest = max(slowest, time.monotonic() - began)
        rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    rig.healed()
    rig.figure("orphans_s", slowest)
    rig.expect(
        "one owner",
        slowest <= SESSION_S,
        f"orphans gone {slowest:.1f} s after the start, at most {SESSION_S:g}",
    )

    rig.finish(crashes=3 * PARTITIONS)


@pytest.mark.faults(30)
def test_a_worker_out_of_files_waits_and_one_out_of_memory_is_started_again(rig: Rig) -> None:
    """All workers restarted with 64 files; then not one file more, for 20 s; then too little memory."""
    rig.start()
    supervisord = rig.pool.pid
    soft, hard = resource.prlimit(supervisord, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisord, resource.RLIMIT_NOFILE, (FILES, hard))
    rig.pool.control("restart", "all")
    rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    rig.run_for(3)
    pids = rig.pool.pids()
    used = {worker: psutil.Process(pid).num_fds() for worker, pid in pids.items()}
    rig.expect("64 files", max(used.values()) < FILES, f"open files by worker {used}")

    # Not one more: every connection to InfluxDB has to be made anew, and cannot be.
    for pid in pids.values():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, hard))
    rig.proxy.down()
    rig.run_for(1)
    rig.proxy.up()
    begun = time.monotonic()
    rig.run_for(20)
    states = {state["worker"]: (state["state"], state["why"]) for state in rig.pool.states()}
    none = rig.proxy.first_write(begun)
    for pid in pids.values():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (FILES, hard))
    healed = time.monotonic()
    rig.until_written(healed)
    rig.healed(healed)
    rig.expect("out of files", none is None, f"no write for 20 s: {none is None}; states {states}")
    rig.expect_same_processes(pids.values(), rig.pool.pids().values())
    resource.prlimit(supervisord, resource.RLIMIT_NOFILE, (soft, hard))

    # Memory: each new process lacks some at its start, and tries again until it is there.
    soft, hard = resource.prlimit(supervisord, resource.RLIMIT_DATA)
    resource.prlimit(supervisord, resource.RLIMIT_DATA, (DATA, hard))
    before = len(rig.pool.spawned())
    for worker in range(rig.pool.workers):
        rig.pool.signal(worker, signal.SIGKILL)
    rig.run_for(10)
    tried = len(rig.pool.spawned()) - before
    spent = {number: worker["statename"] for number, worker in rig.pool.processes().items()}
    resource.prlimit(supervisord, resource.RLIMIT_DATA, (soft, hard))
    healed = time.monotonic()
    rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    back = max(rig.until_written(healed, partition) for partition in range(PARTITIONS))
    rig.healed(healed)
    rig.expect(
        "out of memory",
        3 <= tried <= 3 * 12 and "FATAL" not in spent.values(),
        f"{tried} starts in 10 s, then {spent}; all partitions written {back:.1f} s after there was memory",
    )

    rig.finish(crashes=PARTITIONS)
