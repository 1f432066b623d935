"""A person who types the operator's commands."""

import itertools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.chain import Chain

ROOT = Path(__file__).resolve().parents[2]

#: Seconds for one command, with the wait for members to leave in it.
COMMAND_S = 60.0


class Operator:
    """A person with a shell where the pool runs.

    Args:
        pipeline: The chain that is looked after.
    """

    def __init__(self, pipeline: Chain) -> None:
        self._made = pipeline
        #: Words before each command line.
        self.prefix: list[str] = []
        #: What the last command printed.
        self.text = ""
        # As the pool's: the address of `tower serve` has room for one.
        self.environment = {"TOWER_SERVE_ADDRESS": "off"} | pipeline.environment
        self.environment |= {
            "TOWER_RUN_DIR": str(pipeline.pool.var),
            "TOWER_WORKERS": str(pipeline.pool.workers),
            "PATH": os.environ["PATH"],
        }

    def __call__(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [*self.prefix, sys.executable, "-m", "workers", *words],
            env=self.environment | more,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        self.text = done.stdout + done.stderr
        assert self._made.token not in self.text
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str, **more: str) -> Any:
        return json.loads(self(*words, "--json", **more).stdout)

    def checks(self, watch: str = "0", **more: str) -> list[dict[str, str]]:
        """What check finds, in its order: check, level, text and next of each."""
        done = self("check", "--watch", watch, "--json", **more)
        answer = json.loads(done.stdout)
        assert done.returncode == (0 if answer["ok"] else 1)
        return list(answer["checks"])

    def findings(self, watch: str = "0", **more: str) -> dict[str, tuple[str, str]]:
        """Level and next step by check; of several with one name the worst."""
        by_check: dict[str, tuple[str, str]] = {}
        for check in self.checks(watch, **more):
            if by_check.get(check["check"], ("ok", ""))[0] != "FAIL":
                by_check[check["check"]] = (check["level"], check["next"])
        return by_check

    def finding(self, check: str, watch: str = "0", **more: str) -> dict[str, str]:
        """The one finding of this name."""
        (only_row,) = [row for row in self.checks(watch, **more) if row["check"] == check]
        return only_row


@contextmanager
def feeding(pipeline: Chain, value: Callable[[], bytes]) -> Iterator[None]:
    """A sender with a record every 0.3 s, to each partition by turns."""
    stop = threading.Event()

    def feed() -> None:
        for place in itertools.count():
            pipeline.produce([value()], partition=place % pipeline.partitions)
            if stop.wait(0.3):
                return

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
