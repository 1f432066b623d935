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
        made: The chain that is looked after.
    """

    def __init__(self, made: Chain) -> None:
        self._made = made
        self.environment = made.environment | {
            "TOWER_RUN_DIR": str(made.pool.var),
            "TOWER_WORKERS": str(made.pool.workers),
            "PATH": os.environ["PATH"],
        }

    def __call__(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "workers", *words],
            env=self.environment | more,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert self._made.token not in done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *words: str, **more: str) -> Any:
        return json.loads(self(*words, "--json", **more).stdout)

    def checks(self, watch: str = "0", **more: str) -> list[dict[str, str]]:
        """What check finds, in its order: check, level, text and next of each."""
        done = self("check", "--watch", watch, "--json", **more)
        told = json.loads(done.stdout)
        assert done.returncode == (0 if told["ok"] else 1)
        return list(told["checks"])

    def findings(self, watch: str = "0", **more: str) -> dict[str, tuple[str, str]]:
        """Level and next step by check; of several with one name the worst."""
        found: dict[str, tuple[str, str]] = {}
        for each in self.checks(watch, **more):
            if found.get(each["check"], ("ok", ""))[0] != "FAIL":
                found[each["check"]] = (each["level"], each["next"])
        return found

    def finding(self, check: str, watch: str = "0", **more: str) -> dict[str, str]:
        """The one finding of this name."""
        (found,) = [each for each in self.checks(watch, **more) if each["check"] == check]
        return found


@contextmanager
def feeding(made: Chain, value: Callable[[], bytes]) -> Iterator[None]:
    """A sender with a record every 0.3 s, to each partition by turns."""
    stop = threading.Event()

    def feed() -> None:
        for place in itertools.count():
            made.produce([value()], partition=place % made.partitions)
            if stop.wait(0.3):
                return

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
