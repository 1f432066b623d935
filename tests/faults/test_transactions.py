"""Transactions: markers and aborted records have offsets, and are no records."""

from collections import defaultdict

import pytest

from tests.faults.harness.honesty import watched
from tests.faults.harness.rig import Rig
from tests.faults.harness.transactions import TransactionalLoad


def lags(rig: Rig) -> dict[str, int | None]:
    """The lag of each partition, as its owner's state file has it."""
    return {
        number: account["lag"]
        for state in rig.pool.states()
        for number, account in state["partitions"].items()
        if int(number) in state["owned"]
    }


@pytest.mark.faults(37)
def test_transactions_leave_no_lag_and_a_restart_after_retention_goes_on(rig: Rig) -> None:
    """A quarter is aborted. Retention then takes all that is stored, the last markers included."""
    rig.load_type = TransactionalLoad
    rig.rate = 4_000
    # Aborted ones are sent too.
    rig.records = rig.records * 3 // 2
    rig.start()
    with watched(rig) as watch:
        rig.run_for(rig.seconds(20, 5))
        rig.pause_load()
        rig.until(lambda: set(lags(rig).values()) == {0}, 30, "a lag of 0")
        rig.expect("lag", True, f"lags {lags(rig)} behind markers")
        watch.cause = "the pool is stopped"
        rig.pool.control("stop", "all")
        ends = rig.lab.topics.log_ends(rig.name)
        rig.lab.topics.delete_records(rig.name, ends)
        rig.pool.control("start", "all")
        rig.healed()
        rig.load.rate = rig.rate
        rig.run_for(rig.seconds(10, 3))
        rig.until(rig.pool.is_assigned, 60, "every partition to have a worker")
        rig.until(lambda: not watch.troubles(), 30, "status to be well again")
        watch.cause = ""
    stopped = {
        number: state["stopped"] for number, state in enumerate(rig.pool.states()) if state["stopped"]
    }
    rig.expect("goes on", not stopped, f"stopped partitions {stopped}, log began at {ends}")

    rig.finish()

    assert isinstance(rig.load, TransactionalLoad)
    stored = defaultdict(set)
    for point in rig.database.points():
        stored[point.part].add(point.seq)
    wrong = {(part, seq) for part, seq in rig.load.aborted if seq in stored[part]}
    assert rig.load.aborted
    assert not wrong, f"{len(wrong)} aborted records are stored, of {rig.load.transactions} transactions"
