"""Offsets that no longer exist: records removed before they were read, topics made anew, logs cut short."""

import re
import signal
import time
from collections.abc import Iterable

import pytest

from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS

#: Records left in front of a partition's end when the others are removed: something to jump to.
LEFT = 1_000

#: Resident megabytes of a worker: the first that starts again has the backlog of all partitions at once.
RSS_MB = 80.0


def remove(rig: Rig, partition: int) -> int:
    """Remove records as retention does; gives the offset of the first that is left."""
    rate, rig.load.rate = rig.load.rate, 0
    rig.load.wait(rig.ledger.attempted, 30)
    cut = rig.lab.topics.log_ends(rig.name)[partition] - LEFT
    committed = rig.sampler.committed()[partition]
    assert committed < cut, f"partition {partition}: {committed} committed, nothing to remove before {cut}"
    # Kafka has lost them, not the workers; what was written already may stay.
    rig.records += rig.ledger.remove(partition, committed, cut)
    rig.lab.topics.delete_records(rig.name, {partition: cut})
    rig.load.rate = rate
    return cut


def beyond(rig: Rig, cuts: dict[int, int]) -> int:
    """Number of stored records at or after these offsets, by partition: each one was jumped to."""
    offsets = [book.offsets for book in rig.ledger.books]
    return sum(
        1
        for point in rig.database.points()
        if offsets[point.part][point.seq] >= cuts.get(point.part, 1 << 62)
    )


def expect_loud(rig: Rig, partitions: Iterable[int], offsets: dict[int, int]) -> None:
    """Log, state and the operator's status tell each partition and its offset."""
    logs = "\n".join(rig.pool.log(worker) for worker in range(rig.pool.workers))
    stopped = re.findall(r"\[(\d+)\] is stopped: offset (\d+) no longer exists", logs)
    missing = [
        (partition, offsets[partition])
        for partition in partitions
        if (str(partition), str(offsets[partition])) not in stopped
    ]
    rig.expect("stopped in the log", not missing, f"partition and offset {stopped}, missing {missing}")
    code, text = rig.pool.operate("status")
    silent = [partition for partition in partitions if f"partition {partition} is not read" not in text]
    rig.expect("stopped by status", code != 0 and not silent, f"exit code {code}, nothing about {silent}")


@pytest.mark.faults(28)
def test_records_removed_before_they_were_read_stop_their_partition_loudly(rig: Rig) -> None:
    """Retention overtakes partition 1 while its worker waits, and partition 0 while the pool is down."""
    rig.rss_mb = RSS_MB
    rig.start()
    rig.run_for(rig.seconds(5, 2))
    rig.proxy.down()
    rig.run_for(rig.seconds(20, 8))
    cuts = {1: remove(rig, 1)}
    rig.proxy.heal()
    rig.until(lambda: rig.pool.stopped().keys() == {1}, 30, "partition 1 to be stopped")
    rig.pool.control("stop", "all")
    rig.run_for(rig.seconds(5, 2))
    cuts[0] = remove(rig, 0)
    rig.pool.control("start", "all")
    rig.until(lambda: rig.pool.stopped().keys() == {0, 1}, 45, "partitions 0 and 1 to be stopped")
    before = rig.sampler.committed()
    rig.run_for(rig.seconds(10, 4))
    after = rig.sampler.committed()
    jumped = beyond(rig, cuts)
    rig.expect(
        "no jump",
        jumped == 0 and all(before[request] == after[request] < cut for request, cut in cuts.items()),
        f"{jumped} records stored from behind the gap; committed {before} and 10 s later {after}, "
        f"records begin at {cuts}",
    )
    rig.expect("neighbour", after[2] > before[2], f"partition 2 went from {before[2]} to {after[2]}")
    expect_loud(rig, cuts, after)
    go_on(rig, cuts)

    rig.finish()


def go_on(rig: Rig, partitions: Iterable[int], where: str = "earliest") -> None:
    """What the worker's own message tells the operator to do."""
    rig.pool.control("stop", "all")
    chosen = [word for number in partitions for word in ("--partition", str(number))]
    code, text = rig.pool.operate("replay", *chosen, "--from", where, "--yes")
    rig.expect("replay", code == 0, f"exit code {code}: {text.splitlines()[-1:]}")
    rig.pool.control("start", "all")
    rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    rig.healed()
    for each in partitions:
        rig.until_written(time.monotonic(), each)
    stopped = rig.pool.stopped()
    rig.expect("way on", not stopped, f"partitions still stopped: {stopped}")


@pytest.mark.faults(28)
@pytest.mark.parametrize("pool", ["running", "paused", "stopped"])
def test_a_topic_made_anew_is_read_from_its_beginning_or_not_at_all(rig: Rig, pool: str) -> None:
    """The new topic grows past the old offsets before anybody looks: each of its records is required."""
    rig.rss_mb = RSS_MB
    rig.start()
    rig.run_for(rig.seconds(5, 2))
    rig.pause_load()
    ends = rig.lab.topics.log_ends(rig.name)
    if pool == "stopped":
        rig.pool.control("stop", "all")
    elif pool == "paused":
        for worker in range(rig.pool.workers):
            rig.pool.signal(worker, signal.SIGSTOP)
    rig.lab.topics.delete(rig.name)
    rig.lab.topics.create(rig.name, PARTITIONS)
    rig.load.renew()
    rig.load.rate = 8_000
    rig.load.wait(2 * rig.ledger.attempted, 60)
    rig.load.rate = rig.rate
    if pool == "stopped":
        rig.pool.control("start", "all")
        rig.until(rig.pool.is_assigned, 60, "the pool to be whole again")
    elif pool == "paused":
        for worker in range(rig.pool.workers):
            rig.pool.signal(worker, signal.SIGCONT)
    rig.run_for(rig.seconds(15, 8))
    stopped = rig.pool.stopped()
    rig.result.notes.append(
        f"the first {ends} records were stored, then the topic was made anew; stopped thereafter: "
        f"{sorted(stopped)}"
    )
    if stopped:
        expect_loud(rig, stopped, ends)
        go_on(rig, stopped)
    else:
        rig.healed()

    # A worker that was paused had at most a batch in hand that its group no longer wanted.
    rig.finish(crashes=PARTITIONS)


@pytest.mark.faults(28)
def test_a_log_cut_short_by_an_unclean_election_stops_its_partition_loudly(rig: Rig) -> None:
    """A follower that was away becomes leader, and its log grows past the offset that was committed."""
    rig.rss_mb = RSS_MB
    topics = rig.lab.topics
    loose = {"min.insync.replicas": "1", "unclean.leader.election.enable": "true"}
    topics.create(rig.name, PARTITIONS, replication=2, config=loose)
    rig.start()
    rig.run_for(3)
    leader = topics.leader(rig.name, 0)
    (follower,) = set(topics.in_sync_replicas(rig.name)[0]) - {leader}
    rig.lab.node(follower).kill()
    rig.until(lambda: topics.in_sync_replicas(rig.name)[0] == [leader], 30, "the follower to be dropped")
    rig.run_for(5)
    rig.pause_load()
    ends = topics.log_ends(rig.name)
    rig.lab.node(leader).kill()
    rig.lab.node(follower).start()
    rig.until(lambda: topics.leader(rig.name, 0) == follower, 60, "the follower to become leader")
    cuts = {partition: end for partition, end in topics.log_ends(rig.name).items() if end < ends[partition]}
    assert 0 in cuts, f"nothing was cut off: the logs ended at {ends}"
    for each, cut in cuts.items():
        # Kafka has lost them, and so what is committed there is ahead of its log.
        rig.records += rig.ledger.remove(each, cut, ends[each])
    rig.sampler.forget({partition: ends[partition] for partition in cuts})
    rig.load.renew()
    rig.load.rate = 8_000
    rig.until(
        lambda: rig.pool.stopped().keys() == cuts.keys(), 30, f"partitions {sorted(cuts)} to be stopped"
    )
    rig.lab.node(leader).start()
    rig.load.rate = rig.rate
    rig.until(lambda: topics.all_in_sync(rig.name), 60, "replicas in sync")
    grown = topics.log_ends(rig.name)
    rig.result.notes.append(f"logs cut from {ends} to {cuts}, and grown to {grown} again")
    jumped = beyond(rig, cuts)
    rig.expect("no jump", jumped == 0, f"{jumped} records stored from the new log")
    expect_loud(rig, cuts, ends)
    for each, cut in cuts.items():
        go_on(rig, [each], str(cut))

    rig.finish(crashes=PARTITIONS)
