"""Clocks that are wrong: a worker's, InfluxDB's, the senders'; those that only count seconds stay right."""

import time

import pytest

from tests.faults.harness.clock import Clock
from tests.faults.harness.rig import Rig
from tests.faults.harness.stage import PARTITIONS

HOUR = 3_600

#: Longest silence of a partition in seconds while a clock is wrong: a batch age, a backoff or a wait in
#: Kafka's client that went by the wall clock would last as long as the clock is wrong, an hour or 56 years.
SILENCE_S = 3.0

#: Seconds a clock stays as it was put.
SPAN_S = 6.0


def steps() -> tuple[int, ...]:
    """Seconds by which a clock is wrong, one after the other: ahead, two hours back, in 1970, right."""
    return HOUR, -HOUR, -int(time.time()), 0


def consumed(rig: Rig) -> int:
    """Records that the workers have taken in, by their own accounts."""
    accounts = (account for state in rig.pool.states() for account in state["partitions"].values())
    return sum(int(account["consumed"]) for account in accounts)


@pytest.mark.faults(26)
def test_the_wall_clock_of_a_worker_or_of_influxdb_moves_nothing(rig: Rig) -> None:
    """One hour ahead, one behind, in 1970, and right again: worker 0, then influxd.

    100 records/s leave every batch to its age. Then InfluxDB is away, and worker 0's clock is put back
    meanwhile: a wait that ends at a time of the wall clock would last as long as the step. Points have
    their records' times, so C2 checks what is stored to the second. InfluxDB's own clock matters only where
    a bucket keeps points for a limited time: ahead by more than that, it refuses points (422, fault 22) and
    removes old ones, as it was told to. The bucket here keeps them for ever, as the lab's does.
    """
    rig.start()
    pids = rig.pool.pids()
    rebalances = rig.pool.counter("rebalances")
    rig.run_for(3)
    rig.load.rate = 100
    rig.run_for(2)
    victims = {"worker": pids[0], "influxd": rig.lab.influxdb.pid or 0}
    for name, pid in victims.items():
        clock = Clock(pid)
        silent: dict[int, float] = {}
        heartbeat_lead_s = 0.0
        try:
            for seconds in steps():
                since = time.monotonic()
                clock.skew(seconds)
                rig.run_for(SPAN_S)
                silent[seconds] = max(
                    rig.proxy.longest_gap(since, time.monotonic(), partition)
                    for partition in range(PARTITIONS)
                )
                if name == "worker" and seconds == HOUR:
                    heartbeat_lead_s = float(rig.pool.state(0)["heartbeat"]) - time.time()
        finally:
            clock.back()
        text = ", ".join(f"{gap:.1f} s with {seconds} s" for seconds, gap in silent.items())
        rig.expect(f"{name}: goes on", max(silent.values()) <= SILENCE_S, f"longest silence {text}")
        if name == "worker":
            rig.expect(
                "worker: moved",
                heartbeat_lead_s == pytest.approx(HOUR, abs=10),
                f"its heartbeat {heartbeat_lead_s:.0f} s ahead",
            )
    clock = Clock(pids[0])
    try:
        clock.skew(HOUR)
        rig.proxy.down()
        rig.until(lambda: rig.pool.state(0)["state"] == "waiting", 15, "worker 0 to wait for InfluxDB")
        for seconds in steps()[1:]:
            clock.skew(seconds)
            rig.run_for(2)
        rig.proxy.up()
        healed = time.monotonic()
        (mine,) = rig.pool.state(0)["owned"]
        took = rig.until_written(healed, mine)
    finally:
        clock.back()
    rig.healed(healed)
    rig.expect(
        "backoff",
        took <= SILENCE_S,
        f"worker 0 wrote {took:.1f} s after InfluxDB was back, its clock put back",
    )
    moved = rig.pool.counter("rebalances") - rebalances
    rig.expect("membership", moved == 0, f"{moved} rebalances")
    rig.expect("no restart", rig.pool.pids() == pids, f"of {len(pids)} processes")

    rig.finish(reasons=set())


def implausible(rig: Rig) -> int:
    """Times of records and of Kafka that the workers did not believe, by their own counters."""
    return rig.pool.counter("times_implausible") + rig.pool.counter("kafka_times_implausible")


@pytest.mark.faults(26)
def test_senders_with_wrong_clocks_lose_nothing(rig: Rig) -> None:
    """Records whose own times are an hour off, or from 1970; and senders that stamp their messages so too.

    An hour is believed. 1970 is not: Kafka's time is the point's then, or the record's if the message alone
    is from 1970. If both are, the record is a dead letter. Each is counted.
    """
    rig.start()
    past = 100_000 - int(time.time())
    rig.run_for(3)
    for skew, stamp in ((HOUR, 0), (-HOUR, 0), (past, 0), (0, past), (past, past), (-HOUR, -HOUR)):
        rig.pause_load()
        before, sent = implausible(rig), rig.ledger.attempted
        rig.load.skew_s, rig.load.stamp_s = skew, stamp
        rig.load.rate = rig.rate
        rig.run_for(5)
        rig.pause_load()
        rig.until(lambda: consumed(rig) == rig.ledger.acked, 10, "the workers to have counted all records")
        sent = rig.ledger.attempted - sent
        counted = implausible(rig) - before
        wanted = sent * ((skew == past) + (stamp == past))
        rig.expect(
            f"{skew} s, Kafka's {stamp} s",
            counted == wanted,
            f"{counted} times of {sent} records were not believed",
        )
    rig.load.skew_s = rig.load.stamp_s = 0
    rig.load.rate = rig.rate
    rig.healed()

    rig.finish(reasons={"no_time"})
