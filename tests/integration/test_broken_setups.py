"""Each broken set-up is named within seconds, and mended by its remedy."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.faults.harness.disk import SmallDisk
from tests.support.broken_setups import AT_START, BEFORE_START, WHILE_RUNNING, BrokenSetup
from tests.support.chain import Chain
from tests.support.secured_servers import SecuredServers
from tests.support.shell import Operator

pytestmark = pytest.mark.integration

#: Seconds in which a command names what is wrong. Most take one.
ANSWER_S = 5.0

#: Most times that a command is run until it answers within `ANSWER_S`.
TRIES = 3

#: Seconds until `status` names what has become wrong with a pool, and until it is mended: that a worker was
#: pushed out of the group is shown for a minute.
TOLD_S = 15.0
MENDED_S = 90.0

#: Longest pauses between two commands meanwhile.
TOLD_PAUSE_S = 1.0
MENDED_PAUSE_S = 5.0

#: Set-ups that `check` is tried on at the same time: half of its time is waiting.
AT_ONCE = 2


@dataclass
class Site:
    """What all set-ups share.

    Args:
        lab: The lab.
        folder: Where everything else lives.
        bare: A chain whose pool never runs.
        running: A chain whose pool runs, once it does.
        secured: The servers with TLS, once they serve.
    """

    lab: Lab
    folder: Path
    bare: Chain
    running: Future[Chain] = field(default_factory=Future)
    secured: Future[SecuredServers] = field(default_factory=Future)


def until(condition: Callable[[], bool], timeout_s: float, longest_pause_s: float, what: str) -> None:
    """Wait for a condition that costs CPU time to look at."""
    deadline, pause = time.monotonic() + timeout_s, 0.1
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s for {what}"
        time.sleep(pause)
        pause = min(2 * pause, longest_pause_s)


class Trial:
    """One set-up that is wrong, and the operator in front of it.

    Args:
        setup: The set-up.
        site: What it shares with others.
        chain: The chain that is broken.
    """

    def __init__(self, setup: BrokenSetup, site: Site, chain: Chain) -> None:
        self.setup, self._site, self._chain = setup, site, chain
        self._folder = Path(tempfile.mkdtemp(dir=site.folder))
        self.operator = Operator(chain)

    def break_it(self) -> None:
        """Make it wrong."""
        self.operator.environment |= self.setup.changed
        if self.setup.at is not None:
            self.operator.environment |= self.setup.at(self._site.secured.result())
        if self.setup.breaks is not None:
            self.operator.environment |= self.setup.breaks(self._chain, self.operator, self._folder)

    def mend(self) -> None:
        """Do what the remedy says."""
        if self.setup.mended_at is not None:
            self.operator.environment |= self.setup.mended_at(self._site.secured.result())
        elif self.setup.mends is not None:
            self.operator.environment |= self.setup.mends(self._chain, self.operator, self._folder)
        else:
            self.operator.environment = Operator(self._chain).environment

    def text(self) -> str:
        """What the set-up's command prints now."""
        done = self.operator(*self.setup.command)
        return done.stdout + done.stderr


def try_check(setup: BrokenSetup, site: Site) -> None:
    """One command names what is wrong, and no longer does after its remedy."""
    trial = Trial(setup, site, site.bare)
    trial.break_it()
    # The fastest of a few: a busy machine takes longer now and then.
    for _ in range(TRIES):
        begun = time.monotonic()
        text = trial.text()
        seconds = time.monotonic() - begun
        if setup.cause in text and seconds < ANSWER_S:
            break
    assert setup.cause in text, text
    assert setup.remedy in text, text
    assert seconds < ANSWER_S, text

    trial.mend()
    mended = trial.text()
    assert setup.cause not in mended, mended


def try_status(setup: BrokenSetup, site: Site, chain: Chain) -> None:
    """`status` names within seconds what has become wrong, and finds no problem after its remedy."""
    trial = Trial(setup, site, chain)
    trial.break_it()
    until(lambda: setup.cause in trial.text(), TOLD_S, TOLD_PAUSE_S, f"status to say {setup.cause}")
    text = trial.text()
    assert setup.remedy in text, text

    trial.mend()
    until(lambda: "no problem found" in trial.text(), MENDED_S, MENDED_PAUSE_S, "status to find no problem")


def start_running(site: Site, stack: ExitStack) -> Chain:
    """Start the pool that runs, in a folder on a small disk if this user may mount one."""
    chain = stack.enter_context(Chain(site.lab, site.folder))
    if os.geteuid() == 0:
        disk = SmallDisk(chain.pool.var)
        disk.mount()
        stack.callback(disk.unmount)
        chain.pool.var.chmod(0o700)
        # Before its folder is gone.
        stack.callback(chain.pool.stop)
    chain.pool.start()
    return chain


def try_running(setup: BrokenSetup, site: Site) -> None:
    """The same for a pool that runs well, which several set-ups use one after the other."""
    chain = site.running.result()
    well = Trial(setup, site, chain)
    until(lambda: "no problem found" in well.text(), MENDED_S, TOLD_PAUSE_S, "a healthy pool")
    try_status(setup, site, chain)


def try_start(setup: BrokenSetup, site: Site) -> None:
    """The same for a pool of its own, with one worker."""
    with Chain(site.lab, site.folder, partitions=1, workers=1) as chain:
        try_status(setup, site, chain)


def asked_for(request: pytest.FixtureRequest) -> list[BrokenSetup]:
    """The set-ups of this module's tests that were not deselected, and that this user can try."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    setups = [test.callspec.params["setup"] for test in tests if test.module is request.module]
    return [
        setup
        for setup in setups
        if isinstance(setup, BrokenSetup) and (not setup.needs_root or os.geteuid() == 0)
    ]


@pytest.fixture(scope="module")
def outcomes(request: pytest.FixtureRequest, lab: Lab, bare: Chain) -> Iterator[Mapping[str, Future[None]]]:
    """The outcome of each trial. Several go on at the same time, because most of it is waiting."""
    setups = asked_for(request)
    results: dict[str, Future[None]] = {}
    with (
        tempfile.TemporaryDirectory(prefix="tower-") as folder,
        # The trials end before what they use is stopped.
        ExitStack() as stack,
        ThreadPoolExecutor(AT_ONCE) as checks,
        ThreadPoolExecutor(1) as one_pool,
        ThreadPoolExecutor(len(AT_START) + 1) as starts,
    ):
        site = Site(lab, Path(folder), bare)
        if any(setup in WHILE_RUNNING for setup in setups):
            site.running = one_pool.submit(start_running, site, stack)
        if any(setup.at for setup in setups):
            site.secured = starts.submit(
                lambda: stack.enter_context(SecuredServers(Path(folder) / "secured"))
            )
        # Last those that wait for the servers with TLS.
        for setup in sorted(setups, key=lambda setup: setup.at is not None):
            if setup in AT_START:
                results[setup.title] = starts.submit(try_start, setup, site)
            elif setup in WHILE_RUNNING:
                results[setup.title] = one_pool.submit(try_running, setup, site)
            else:
                results[setup.title] = checks.submit(try_check, setup, site)
        yield results


def judge(setup: BrokenSetup, outcomes: Mapping[str, Future[None]]) -> None:
    """Wait for the outcome of a trial, which raises what it found wrong.

    A trial that mounts a disk needs root: another user skips it, CI fails.
    """
    if setup.needs_root and os.geteuid() != 0:
        text = "a small disk has to be mounted: run this as root"
        if os.environ.get("CI"):
            pytest.fail(text)
        pytest.skip(text)
    outcomes[setup.title].result()


@pytest.mark.parametrize("setup", BEFORE_START, ids=lambda setup: setup.title)
def test_check_names_what_is_wrong_and_its_remedy_works(
    outcomes: Mapping[str, Future[None]], setup: BrokenSetup
) -> None:
    judge(setup, outcomes)


@pytest.mark.parametrize("setup", [*WHILE_RUNNING, *AT_START], ids=lambda setup: setup.title)
def test_status_names_what_has_become_wrong_and_its_remedy_works(
    outcomes: Mapping[str, Future[None]], setup: BrokenSetup
) -> None:
    judge(setup, outcomes)
