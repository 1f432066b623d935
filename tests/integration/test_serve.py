"""`tower serve` of a real pool: its figures agree with those of `status`, its probes with what happens."""

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lab.lab import Lab
from lab.system.ports import choose
from tests.faults.harness.proxy import Proxy
from tests.support.chain import Chain, record
from tests.support.served import Served, until
from tests.support.shell import Operator
from workers import exit_codes

pytestmark = pytest.mark.integration

#: Seconds until a change is seen: a state file is written each second, Kafka is asked every 3.
SEEN_S = 30.0

#: Most memory of `tower serve`, in bytes.
MOST_MEMORY = 45_000_000


def serving(chain: Callable[..., Chain], **environment: str) -> tuple[Chain, Served]:
    """A pool that runs, and its `tower serve`."""
    (port,) = choose("127.0.0.1", 1)
    pipeline = chain(environment={"TOWER_SERVE_ADDRESS": f"127.0.0.1:{port}", **environment})
    pipeline.pool.start()
    served = Served(port)
    until(lambda: served.get("/ready")[0] == 200, SEEN_S, "the pool to be ready")
    return pipeline, served


def process(pipeline: Chain) -> psutil.Process:
    """The process of `tower serve`."""
    (found,) = (
        child for child in psutil.Process(pipeline.pool.pid).children() if "serve" in child.cmdline()
    )
    return found


def test_metrics_status_and_page_have_the_same_figures_at_one_moment(chain: Callable[..., Chain]) -> None:
    pipeline, served = serving(chain)
    pipeline.produce(record(seq) for seq in range(3_000))
    pipeline.produce([b"{", b"no record"], partition=1)
    pipeline.drain()
    until(
        lambda: (
            sum(served.sums("tower_partition_committed_offset", "partition").values()) == 3_002
            and sum(served.sums("tower_records_consumed_total", "partition").values()) == 3_002
        ),
        SEEN_S,
        "every record to be counted and committed",
    )

    command = Operator(pipeline).json("status")
    page = served.json("/api/page")

    for rows in (page["status"]["partitions"], command["partitions"]):
        for metric, column in {
            "tower_records_consumed_total": "consumed",
            "tower_records_written_total": "written",
            "tower_records_dead_lettered_total": "dead_lettered",
            "tower_records_uncommitted": "uncommitted",
            "tower_partition_committed_offset": "committed",
            "tower_partition_end_offset": "end",
            "tower_partition_lag_records": "lag",
        }.items():
            assert served.sums(metric, "partition") == {
                (str(row["partition"]),): row[column] for row in rows
            }, metric
    # A cause names the minutes that it is about, which go on between the two.
    assert [trouble["remedy"] for trouble in page["status"]["troubles"]] == [
        trouble["remedy"] for trouble in command["troubles"]
    ]
    assert served.sums("tower_dead_letters_total", "reason") == {
        (entry["reason"],): entry["count"] for entry in page["dead_letters"]
    }
    assert sum(entry["count"] for entry in page["dead_letters"]) == 2
    assert process(pipeline).memory_info().rss < MOST_MEMORY


def test_a_killed_worker_leaves_no_series_and_is_not_ready(
    chain: Callable[..., Chain], tmp_path: Path
) -> None:
    """The same pool then has a wrong setting for one worker, and is stopped."""
    settings = tmp_path / "tower.toml"
    settings.touch()
    pipeline, served = serving(chain, TOWER_CONFIG=str(settings))
    assert len(served.sums("tower_worker_start_time_seconds", "worker")) == 3

    pipeline.pool.control("stop", "worker:1")

    until(
        lambda: served.sums("tower_worker_start_time_seconds", "worker").keys() == {("0",), ("2",)},
        SEEN_S,
        "the worker to be gone",
    )
    assert served.sums("tower_worker_up", "worker")["1",] == 0
    until(lambda: served.get("/ready")[0] == 503, SEEN_S, "the pool not to be ready")
    assert any(trouble["worker"] == 1 for trouble in served.json("/ready")["why"])
    assert served.get("/live")[0] == 200

    settings.write_text("batch_lines = -1\n")
    pipeline.pool.control("start", "worker:1")
    assert_a_wrong_setting_is_not_ready_and_named(pipeline, served)
    assert_a_stop_is_neither_live_nor_ready(pipeline, served)


def assert_a_wrong_setting_is_not_ready_and_named(pipeline: Chain, served: Served) -> None:
    """Worker 1 has ended with exit code 78."""
    until(
        lambda: any("worker 1 ended" in trouble["cause"] for trouble in served.json("/ready")["why"]),
        SEEN_S,
        "the setting to be named",
    )
    worker = pipeline.pool.processes()[1]
    assert (worker["statename"], worker["exitstatus"]) == ("EXITED", exit_codes.MISCONFIGURED)
    (why,) = (trouble for trouble in served.json("/ready")["why"] if trouble["worker"] == 1)
    assert "TOWER_BATCH_LINES:" in why["cause"]
    assert served.get("/ready")[0] == 503
    assert served.get("/live")[0] == 200


def assert_a_stop_is_neither_live_nor_ready(pipeline: Chain, served: Served) -> None:
    """Worker 0 cannot end until it was looked at: supervisord gives it 20 s."""
    stuck = pipeline.pool.signal(0, signal.SIGSTOP)
    try:
        os.kill(pipeline.pool.pid, signal.SIGTERM)
        until(lambda: served.get("/live")[0] == 503, SEEN_S, "the stop to be seen")
        assert served.json("/live")["supervisord"] == "supervisord is shutting down or restarting"
        until(
            lambda: any("worker 2 is stopped" in each["cause"] for each in served.json("/ready")["why"]),
            SEEN_S,
            "the other worker to be stopped",
        )
        assert served.get("/ready")[0] == 503
    finally:
        os.kill(stuck, signal.SIGCONT)
    until(lambda: served.get("/live")[0] == 0, SEEN_S, "nothing to answer")


def test_lag_in_seconds_grows_in_an_outage_that_is_ready_and_named(
    chain: Callable[..., Chain], lab: Lab
) -> None:
    with Proxy(lab.influxdb.url) as proxy:
        pipeline, served = serving(chain, TOWER_INFLUXDB_URL=proxy.url)
        proxy.down()
        pipeline.produce(record(seq) for seq in range(30))

        until(
            lambda: min(served.sums("tower_partition_lag_seconds", "partition").values(), default=0) > 3,
            SEEN_S,
            "every partition to lag by seconds",
        )
        until(lambda: bool(served.json("/ready")["waiting_for"]), SEEN_S, "the outage to be named")
        assert served.get("/ready")[0] == 200
        assert sum(served.sums("tower_write_retries_total", "reason").values()) > 0

        proxy.up()
        pipeline.drain()
        until(
            lambda: set(served.sums("tower_partition_lag_seconds", "partition").values()) == {0.0},
            SEEN_S,
            "the lag to be gone",
        )


def test_an_address_in_use_is_waited_for_and_the_workers_go_on(chain: Callable[..., Chain]) -> None:
    pipeline, served = serving(chain)
    second = chain(environment={"TOWER_SERVE_ADDRESS": served.url.removeprefix("http://")})
    second.pool.start()
    log = second.pool.var / "serve.log"

    until(lambda: log.exists() and "is in use" in log.read_text(), SEEN_S, "the second to say why it waits")
    assert "is taken by another program" in Operator(second)("status").stdout
    assert "is taken" not in Operator(pipeline)("status").stdout

    pipeline.pool.stop()

    until(lambda: second.name in str(served.json("/api/status")), SEEN_S, "the second to serve")
    assert "is taken" not in Operator(second)("status").stdout


def test_switched_off_it_does_not_run_and_is_not_started_again(chain: Callable[..., Chain]) -> None:
    pipeline = chain(environment={"TOWER_SERVE_ADDRESS": "off"})
    pipeline.pool.start()

    until(lambda: "EXITED" in pipeline.pool.control("status", "serve"), SEEN_S, "it to have ended")
    spawned = (pipeline.pool.var / "supervisord.log").read_text().count("spawned: 'serve'")
    assert spawned == 1
    for what, code in (("worker:*", 0), ("all", 3)):
        command = pipeline.pool.command("supervisorctl", "status", what)
        assert subprocess.run(command, capture_output=True, timeout=60, check=False).returncode == code
