"""The lab's dashboard: memory, CPU load, traffic, errors and disk of each device, from InfluxDB."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from workers.commands.clients.influxdb_api import ApiResponse, InfluxdbApi, basic, quoted
from workers.config import tls
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


def statements(settings: Settings) -> str:
    """Build the query of all plots, one statement each."""
    source = ".".join(
        map(
            quoted,
            (settings.influxdb_database, settings.influxdb_retention_policy, settings.route.measurement),
        )
    )
    return "; ".join(
        # Names of settings, quoted for InfluxQL.
        f"SELECT {plot.select} FROM {source} WHERE time > now() - {MINUTES}m "  # noqa: S608
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
        self._content: dict[str, Any] = {}

    def content(self) -> dict[str, Any]:
        """Return the plots, or `problem` and what to do."""
        with self._lock:
            if self._clock() - self._at > KEPT_S:
                self._content = self._ask()
                self._at = self._clock()
            return self._content

    def _ask(self) -> dict[str, Any]:
        settings = self._settings
        if not (settings.influxdb_user and settings.influxdb_password):
            return _problem(
                "InfluxDB's v1 user is not set",
                "set INFLUXDB_V1_USER and INFLUXDB_V1_PASSWORD (`tower provision` creates the user), and "
                "restart the pool",
            )
        settings.influxdb_password.reread()
        authorization = basic(settings.influxdb_user, settings.influxdb_password.reveal())
        try:
            answer = self._api.influxql(
                settings.influxdb_database,
                settings.influxdb_retention_policy,
                statements(settings),
                authorization,
            )
        except CommandError as error:
            return _problem(error.problem, error.do)
        if answer.status != 200:
            return _problem(
                f"InfluxDB: {answer.status}: {answer.message}",
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
