"""Each broken set-up is named within seconds, and mended by its remedy."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.lab import Lab
from tests.support.broken_setups import BEFORE_START, WHILE_RUNNING, BrokenSetup
from tests.support.chain import Chain
from tests.support.shell import Operator

pytestmark = pytest.mark.integration

#: Seconds in which a command names what is wrong. Most take one.
ANSWER_S = 5.0

#: Most times that a command is run until it answers within `ANSWER_S`.
TRIES = 3

#: Seconds until `status` names what has become wrong with a pool, and until it is mended.
TOLD_S = 15.0
MENDED_S = 60.0


@contextmanager
def broken(setup: BrokenSetup, chain: Chain, folder: Path) -> Iterator[Operator]:
    """An operator in front of a set-up that is wrong."""
    operator = Operator(chain)
    operator.environment |= setup.changed
    if setup.breaks is not None:
        operator.environment |= setup.breaks(chain, operator, folder)
    yield operator


def mend(setup: BrokenSetup, operator: Operator, chain: Chain, folder: Path) -> None:
    """Do what the remedy says."""
    if setup.mends is not None:
        operator.environment |= setup.mends(chain, operator, folder)
        return
    operator.environment = Operator(chain).environment


def said(operator: Operator, setup: BrokenSetup) -> str:
    done = operator(*setup.command)
    return done.stdout + done.stderr


@pytest.mark.parametrize("setup", BEFORE_START, ids=lambda setup: setup.title)
def test_check_names_what_is_wrong_and_its_remedy_works(
    bare: Chain, tmp_path: Path, setup: BrokenSetup
) -> None:
    with broken(setup, bare, tmp_path) as operator:
        # The fastest of a few: a busy machine takes longer now and then.
        for _ in range(TRIES):
            begun = time.monotonic()
            text = said(operator, setup)
            seconds = time.monotonic() - begun
            if setup.cause in text and seconds < ANSWER_S:
                break
        assert setup.cause in text, text
        assert setup.remedy in text, text
        assert seconds < ANSWER_S, text

        mend(setup, operator, bare, tmp_path)
        assert setup.cause not in said(operator, setup)


@pytest.fixture(scope="module")
def running(lab: Lab) -> Iterator[Chain]:
    """A chain whose pool runs."""
    with tempfile.TemporaryDirectory(prefix="tower-") as folder, Chain(lab, Path(folder)) as chain:
        chain.pool.start()
        yield chain


@pytest.mark.parametrize("setup", WHILE_RUNNING, ids=lambda setup: setup.title)
def test_status_names_what_has_become_wrong_and_its_remedy_works(
    running: Chain, tmp_path: Path, setup: BrokenSetup
) -> None:
    running.pool.until(
        lambda: "no problem found" in said(Operator(running), setup), MENDED_S, "a healthy pool"
    )
    with broken(setup, running, tmp_path) as operator:
        running.pool.until(
            lambda: setup.cause in said(operator, setup), TOLD_S, f"status to say {setup.cause}"
        )
        assert setup.remedy in said(operator, setup)

        mend(setup, operator, running, tmp_path)
        running.pool.until(
            lambda: "no problem found" in said(operator, setup), MENDED_S, "status to find no problem"
        )
