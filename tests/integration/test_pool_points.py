"""The pool's own points in a real InfluxDB, and the dashboards that ask for them."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from lab.lab import Lab
from lab.senders.formats import Format, encode
from lab.system.ports import choose
from tests.faults.harness.proxy import Proxy
from tests.support import chronograf
from tests.support.chain import Chain
from tests.support.served import Served, until

pytestmark = pytest.mark.integration

GRAFANA = Path(__file__).resolve().parents[2] / "docs" / "monitoring" / "grafana-influxdb.json"

#: Seconds until the points are there, on a busy machine.
SEEN_S = 60.0

#: Most memory of `tower serve`, in bytes.
MOST_MEMORY = 45_000_000

#: The lab's record.
FIELDS = {
    "tx_bytes": 1,
    "rx_bytes": 1,
    "tx_drops": 0,
    "rx_drops": 0,
    "tx_errors": 0,
    "rx_errors": 0,
    "cpu_load": "0.33",
    "free_ram": 22_000_000,
    "disk_util": 7,
}


def grafana_queries(database: str) -> dict[str, str]:
    """The queries of Grafana's dashboard by panel, with its variables filled in as Grafana does."""
    return {
        panel["title"]: target["query"]
        .replace("$timeFilter", "time >= now() - 15m")
        .replace("$__interval", "1s")
        .replace('"autogen"', f'"{database}"."autogen"')
        for panel in json.loads(GRAFANA.read_text())["panels"]
        for target in panel["targets"]
    }


def chronograf_queries(database: str) -> dict[str, str]:
    """The queries of Chronograf's cells about the pool."""
    return {
        cell["name"]: chronograf.rendered(query, 15).replace('"Labs"', f'"{database}"')
        for cell in chronograf.pool_cells()
        for query in chronograf.queries(cell)
    }


def empty(chain: Chain, queries: dict[str, str]) -> set[str]:
    """Those whose answer has no value besides times and tags."""
    tags = {"time", "_series", "deviceId", "topic", "partition", "worker"}
    return {
        title
        for title, query in queries.items()
        if not any(
            row[name] is not None
            for row in chain.lab.query_rows(query, chain.name)
            for name in row.keys() - tags
        )
    }


@pytest.mark.parametrize("api", ["v2", "v1"])
def test_every_cell_has_an_answer_and_an_outage_is_a_gap_that_is_told(
    chain: Callable[..., Chain], lab: Lab, api: str
) -> None:
    (port,) = choose("127.0.0.1", 1)
    with Proxy(lab.influxdb.url) as proxy:
        pipeline = chain(
            environment={
                "TOWER_SERVE_ADDRESS": f"127.0.0.1:{port}",
                "TOWER_SERVE_POINTS_S": "1",
                "TOWER_INFLUXDB_URL": proxy.url,
                "TOWER_INFLUXDB_API": api,
            }
        )
        pipeline.pool.start()
        served = Served(port)

        def missing() -> set[str]:
            pipeline.produce([encode(FIELDS, Format.JSON), b"{"] * 3)
            return empty(pipeline, grafana_queries(pipeline.name) | chronograf_queries(pipeline.name))

        until(lambda: not missing(), SEEN_S, "every cell and panel to have an answer")
        # The name is the chain's own.
        states = f'SELECT last("state") FROM "{pipeline.name}"."autogen"."tower" GROUP BY "worker"'  # noqa: S608
        until(
            lambda: (
                [row["last"] for row in pipeline.lab.query_rows(states, pipeline.name)] == ["running"] * 3
            ),
            SEEN_S,
            "each worker's newest point to say that it runs",
        )
        assert served.sums("tower_pool_points_failed_total") == {(): 0.0}

        proxy.down()
        until(
            lambda: served.sums("tower_pool_points_failed_total").get((), 0) > 1, SEEN_S, "writes to fail"
        )
        assert served.get("/live")[0] == 200
        assert "Points about the pool were not written" in (pipeline.pool.var / "serve.log").read_text()
        proxy.up()
        (process,) = (
            child for child in psutil.Process(pipeline.pool.pid).children() if "serve" in child.cmdline()
        )
        assert process.memory_info().rss < MOST_MEMORY


def test_a_query_for_a_field_that_is_not_there_is_empty(bare: Chain) -> None:
    """So that the test above would see a panel whose query is wrong."""
    bare.write(["tower,group=g,worker=0 up=1"])
    query = f'SELECT max("{{}}") AS x FROM "{bare.name}"."autogen"."tower" GROUP BY "worker"'  # noqa: S608

    assert empty(bare, {"right": query.format("up"), "wrong": query.format("upp")}) == {"wrong"}


def test_a_panel_asks_as_the_dashboard_of_chronograf_does() -> None:
    """What is selected stands in both, so that both show the same."""

    def selected(queries: dict[str, str]) -> set[str]:
        return {
            part for query in queries.values() for part in re.findall(r'(\S+\("\w+"\)[^,]*?) AS', query)
        }

    assert selected(chronograf_queries("x")) <= selected(grafana_queries("x"))
