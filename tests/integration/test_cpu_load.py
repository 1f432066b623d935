"""The test of the lab's text that loads the CPU: the dashboard's `CPU_Usage` rises."""

import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from tests.support.chain import Chain

pytestmark = pytest.mark.integration

#: Seconds of load. `CPU_Usage` is the load average of one minute: it then shows 28 % of what the load adds.
LOAD_S = 20

#: Share of what is added that it must show, with time for a look of the kernel, one in 5 s, and a sample.
SHOWN = 0.1

#: Seconds until a sample is a point, on a busy machine.
STORED_S = 30.0

#: Nobody else's work gets less of the CPU, and the load average counts it all the same. It ends by itself
#: if this test is killed.
BUSY_LOOP = f"""
import os, time
os.nice(19)
until = time.monotonic() + {3 * LOAD_S}
while time.monotonic() < until:
    pass
"""


@contextmanager
def running(*commands: list[str]) -> Iterator[None]:
    """Processes that run until the end of the block."""
    children = [subprocess.Popen(command, stdout=subprocess.DEVNULL) for command in commands]
    try:
        yield
        assert [child.poll() for child in children] == [None] * len(children)
    finally:
        for child in children:
            child.kill()
            child.wait()


def usage(chain: Chain) -> list[tuple[float, float]]:
    """Each sample's seconds since the epoch and load, as user `tower` sees them at the v1 endpoint."""
    return [(row["time"] / 1e9, row["CPU_Usage"]) for row in chain.rows('"CPU_Usage"')]


def test_cpu_usage_is_higher_during_a_load_than_before(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    pipeline.pool.start()
    feed = [sys.executable, "-m", "lab", "feed", "--topic", pipeline.name]
    with running([*feed, "--bootstrap-servers", pipeline.lab.bootstrap_servers]):
        pipeline.pool.until(lambda: len(usage(pipeline)) >= 3, STORED_S, "samples of the time before")
        before = usage(pipeline)[-1][1]
        # One loop for each core, as in the lab's text, and as many more as there is load already: that may
        # end meanwhile.
        cores = os.cpu_count() or 1
        loops = cores + math.ceil(before)
        begun = time.time()
        with running(*[[sys.executable, "-c", BUSY_LOOP]] * loops):
            pipeline.pool.until(
                lambda: usage(pipeline)[-1][0] >= begun + LOAD_S,
                LOAD_S + STORED_S,
                "samples of the whole load",
            )
    during = usage(pipeline)[-1][1]

    assert during >= before + SHOWN * cores
