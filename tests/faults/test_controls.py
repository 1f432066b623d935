"""Negative controls: six workers broken on purpose, and the check that must report each of them."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.faults.harness import checks, stored
from tests.faults.harness.checks import Verdict
from tests.faults.harness.controls import KINDS
from tests.faults.harness.http_fault import Fault, Reply
from tests.faults.harness.rig import Rig
from tests.support.pool import ROOT

REFUSED = Fault(status=401, body=b'{"code":"unauthorized"}')
BUSY = Fault(status=503, body=b'{"code":"unavailable"}')
UNHEARD = Fault(reply=Reply.SWALLOW, chance=0.5)

#: Seconds the fault lasts: longer than the pauses of the controls' retries, and a few samples long.
FAULT_S = 2.0

#: Each control with the fault that makes it do harm, and the check that has to see it.
CONTROLS = [
    pytest.param("commit_before_write", BUSY, "C3", id="commit before write"),
    pytest.param("auto_commit", BUSY, "C3", id="auto-commit"),
    pytest.param("clear_on_error", BUSY, "C1", id="clear on error"),
    pytest.param("batching_write_api", REFUSED, "C1", id="batching WriteApi"),
    pytest.param("drop_on_401", REFUSED, "C1", id="drop on 401"),
    pytest.param("clock_timestamps", UNHEARD, "C5", id="clock timestamps"),
]


@contextlib.contextmanager
def running(kind: str, rig: Rig) -> Iterator[subprocess.Popen[bytes]]:
    """The control as a process, until the block ends; then it is killed."""
    with (rig.folder / "control.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.harness.controls", kind],
            cwd=ROOT,
            env=rig.pool.process_environment(),
            stdout=log,
            stderr=log,
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


@pytest.mark.quick
@pytest.mark.faults("control")
@pytest.mark.parametrize(("kind", "fault", "check"), CONTROLS)
def test_a_broken_worker_is_reported(rig: Rig, kind: str, fault: Fault, check: str) -> None:
    rig.records, rig.rate = 2_000, 1_000
    rig.start(pool=False)
    with running(kind, rig) as process:
        rig.until(lambda: rig.proxy.acknowledged() > 0, 30, "the control's first write")
        rig.proxy.set(fault)
        rig.run_for(FAULT_S)
        rig.proxy.heal()
        rig.load.wait(rig.records, 30)
        rig.load.stop()
        rig.drain()
        # What is committed may yet be on its way to InfluxDB, without any doubt for no more than this.
        rig.run_for(1)
        assert process.poll() is None, "the control ended by itself; see control.log"
        rig.sampler.stop(last=True)
    stored_set = stored.collect(rig.database.points(), rig.ledger)
    verdicts = [
        checks.no_loss(rig.ledger, stored_set),
        checks.no_invention(stored_set),
        checks.commit_never_leads(rig.sampler.log),
        checks.no_duplicates(stored_set),
    ]
    red = {verdict.check: verdict.evidence for verdict in verdicts if not verdict.ok}
    evidence = f"{check} is red: {red[check]}" if check in red else f"{check} is green; red are {red}"
    rig.result.verdicts.append(Verdict("control", check in red, f"{kind}: {evidence}"))

    assert check in red, evidence


def test_all_six_controls_have_their_check() -> None:
    """A control that nobody runs shows nothing."""
    assert {case.values[0] for case in CONTROLS} == set(KINDS)
