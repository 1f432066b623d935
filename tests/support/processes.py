"""Workers as processes of their own, with an environment that holds what a test puts there and no more."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "workers", "run"]

#: File in the test's folder that takes what a running worker prints.
OUTPUT = "worker.log"

#: Seconds a worker may take to start, or to refuse its settings, on a machine that is busy.
START_S = 60.0


def environment(folder: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Valid settings that reach nothing, in a folder of the test's own, and what `environ` changes."""
    nothing = {
        "PATH": os.environ["PATH"],
        "TOWER_INFLUXDB_TOKEN": "t0ken",
        "TOWER_INFLUXDB_URL": "http://127.0.0.1:1",
        "TOWER_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
        "TOWER_RUN_DIR": str(folder),
    }
    return {name: value for name, value in {**nothing, **environ}.items() if value}


def run(folder: Path, environ: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """A worker that is expected to exit by itself."""
    return subprocess.run(
        COMMAND,
        cwd=ROOT,
        env=environment(folder, environ),
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )


@contextmanager
def running(
    folder: Path, environ: Mapping[str, str], command: Sequence[str] = COMMAND
) -> Iterator["subprocess.Popen[bytes]"]:
    """A worker that runs until the end, its output in `OUTPUT`; killed if it is still there then."""
    with (folder / OUTPUT).open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment(folder, environ), stdout=output, stderr=subprocess.STDOUT
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def terminate(worker: "subprocess.Popen[bytes]") -> int:
    """Send SIGTERM again and again until a worker has exited; its exit code.

    Raises:
        TimeoutError: It does not exit.
    """
    deadline = time.monotonic() + START_S
    while worker.poll() is None:
        if time.monotonic() > deadline:
            raise TimeoutError("the worker does not exit")
        worker.send_signal(signal.SIGTERM)
        time.sleep(0.001)
    return worker.returncode
