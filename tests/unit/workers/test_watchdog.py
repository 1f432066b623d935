"""A worker that hangs exits and shows where."""

import subprocess
import sys

import pytest

from tests.support.processes import START_S
from workers.exit_codes import CRASHED
from workers.watchdog import FEED_S

#: Feeds the watchdog a number of times, moves the clock by a step after each, then runs `end`.
PROGRAM = """
import ctypes, sys, threading, time
from workers.watchdog import Watchdog

now = 0.0
dog = Watchdog(0.5, sys.stderr, clock=lambda: now)
for _ in range(int(sys.argv[1])):
    dog.feed()
    time.sleep(0.1)
    now += float(sys.argv[2])

lock = threading.Lock()
lock.acquire()

def stuck():
    {stuck}

{end}
"""

#: Both keep the thread for longer than a test lasts; the second keeps the interpreter's lock with it.
HANGS = {"waiting": "lock.acquire(timeout=300)", "holding the lock": "ctypes.PyDLL(None).sleep(300)"}


def run(stuck: str, end: str, feedings: int, step_s: float) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", PROGRAM.format(stuck=stuck, end=end), str(feedings), str(step_s)],
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


@pytest.mark.parametrize("stuck", HANGS.values(), ids=HANGS.keys())
def test_a_worker_that_hangs_exits_and_shows_where(stuck: str) -> None:
    done = run(stuck, "stuck()", 1, FEED_S)

    assert done.returncode == CRASHED
    assert "in stuck" in done.stderr


def test_the_log_says_what_happens_before_the_stacks() -> None:
    done = run(HANGS["waiting"], "stuck()", 1, FEED_S)

    sentence, _, stacks = done.stderr.partition("\n")
    assert "supervisord restarts it" in sentence
    assert "in stuck" in stacks


def test_a_worker_that_feeds_in_time_is_not_interrupted() -> None:
    done = run("pass", "print('at the end')", 8, FEED_S)

    assert (done.returncode, done.stdout) == (0, "at the end\n")
    assert done.stderr == ""


def test_feedings_in_quick_succession_are_one() -> None:
    """Each costs a thread."""
    done = run("pass", "time.sleep(300)", 12, 0.0)

    assert done.returncode == CRASHED


def test_a_worker_that_hangs_while_it_is_built_exits_too() -> None:
    """Kafka's client does if it has no memory for its threads (prlimit --data=40000000)."""
    program = (
        "import time; from workers import process, watchdog; from tests.support import fakes\n"
        "def stuck(*_): time.sleep(300)\n"
        "watchdog.START_S, process.build = 0.5, stuck\n"
        "process._run(fakes.settings())"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=START_S, check=False
    )

    assert done.returncode == CRASHED
    assert "in stuck" in done.stderr
