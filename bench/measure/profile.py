"""The time of each hop of a record in one worker."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.harness.machine import machine, versions
from bench.harness.rig import Rig
from bench.load.produce import LoadProducer
from bench.load.record import RecordShape
from bench.measure.throughput import SLOWEST, START_S, describe
from lab.errors import LabError, SlowError
from lab.system.server_process import environment

#: The folder of this package.
_CHECKOUT = Path(__file__).resolve().parents[2]

#: Seconds for the worker to stop.
LEAVE_S = 30.0
#: Hops in the order of a record's path.
HOPS = ("client threads", "consume", "decode and encode", "compress", "write", "commit", "rest")


def run(
    rig: Rig, shape: RecordShape, count: int, settings: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Measure the hops once.

    Args:
        rig: The lab to measure in, and what is created there.
        shape: The records.
        count: Number of records.
        settings: Further settings of the worker.

    Raises:
        LabError: The worker ended or was too slow.
    """
    with rig.topic(1) as target, rig.bucket() as bucket:
        rig.fill(LoadProducer(target, shape), shape, 0, count)
        rig.settle()
        # As supervisor.conf has it, and says why.
        env = environment(
            MALLOC_ARENA_MAX="1",
            # It runs in another folder, and the package that is installed has the workers alone.
            PYTHONPATH=str(_CHECKOUT),
            **rig.settings(target, bucket),
            **dict(settings or {}),
        )
        with (
            rig.progress.step("one worker with timers") as step,
            subprocess.Popen(
                [sys.executable, "-m", "bench.measure.hops"],
                env=env,
                cwd=rig.lab.data,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            ) as child,
        ):
            try:
                deadline = time.monotonic() + START_S + count / SLOWEST
                while (lag := rig.lag(target)) > 0:
                    step.note(f"{lag:,} to go")
                    if child.poll() is not None:
                        raise LabError("the worker with timers ended; its error stands above")
                    if time.monotonic() > deadline:
                        raise SlowError(f"{lag:,} records are not committed in time")
                    time.sleep(0.3)
                child.terminate()
                printed, _ = child.communicate(timeout=LEAVE_S)
            finally:
                child.kill()
    timings = json.loads(printed)
    return result(timings) | {
        "kind": "profile",
        "shape": describe(shape),
        "settings": dict(settings or {}),
        "machine": machine(),
        "versions": versions(rig.lab),
    }


def result(timings: Mapping[str, Any]) -> dict[str, Any]:
    """Return CPU and wall time of each hop, in microseconds for each record."""
    records = timings["records"]
    hops = {
        hop: {
            "cpu_us": round(timings["cpu"].get(hop, 0.0) / records * 1e6, 3),
            # Wall time is not measured for the client's threads and the rest.
            "wall_us": round(timings["wall"][hop] / records * 1e6, 3) if hop in timings["wall"] else None,
            "calls": timings["calls"].get(hop),
        }
        for hop in HOPS
    }
    return {
        "records": records,
        "seconds": round(timings["seconds"], 3),
        "cpu_us_per_record": round(timings["cpu_total"] / records * 1e6, 3),
        "wall_us_per_record": round(timings["seconds"] / records * 1e6, 3),
        "hops": hops,
    }
