"""Faults of Kafka's own nodes: killed, stopped, restarted, paused."""

import json
import time

import psutil
import pytest

from lab.kafka.node import Node, Role
from lab.kafka.topics import OFFSETS
from tests.faults.harness.repair import repair
from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS

#: Seconds after its last heartbeat until a broker's partitions get other leaders, in this lab.
BROKER_SESSION_S = 6.0

#: Seconds without a write that a killed broker may cost.
RECOVERY_S = 12.0

#: Seconds without a write that a paused one may cost: a request to it has to time out (15 s, see
#: workers/kafka/properties.py), and who then happens to connect to it again, to ask who leads now, waits a
#: while more.
SILENCE_S = 25.0


def nodes(rig: Rig, role: Role) -> list[Node]:
    """The nodes of one role."""
    return [node for node in rig.lab.nodes if node.spec.role is role]


def active_controller(rig: Rig) -> Node:
    """The controller that leads the quorum, as the others have written it down."""
    votes = [
        json.loads((node.folder / "data" / "__cluster_metadata-0" / "quorum-state").read_text())
        for node in nodes(rig, Role.CONTROLLER)
        if node.pid is not None
    ]
    newest = max(votes, key=lambda vote: int(vote["leaderEpoch"]))
    return rig.lab.node(int(newest["leaderId"]))


def until_in_sync(rig: Rig) -> None:
    """Wait until every replica of the topic and of the committed offsets is in sync."""
    repair(rig.lab)
    topics = rig.lab.topics
    rig.until(lambda: topics.all_in_sync(rig.name) and topics.all_in_sync(OFFSETS), 60, "replicas in sync")


def silence(rig: Rig, since: float) -> float:
    """Longest time since then without an acknowledged write of some partition."""
    return max(rig.proxy.longest_gap(since, time.monotonic(), number) for number in range(PARTITIONS))


def expect_no_reset(rig: Rig) -> None:
    """No partition began again at its beginning or was stopped for a lost offset."""
    stopped = {state["worker"]: state["stopped"] for state in rig.pool.states() if state.get("stopped")}
    rig.expect("no reset", not stopped, f"partitions stopped: {stopped}")


@pytest.mark.faults(1)
def test_a_leader_killed_costs_seconds_and_no_record(rig: Rig) -> None:
    """SIGKILL for the leader of partition 0, then for the other brokers in turn."""
    rig.start()
    before = rig.pool.pids()
    worst = 0.0
    leader = rig.lab.topics.leader(rig.name, 0)
    order = [leader, *(node.spec.id for node in nodes(rig, Role.BROKER) if node.spec.id != leader)]
    for number in order:
        rig.run_for(2)
        killed = time.monotonic()
        rig.lab.node(number).kill()
        rig.run_for(16)
        worst = max(worst, silence(rig, killed))
        until_in_sync(rig)
    rig.healed()
    rig.figure("recovery_s", worst)
    rig.expect("recovery", worst <= RECOVERY_S, f"longest silence {worst:.1f} s, at most {RECOVERY_S:g}")
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=len(order) * PARTITIONS)


@pytest.mark.faults(2)
def test_two_of_three_brokers_killed_makes_everybody_wait(rig: Rig) -> None:
    """Producers stall, since two replicas must have a record; the workers stay as they are."""
    rig.start()
    before = rig.pool.pids()
    rig.run_for(3)
    leader = rig.lab.topics.leader(rig.name, 0)
    others = [node.spec.id for node in nodes(rig, Role.BROKER) if node.spec.id != leader]
    for number in (leader, others[0]):
        rig.lab.node(number).kill()
    rig.run_for(20)
    stalled = rig.load.delivered
    rig.run_for(2)
    rig.expect("stall", rig.load.delivered == stalled, f"{rig.load.delivered - stalled} records confirmed")
    rig.lab.node(others[0]).start()
    rig.until(lambda: rig.load.delivered > stalled, 60, "Kafka to confirm records again")
    rig.healed()
    rig.until_written(time.monotonic())
    rig.run_for(5)
    until_in_sync(rig)
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=PARTITIONS)


@pytest.mark.faults(3)
def test_all_brokers_down_for_a_minute_and_started_cold_is_a_pause(rig: Rig) -> None:
    """SIGKILL for all three at once."""
    rig.start()
    before = rig.pool.pids()
    rig.run_for(3)
    for node in nodes(rig, Role.BROKER):
        node.kill()
    rig.run_for(60)
    for node in nodes(rig, Role.BROKER):
        node.start()
    rig.until(lambda: all(node.serving() for node in nodes(rig, Role.BROKER)), 90, "the brokers to serve")
    rig.healed()
    rig.until_written(time.monotonic(), timeout_s=60)
    until_in_sync(rig)
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=PARTITIONS)


@pytest.mark.faults(4)
def test_records_flow_without_an_active_controller_and_without_a_majority(rig: Rig) -> None:
    """SIGKILL for the active controller, then for the next one: brokers go on with what they know."""
    rig.start()
    before = rig.pool.pids()
    rig.run_for(3)
    killed = time.monotonic()
    first = active_controller(rig)
    first.kill()
    rig.run_for(15)
    one = silence(rig, killed)
    second = active_controller(rig)
    second.kill()
    rig.run_for(25)
    two = silence(rig, killed)
    rig.expect("controllers", first is not second, f"{first.name} and then {second.name}")
    rig.expect("flow", one <= 20, f"longest silence {one:.1f} s with one lost, {two:.1f} s with two")
    rig.figure("silence_s", two)
    until_in_sync(rig)
    rig.healed()
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish()


@pytest.mark.faults(5)
def test_a_rolling_restart_of_all_nodes_under_load_repeats_nothing(rig: Rig) -> None:
    """Three rounds of the brokers and one of the controllers: SIGTERM, one at a time, in sync between."""
    rig.start()
    before = rig.pool.pids()
    began = time.monotonic()
    rounds = [*nodes(rig, Role.BROKER) * 3, *nodes(rig, Role.CONTROLLER)]
    for node in rounds:
        node.stop()
        node.start()
        rig.until(node.serving, 60, f"{node.name} to serve")
        until_in_sync(rig)
    rig.healed()
    rig.figure("silence_s", silence(rig, began))
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish()


def offsets_partition(group: str, partitions: int) -> int:
    """The partition of __consumer_offsets that keeps a group, by Java's hash of its name.

    Asking Kafka for the coordinator while it is away can abort the asking client (librdkafka's assertion
    `eonce->refcnt > 0`); asking for a partition's leader cannot.
    """
    hashed = 0
    for char in group:
        hashed = (31 * hashed + ord(char)) & 0xFFFFFFFF
    signed = hashed - 2**32 if hashed >= 2**31 else hashed
    return abs(signed) % partitions


@pytest.mark.faults(6)
def test_a_coordinator_killed_during_commits_never_lets_a_commit_lead(rig: Rig) -> None:
    """SIGKILL for the broker that keeps the group's offsets, three times, watched five times a second."""
    rig.start()
    rig.sampler.interval_s = 0.2
    before = rig.pool.pids()
    topics, moved = rig.lab.topics, []
    partition = offsets_partition(rig.group, topics.partitions(OFFSETS))
    for _ in range(3):
        rig.run_for(3)
        number = topics.leader(OFFSETS, partition)
        rig.lab.node(number).kill()
        killed = time.monotonic()
        wrong = {number, -1}
        rig.until(lambda wrong=wrong: topics.leader(OFFSETS, partition) not in wrong, 60, "another one")  # type: ignore[misc]
        moved.append(time.monotonic() - killed)
        rig.run_for(5)
        until_in_sync(rig)
    rig.healed()
    rig.figure("coordinator_s", max(moved))
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=3 * PARTITIONS)


@pytest.mark.faults(7)
def test_a_paused_leader_is_slow_and_not_dead(rig: Rig) -> None:
    """SIGSTOP for the leader of partition 0 for 30 s: connections stay open and say nothing."""
    # Else the load itself would wait for the paused leader all the while, and there were nothing to write.
    rig.producer = {"request.timeout.ms": 5_000, "topic.metadata.refresh.interval.ms": 2_000}
    rig.start()
    before = rig.pool.pids()
    rig.run_for(5)
    node = rig.lab.node(rig.lab.topics.leader(rig.name, 0))
    workers = [psutil.Process(pid) for pid in before.values()]
    spent = {worker.pid: sum(worker.cpu_times()[:2]) for worker in workers}
    paused = time.monotonic()
    node.pause()
    rig.run_for(30)
    share = max((sum(worker.cpu_times()[:2]) - spent[worker.pid]) / 30 for worker in workers)
    node.resume()
    rig.healed()
    rig.until_written(time.monotonic())
    worst = silence(rig, paused)
    rig.figure("silence_s", worst)
    rig.figure("worker_cpu_share", share)
    rig.expect("no spin", share < 0.2, f"busiest worker used {share:.1%} of a core")
    text = f"longest silence {worst:.1f} s of 30 s of pause, at most {SILENCE_S:g}"
    rig.expect("recovery", worst <= SILENCE_S, text)
    until_in_sync(rig)
    rig.expect_same_processes(before.values(), rig.pool.pids().values())
    expect_no_reset(rig)

    rig.finish(crashes=PARTITIONS)
