"""A load that sent nothing says so and fails."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

#: Seconds for locust to start, to run, and to wait for reports that do not come.
LOCUST_S = 90


def test_a_load_without_a_broker_fails_and_says_what_to_check() -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", "bench/load/locustfile.py", "--headless"),
            *("--users", "1", "--spawn-rate", "1", "--run-time", "1s", "--stop-timeout", "1"),
            *("--bootstrap-servers", "localhost:1", "--report-timeout", "0.1"),
        ],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=LOCUST_S,
        check=False,
    )

    assert done.returncode == 1, done.stderr[-2_000:]
    assert "Kafka confirmed no record. Check --bootstrap-servers (localhost:1)" in done.stderr
