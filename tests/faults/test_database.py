"""Faults of InfluxDB and of the way to it: errors, silence, cuts, kills, full disks, credentials."""

import random
import sys
import time

import pytest

from tests.faults.harness.disk import small_influxdb
from tests.faults.harness.http_fault import Cut, Fault, Reply
from tests.faults.harness.influxdb_admin import Admin
from tests.faults.harness.rig import Rig


@pytest.mark.quick
@pytest.mark.faults(14)
def test_503_and_429_with_retry_after_are_waited_out_as_told(rig: Rig) -> None:
    """No request comes before the time the server named, and the same body comes after it."""
    rig.start()
    rig.run_for(rig.seconds(5, 0.5))
    before = rig.pool.counter("rebalances")
    early = waits = same = 0
    for status, asked in ((503, "2"), (429, "1")) if rig.quick else ((503, "3"), (429, "2")) * 4:
        since = time.monotonic()
        rig.proxy.set(Fault(status=status, headers={"Retry-After": asked}, body=b'{"message":"later"}'))
        rig.run_for(rig.seconds(5, 1.5))
        refused = [answer for answer in rig.proxy.writes(since) if answer.status == status]
        waits += len(refused)
        rig.proxy.set(None)
        healed = time.monotonic()
        rig.run_for(float(asked) + 1)
        for each in refused:
            later = [one for one in rig.proxy.writes(each.ended) if one.partitions == each.partitions]
            early += sum(one.started < each.ended + float(asked) - 0.05 for one in later)
            same += any(one.digest == each.digest for one in later)
    rig.healed(healed)
    rig.expect(
        "Retry-After", early == 0 and waits > 0, f"{early} requests came early of {waits} waits to wait"
    )
    rig.expect("same body", same == waits, f"{same} of {waits} refused bodies came again as they were")
    rebalances = rig.pool.counter("rebalances") - before
    rig.expect("membership", rebalances == 0, f"{rebalances} rebalances")

    rig.finish()


@pytest.mark.quick
@pytest.mark.faults(15)
def test_a_write_whose_answer_never_comes_is_sent_again_and_stored_once(rig: Rig) -> None:
    """InfluxDB has the points, the worker hears a reset, or nothing at all."""
    rig.start({"TOWER_INFLUXDB_TIMEOUT_S": "5"})
    for _ in range(1 if rig.quick else 3):
        rig.proxy.set(Fault(reply=Reply.SWALLOW, chance=0.5))
        rig.run_for(rig.seconds(8, 2))
        rig.proxy.set(None)
        rig.run_for(rig.seconds(3, 0.5))
    if not rig.quick:
        rig.proxy.set(Fault(reply=Reply.HOLD))
        rig.run_for(12)
        rig.proxy.set(Fault(reply=Reply.NEVER))
        rig.run_for(12)
    unheard = [request for request in rig.proxy.requests if request.upstream == 204 != request.status]
    rig.healed(rig.proxy.heal())
    rig.expect("ambiguous", bool(unheard), f"{len(unheard)} writes were stored without an answer")

    rig.finish()


@pytest.mark.faults(16)
def test_a_body_cut_anywhere_is_never_half_stored_and_comes_again(rig: Rig) -> None:
    """Closed, reset, half-closed and shortened (well-formed HTTP around a truncated gzip stream)."""
    rig.start()
    for cut in Cut:
        rig.proxy.set(Fault(cut=cut, chance=0.7))
        rig.run_for(rig.seconds(8, 1.5))
        rig.proxy.set(None)
        rig.run_for(rig.seconds(2, 0.5))
    rig.proxy.set(Fault(reply=Reply.SLOW_CLOSE, slice_bytes=100))
    rig.run_for(rig.seconds(5, 1))
    rig.healed(rig.proxy.heal())
    cuts = [request for request in rig.proxy.requests if not request.lines]
    stored = [request for request in cuts if request.upstream == 204]
    answers = sorted({request.upstream for request in cuts})
    rig.expect(
        "cut", bool(cuts) and not stored, f"{len(cuts)} bodies cut, answers {answers}, {len(stored)} stored"
    )

    rig.finish()


@pytest.mark.faults(18)
def test_influxd_killed_during_writes_has_all_it_acknowledged(rig: Rig) -> None:
    """SIGKILL and restart, ten times: a 204 is in the fsynced WAL, whatever follows."""
    rig.start()
    draw = random.Random(rig.seed)
    server = rig.lab.influxdb
    slowest = 0.0
    for _ in range(10):
        rig.run_for(draw.uniform(1.0, 4.0))
        server.kill()
        rig.run_for(draw.uniform(0.2, 2.0))
        server.start()
        rig.until(server.serving, 60, "InfluxDB to serve again")
        healed = time.monotonic()
        slowest = max(slowest, rig.until_written(healed))
    rig.healed(healed)
    rig.figure("recovery_s", slowest)
    rig.expect("recovery", slowest <= 2, f"serving to first write {slowest:.2f} s, at most 2")

    # A write that was cut off may be in the WAL although nobody heard its 204.
    rig.finish()


@pytest.mark.quick
@pytest.mark.faults(20)
def test_a_revoked_token_drops_nothing_and_a_rotated_one_is_taken_up(rig: Rig) -> None:
    """Inactive for a minute (403) and active again; then deleted (401), and another one in the file."""
    rig.start({"TOWER_PROBE_S": "1"} if rig.quick else {})
    admin = Admin(rig.lab)
    rig.run_for(rig.seconds(3, 1))
    pids = rig.pool.pids()
    admin.activate(rig.token, active=False)
    # What was under way when the token went may still have been committed.
    rig.run_for(1)
    before = rig.sampler.committed()
    rig.run_for(rig.seconds(60, 3))
    after = rig.sampler.committed()
    admin.activate(rig.token, active=True)
    back = rig.until_written(time.monotonic())
    rig.run_for(rig.seconds(3, 1))
    new = admin.replace(rig.token, rig.name)
    rig.run_for(rig.seconds(8, 2))
    refused = sorted({request.status for request in rig.proxy.requests} - {204})
    rig.rotate(new)
    changed = time.monotonic()
    rig.healed(changed)
    again = rig.until_written(changed)
    complaints = sum(rig.pool.log(number).count(" ERROR ") for number in range(rig.pool.workers))
    rig.expect("refused", refused == [401, 403], f"answers besides 204: {refused}")
    rig.expect("uncommitted", before == after, f"committed when it went {before}, when it came {after}")
    rig.expect("no restart", rig.pool.pids() == pids, f"of {len(pids)} processes")
    rig.expect("log", 0 < complaints <= 3 * 6, f"{complaints} complaints in the logs of three workers")
    text = f"first write {back:.1f} s after it was back, {again:.1f} s after the new one"
    rig.expect("resumes", back <= 8 and again <= 8, text)

    rig.finish()


@pytest.mark.faults(21)
def test_a_bucket_deleted_and_made_again_is_waited_for(rig: Rig) -> None:
    """404 while it is gone, 403 from when it is back, as the token was for the old one; then a new token.

    What had been committed when the bucket went is gone with it and is not asked for again.
    """
    rig.start()
    admin = Admin(rig.lab)
    rig.run_for(5)
    pids = rig.pool.pids()
    rig.sampler.forget(dict.fromkeys(range(3), sys.maxsize))
    admin.remove_bucket(rig.name)
    rig.run_for(2)
    rig.exclude_committed()
    rig.run_for(15)
    # The lab keeps no token that the new bucket refuses; the workers' own file stays as it is.
    rig.lab.secrets.worker_token(rig.name).unlink()
    rig.lab.create_bucket(rig.name)
    rig.run_for(15)
    refused = sorted({request.status for request in rig.proxy.requests} - {204})
    committed = rig.sampler.committed()
    rig.rotate(admin.replace(rig.token, rig.name))
    changed = time.monotonic()
    rig.healed(changed)
    again = rig.until_written(changed)
    rig.expect("refused", {404, 403} <= set(refused), f"answers besides 204: {refused}")
    rig.expect("uncommitted", committed == rig.excluded, f"committed {rig.excluded} and later {committed}")
    rig.expect("no restart", rig.pool.pids() == pids, f"of {len(pids)} processes")
    rig.expect("resumes", again <= 8, f"first write {again:.1f} s after the new token")

    rig.finish()


@pytest.mark.faults(17)
def test_a_slow_way_to_influxdb_makes_the_lag_grow_and_nothing_else(rig: Rig) -> None:
    """5 KB/s for each worker and 5 s for each answer, for 90 s: a body of 5,000 lines takes 30 s.

    The load is 500 records/s meanwhile, which is far more than the way carries.
    """
    rig.start()
    rig.run_for(3)
    pids = rig.pool.pids()
    rebalances = rig.pool.counter("rebalances")
    rig.load.rate = 500
    rig.proxy.set(Fault(bytes_per_s=5_000, latency_s=5.0))
    rig.run_for(90)
    lag = rig.load.delivered - sum(rig.sampler.committed().values())
    moved = rig.pool.counter("rebalances") - rebalances
    rig.healed(rig.proxy.heal())
    rig.figure("lag_records", lag)
    rig.expect("lag", lag > 10_000, f"{lag} records behind when the way was free again")
    rig.expect("membership", moved == 0, f"{moved} rebalances")
    rig.expect("no restart", rig.pool.pids() == pids, f"of {len(pids)} processes")

    rig.finish()


@pytest.mark.faults(19)
def test_a_full_disk_of_influxdb_is_waited_out(rig: Rig) -> None:
    """The engine on a file system of 64 MB in memory, filled to the last block for 15 s, three times.

    Once its write-ahead log met the full disk, influxd goes on answering 500 when there is space again: the
    buffer of that segment keeps its first error. So it is restarted, as an operator would, and twice, for
    the reason `FlushingServer` tells; the workers are not.
    """
    with small_influxdb(rig.folder / "influxdb") as (server, secrets, disk):
        rig.use(server, secrets)
        rig.start()
        refused: set[int] = set()
        pids = rig.pool.pids()
        for _ in range(3):
            rig.run_for(5)
            since = time.monotonic()
            disk.fill()
            rig.run_for(15)
            refused |= {request.upstream for request in rig.proxy.writes(since)} - {204}
            disk.free()
            # The first start truncates the log and appends behind the hole; a clean stop then empties it.
            for _ in range(2):
                server.stop()
                server.start()
                rig.until(server.serving, 60, "InfluxDB to serve again")
            healed = time.monotonic()
            rig.healed(healed)
            rig.until_written(healed)
        rig.expect("refused", 500 in refused, f"answers besides 204: {sorted(refused)}")
        rig.expect(
            "no restart",
            rig.pool.pids() == pids,
            f"of {len(pids)} processes",
        )

        rig.finish()
