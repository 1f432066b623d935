"""Which faults run, on which lab, and what is kept of each."""

import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.topology import LabOptions, Topology
from tests.faults.harness.repair import repair
from tests.faults.harness.result import Result
from tests.faults.harness.rig import Rig

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent

#: What is kept of failures, and the results of all runs.
KEPT = ROOT / "var" / "faults"

#: Seconds one scenario may take in all, the start of the lab included.
TIMEOUT_S = 600


def chosen() -> set[str]:
    """The faults named by ONLY=8,15,22; none means all."""
    return {number.strip() for number in os.environ.get("ONLY", "").split(",") if number.strip()}


def seed() -> int:
    """The seed from SEED, else a new one."""
    text = os.environ.get("SEED", "")
    return int(text) if text else random.SystemRandom().randrange(1, 10**6)


SEED = seed()

#: Words of test names that have capitals.
NAMES = {"influxdb": "InfluxDB", "kafka": "Kafka", "sigterm": "SIGTERM", "tls": "TLS"}


def number(item: pytest.Item) -> str:
    """The fault a test is about, as in `@pytest.mark.faults("8")`; nothing for a test of another kind."""
    mark = item.get_closest_marker("faults")
    return str(mark.args[0]) if mark and mark.args else ""


def sentence(name: str) -> str:
    """A test's name as a person would write it."""
    words = name.removeprefix("test_").split("_")
    return " ".join([NAMES.get(word, word) for word in words])


def is_quick(config: pytest.Config) -> bool:
    """Whether only the quick part runs (`-m quick`, or `-m "not faults or quick"`), on a single node."""
    return "quick" in str(config.option.markexpr)


def pytest_report_header() -> str:
    """Every run says how to repeat it."""
    return f"faults: SEED={SEED}" + (f" ONLY={','.join(sorted(chosen()))}" if chosen() else "")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen faults, in the order of their numbers."""
    mine = [item for item in items if HERE in item.path.parents]
    others = [item for item in items if HERE not in item.path.parents]
    wanted = chosen()
    kept = [item for item in mine if not wanted or number(item) in wanted]
    config.hook.pytest_deselected(items=[item for item in mine if item not in kept])
    for item in kept:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))
    # Controls, whose names are words, come first: they show that the checks can see.
    kept.sort(
        key=lambda item: (number(item).isdigit(), int(number(item) or 0) if number(item).isdigit() else 0)
    )
    items[:] = others + kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Let the rig know whether its scenario failed."""
    report = yield
    if report.when == "call":  # type: ignore[attr-defined]
        item.stash[FAILED] = report.longreprtext if report.failed else ""  # type: ignore[attr-defined]
    return report


FAILED = pytest.StashKey[str]()


@pytest.fixture(scope="session")
def fault_lab(request: pytest.FixtureRequest) -> Iterator[Lab]:
    """Three controllers and three brokers; for the quick part the one node that all tests share.

    LAB=folder uses a lab that is up already and leaves it up.
    """
    if is_quick(request.config):
        yield request.getfixturevalue("lab")
        return
    if folder := os.environ.get("LAB"):
        yield Lab(Path(folder)).up()
        return
    with (
        tempfile.TemporaryDirectory(prefix="tower-lab-") as folder,
        Lab(Path(folder) / "lab", LabOptions.free_ports(Topology.CLUSTER)) as up,
    ):
        yield up


@pytest.fixture
def rig(fault_lab: Lab, request: pytest.FixtureRequest) -> Iterator[Rig]:
    """A scenario's rig; afterwards all of it is stopped, and the result written down."""
    lab = fault_lab
    repair(lab)
    title = sentence(request.node.originalname)
    if hasattr(request.node, "callspec"):
        title += f" ({request.node.callspec.id})"
    result = Result(number(request.node), title, SEED, lab.plan.topology.value)
    new_rig = Rig(lab, result, quick=is_quick(request.config))
    begun = time.monotonic()
    try:
        yield new_rig
    finally:
        new_rig.close()
        result.seconds = result.seconds or round(time.monotonic() - begun, 1)
        result.error = result.error or request.node.stash.get(FAILED, "did not run to its end")[-2_000:]
        if not new_rig.quick:
            result.append(KEPT / "results.json")
        if result.ok:
            new_rig.discard()
        else:
            new_rig.keep_evidence(KEPT)
            new_rig.discard()
        for verdict in result.verdicts:
            print(verdict)
        print(f"fault {result.fault}: {'passed' if result.ok else 'FAILED'}", result.figures)
