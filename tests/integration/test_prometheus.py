"""A real Prometheus scrapes a pool through kills, an outage, a scale-up and a stop.

It looks at three things: the samples (no series of a worker that is gone, no counter that goes down), the
alerts (each fires in its fault and no other does), and the queries of the dashboards.
"""

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.lab import Lab
from lab.system.ports import choose
from tests.faults.harness.proxy import Proxy
from tests.integration.conftest import program
from tests.support.chain import Chain, record
from tests.support.prometheus import Prometheus, Samples, hurried, resets, stale
from tests.support.served import Served, until

pytestmark = pytest.mark.integration

MONITORING = Path(__file__).resolve().parents[2] / "docs" / "monitoring"

#: Seconds until a change is seen, on a busy machine: an alert waits 10 at most.
SEEN_S = 60.0

#: Age of the records in the outage, in seconds: more than the alert allows.
AGE_S = 300

OUTAGE = {"TowerLagGrows", "TowerLagSeconds", "TowerNoAcknowledgement"}


def grafana_queries() -> list[tuple[str, str]]:
    """Title of the panel and query, with Grafana's variables filled in as Grafana does."""
    dashboard = json.loads((MONITORING / "grafana-prometheus.json").read_text())
    return [
        (panel["title"], target["expr"].replace("$job", "tower").replace("$__rate_interval", "5m"))
        for panel in dashboard["panels"]
        for target in panel["targets"]
    ]


def test_a_pool_in_trouble_as_prometheus_sees_it(
    chain: Callable[..., Chain], lab: Lab, tmp_path: Path
) -> None:
    prometheus_program, promtool = (program(name, "prometheus") for name in ("prometheus", "promtool"))
    (port,) = choose("127.0.0.1", 1)
    served = Served(port)
    rules = hurried((MONITORING / "tower.rules.yml").read_text())
    with Proxy(lab.influxdb.url) as proxy:
        pipeline = chain(
            environment={"TOWER_SERVE_ADDRESS": f"127.0.0.1:{port}", "TOWER_INFLUXDB_URL": proxy.url},
            workers=2,
        )
        pool = pipeline.pool
        pool.start()
        until(lambda: served.get("/ready")[0] == 200, SEEN_S, "the pool to be ready")
        with Prometheus(prometheus_program, tmp_path / "prometheus", served, rules) as prometheus:

            def until_firing(*alerts: str) -> None:
                until(lambda: prometheus.alerts() >= {*alerts}, SEEN_S, f"{alerts} to fire")

            pipeline.produce(record(seq) for seq in range(3_000))
            pipeline.drain()
            assert prometheus.alerts_since(0) == set()

            begin = time.time()
            for restarts in (1, 2):
                pool.signal(1, signal.SIGKILL)
                until(
                    lambda seen=restarts: prometheus.answers(  # type: ignore[misc]
                        f'changes(tower_worker_start_time_seconds{{worker="1"}}[45s]) >= {seen}'
                    ),
                    SEEN_S,
                    "Prometheus to see the new worker",
                )
            pipeline.produce([b"{"] * 3)
            until_firing("TowerWorkerRestarts", "TowerDeadLetters")
            assert prometheus.alerts_since(begin) == {"TowerWorkerRestarts", "TowerDeadLetters"}

            begin = time.time()
            proxy.down()
            seq = 3_000

            def firing_in_the_outage() -> bool:
                nonlocal seq
                old = int((time.time() - AGE_S) * 1000)
                pipeline.produce((record(seq + n) for n in range(4_500)), timestamp=old)
                seq += 4_500
                time.sleep(0.8)  # the rate of the producer
                return prometheus.alerts() >= OUTAGE

            until(firing_in_the_outage, SEEN_S, "the outage to be noticed")
            proxy.up()
            pipeline.drain()
            until(lambda: not prometheus.alerts() & OUTAGE, SEEN_S, "its alerts to end")
            assert prometheus.alerts_since(begin) == OUTAGE

            empty = [title for title, query in grafana_queries() if not prometheus.answers(query)]
            assert empty == []
            checked = subprocess.run(
                [promtool, "check", "metrics"],
                input=served.get("/metrics")[1],
                capture_output=True,
                timeout=60,
                check=False,
            )
            assert (checked.returncode, checked.stdout + checked.stderr) == (0, b"")

            begin = time.time()
            pool.stop()
            until_firing("TowerServeDown")
            pool.workers = 3
            pool.start()
            until(lambda: served.get("/ready")[0] == 200, SEEN_S, "the larger pool to be ready")
            pipeline.produce(record(seq + n) for n in range(3_000))
            pipeline.drain()
            until(
                lambda: prometheus.answers("count(tower_worker_up == 1) == 3 and count(up == 1) == 1"),
                SEEN_S,
                "Prometheus to see three workers",
            )
            until(lambda: not prometheus.alerts(), SEEN_S, "the alerts to end")
            assert prometheus.alerts_since(begin) == {"TowerServeDown"}
            for metric in ("lag_records", "owned", "end_offset"):
                assert prometheus.answers(f"count(tower_partition_{metric}) == 3"), metric

            begin = time.time()
            pool.control("stop", "worker:2")
            until_firing("TowerWorkerDown")
            assert not prometheus.answers('{worker="2", __name__=~"tower_.*", __name__!="tower_worker_up"}')
            assert prometheus.alerts_since(begin) == {"TowerWorkerDown"}

            samples = prometheus.samples('{__name__=~"tower_.+|process_.+"}')
    assert len(samples) > 100
    assert list(stale(samples)) == []
    at_restarts, without = resets(samples)
    assert without == []
    assert at_restarts > 0


UP = frozenset({("__name__", "tower_worker_up"), ("worker", "1")})
STARTED = frozenset({("__name__", "tower_worker_start_time_seconds"), ("worker", "1")})
COUNTER = frozenset({("__name__", "tower_rebalances_total"), ("worker", "1")})


def test_a_series_of_a_worker_that_is_gone_is_noticed() -> None:
    samples: Samples = {UP: [(1, 1), (2, 0)], COUNTER: [(1, 5), (2, 5)]}

    assert len(list(stale(samples))) == 1
    assert list(stale({**samples, COUNTER: [(1, 5)]})) == []


def test_a_counter_that_goes_down_without_a_restart_is_noticed() -> None:
    samples: Samples = {STARTED: [(1, 100), (2, 100)], COUNTER: [(1, 5), (2, 4)]}

    assert resets(samples)[0] == 0
    assert len(resets(samples)[1]) == 1
    assert resets({**samples, STARTED: [(1, 100), (2, 101)]}) == (1, [])
