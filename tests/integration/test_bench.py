"""The bench on real parts, small."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.harness.rig import Rig
from bench.load.delay_proxy import delayed
from bench.load.record import Clock, RecordShape
from bench.measure import profile, throughput
from lab.lab import Lab
from lab.senders.formats import Format
from lab.system.progress import Progress
from tests.support.pool import ROOT

pytestmark = pytest.mark.integration


def test_throughput_finds_every_record_once(lab: Lab, tmp_path: Path) -> None:
    file, page = tmp_path / "out.json", tmp_path / "out.html"
    command = ["throughput", "--records", "20000", "--json", str(file), "--html", str(page)]

    done = subprocess.run(
        [sys.executable, "-m", "bench", *command, "--data", str(lab.data)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )

    assert done.returncode == 0, done.stderr[-2000:]
    measured = json.loads(file.read_text())
    assert (measured["records"], measured["lost"], measured["duplicated"]) == (20_000, 0, 0)
    assert sum(measured["stored_by_partition"].values()) == 20_000
    assert measured["worker_starts"] == 3
    assert measured["worker_cpu_us_per_record"] > 0
    assert measured["influxd_cpu_us_per_record"] > 0
    assert "Tower, measured" in page.read_text()


def test_bad_records_are_not_called_lost(lab: Lab) -> None:
    with Rig(Progress(quiet=True), lab.data) as rig:
        shape = RecordShape(Clock(int(time.time() * 1000)), Format.MSGPACK, bad=0.02)
        with rig.topic(1) as target, rig.bucket() as bucket, rig.pool(target, bucket, 1) as pool:
            throughput.drain(rig, [pool], target, bucket, shape=shape, count=3_000)
            account = throughput.look_up(rig, bucket, shape, 3_000, 1)

    assert account.holds
    assert 2_850 < account.produced < 2_980


def test_the_time_of_each_hop_is_measured(lab: Lab) -> None:
    with Rig(Progress(quiet=True), lab.data) as rig:
        measured = profile.run(rig, RecordShape(Clock(int(time.time() * 1000)), Format.JSON), 10_000)

    assert measured["records"] == 10_000
    assert all(hop["cpu_us"] > 0 for name, hop in measured["hops"].items() if name != "rest")


def test_a_delay_only_delays(lab: Lab) -> None:
    with delayed(lab.influxdb.url, 80) as url:
        code = f"import time,urllib.request as r;b=time.time();r.urlopen('{url}/ping');print(time.time()-b)"
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True
        )

    assert 0.08 <= float(done.stdout) < 2
