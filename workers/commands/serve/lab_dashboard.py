"""The lab's dashboard: memory, CPU load, traffic, errors and disk of each device, from InfluxDB."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.influxdb_api import ApiResponse, InfluxdbApi, basic, quoted
from workers.config import tls
from workers.config.influxdb_credentials import masked_answer
from workers.config.route import TOPIC
from workers.config.settings import Settings
from workers.errors import CommandError

#: Seconds for which one answer of InfluxDB serves all pages.
KEPT_S = 4.0

#: Seconds that a query may take.
QUERY_S = 5.0

#: Minutes that are plotted, and seconds of one step.
MINUTES = 15
STEP_S = 15

#: Most devices that are plotted, so that the answer stays small.
MOST_DEVICES = 12


@dataclass(frozen=True)
class Plot:
    """One plot.

    Args:
        title: Its title.
        unit: Unit of its values: B, B/s, % or nothing.
        select: What is selected, as in the dashboard of docker/chronograf.
    """

    title: str
    unit: str
    select: str


PLOTS = (
    Plot("Memory available", "B", 'mean("memory") * 1024 AS "memory"'),
    Plot("CPU load", "", 'mean("CPU_Usage") AS "CPU_Usage"'),
    Plot("Sent", "B/s", 'non_negative_derivative(mean("tx"), 1s) AS "tx"'),
    Plot("Received", "B/s", 'non_negative_derivative(mean("rx"), 1s) AS "rx"'),
    Plot("Disk used", "%", 'mean("disk") AS "disk"'),
    Plot(
        "Dropped and errors",
        "",
        'max("tx_dropped") AS "tx_dropped", max("rx_dropped") AS "rx_dropped", '
        'max("txError") AS "txError", max("rxError") AS "rxError"',
    ),
)


@dataclass(frozen=True)
class Source:
    """The measurement that is plotted."""

    database: str
    policy: str
    measurement: str


def source(settings: Settings) -> Source | None:
    """Return the measurement of the first route that has one name for it; None if no route has.

    Of a route whose measurement has the topic's name in it, the first topic is plotted that is no pattern.
    With API v2, TOWER_INFLUXDB_DATABASE stands for TOWER_INFLUXDB_BUCKET alone, so a route of another
    bucket is left out.
    """
    is_v2 = settings.influxdb_api == "v2"
    for route in settings.routes:
        topic = next((name for name in route.topics if not name.startswith("^")), None)
        is_named = topic is not None or TOPIC not in route.measurement
        if is_named and (not is_v2 or route.bucket == settings.bucket):
            return Source(
                settings.influxdb_database if is_v2 else route.bucket,
                settings.influxdb_retention_policy,
                route.measurement.replace(TOPIC, topic or ""),
            )
    return None


def statements(plotted: Source) -> str:
    """Build the query of all plots, one statement each."""
    source_name = ".".join(map(quoted, (plotted.database, plotted.policy, plotted.measurement)))
    return "; ".join(
        # Names of settings, quoted for InfluxQL.
        f"SELECT {plot.select} FROM {source_name} WHERE time > now() - {MINUTES}m "  # noqa: S608
        f'GROUP BY time({STEP_S}s), "deviceId" FILL(none) SLIMIT {MOST_DEVICES + 1}'
        for plot in PLOTS
    )


class LabDashboard:
    """Asks InfluxDB as the v1 user, at most once in `KEPT_S` whatever number of pages is open.

    Args:
        settings: Address, database and v1 user.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._api = InfluxdbApi(settings.influxdb_url, QUERY_S, tls.context(settings))
        self._clock = clock
        self._lock = threading.Lock()
        self._at = float("-inf")
        self._content = _problem("InfluxDB has not answered yet", "the page asks again every few seconds")

    def content(self) -> dict[str, Any]:
        """Return the plots, or `problem` and what to do.

        One caller waits for InfluxDB. The others get the last answer, so that an InfluxDB that hangs does
        not hold all threads of the server.
        """
        if self._lock.acquire(blocking=False):
            try:
                if self._clock() - self._at > KEPT_S:
                    self._content = self._ask()
                    self._at = self._clock()
            finally:
                self._lock.release()
        return self._content

    def _ask(self) -> dict[str, Any]:
        settings = self._settings
        if not (settings.influxdb_user and settings.influxdb_password):
            return _problem(
                "InfluxDB's v1 user is not set",
                "set INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD (`tower provision` creates the user), and "
                "restart the pool",
            )
        plotted = source(settings)
        if plotted is None:
            where = " in TOWER_INFLUXDB_BUCKET" if settings.influxdb_api == "v2" else ""
            return _problem(
                f"There are no plots: no route of TOWER_ROUTES has one measurement{where}",
                "name a topic or a measurement in a route, or use Chronograf",
            )
        settings.influxdb_password.reread()
        authorization = basic(settings.influxdb_user, settings.influxdb_password.reveal())
        try:
            answer = self._api.influxql(
                plotted.database, plotted.policy, statements(plotted), authorization
            )
        except CommandError as error:
            self._api.tls = tls.renewed(settings, self._api.tls)
            return _problem(masked_answer(error.problem, settings), error.do)
        if answer.status != 200:
            return _problem(
                f"InfluxDB: {answer.status}: {masked_answer(answer.message, settings)}",
                "`tower check` says what to do about the user's rights and the mapping",
            )
        return _content(plots=_plots(answer))


def _problem(problem: str, remedy: str) -> dict[str, Any]:
    return _content(problem, remedy)


def _content(
    problem: str = "", remedy: str = "", plots: list[dict[str, Any]] | None = None
) -> dict[str, Any]:
    return {
        "at": time.time(),
        "problem": problem,
        "remedy": remedy,
        "minutes": MINUTES,
        "plots": plots or [],
    }


def _plots(answer: ApiResponse) -> list[dict[str, Any]]:
    results = answer.content.get("results", []) if isinstance(answer.content, dict) else []
    plots = []
    for place, plot in enumerate(PLOTS):
        series: list[dict[str, Any]] = []
        tables = results[place].get("series", []) if place < len(results) else []
        for table in tables[:MOST_DEVICES]:
            device = table.get("tags", {}).get("deviceId", "")
            for column, name in enumerate(table["columns"][1:], 1):
                points = [
                    [values[0] // 1_000_000_000, values[column]]
                    for values in table["values"]
                    if values[column] is not None
                ]
                series.append({"device": device, "field": name, "points": points})
        plots.append(
            {
                "title": plot.title,
                "unit": plot.unit,
                "series": series,
                "is_cut": len(tables) > MOST_DEVICES,
            }
        )
    return plots
