"""Memory and CPU load of this machine, drawn in the terminal from what InfluxDB holds."""

import http.client
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import Any

from plotille import Canvas
from rich.console import RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from lab.errors import LabError

#: The records of this machine that come as the lab's Pi sends them: they name no device.
QUESTION = (
    'SELECT "memory", "CPU_Usage" FROM "Labs"."autogen"."labs" WHERE time >= {}s AND "deviceId" = \'\''
)

#: Characters of one plot: two of them fit side by side into 80 columns.
WIDTH, HEIGHT = 34, 5

#: Kibibytes, the unit of `memory`, in a gibibyte.
KIB_PER_GIB = 1024**2


class MachinePlot:
    """The samples of this machine that InfluxDB has since a moment.

    Args:
        ask: Returns the rows that answer a question in InfluxQL.
        since: Seconds since the epoch.
    """

    def __init__(self, ask: Callable[[str], Iterable[dict[str, Any]]], since: int) -> None:
        self._ask = ask
        self._question = QUESTION.format(since)
        self._since = since
        self._problem = ""
        self.samples: list[tuple[float, float, float]] = []  #: second, memory in GiB, CPU load

    def refresh(self) -> None:
        """Ask InfluxDB; if it does not answer, keep the samples and say so in `summary`."""
        try:
            rows = list(self._ask(self._question))
        except (LabError, OSError, http.client.HTTPException, ValueError) as error:
            self._problem = str(error) or type(error).__name__
            return
        self._problem = ""
        self.samples = [
            (row["time"] / 1e9 - self._since, row["memory"] / KIB_PER_GIB, row["CPU_Usage"])
            for row in rows
            if row["memory"] is not None and row["CPU_Usage"] is not None
        ]

    def summary(self) -> str:
        """Return the newest sample in a few words."""
        if self._problem:
            return f"InfluxDB does not answer: {self._problem}"
        if not self.samples:
            return "InfluxDB has no sample yet"
        _, memory, load = self.samples[-1]
        return f"memory {memory:.2f} GiB, CPU_Usage {load:.2f}"

    def picture(self) -> RenderableType:
        """Draw both series side by side; nothing before the second sample."""
        if len(self.samples) < 2:
            return Text()
        seconds, memory, load = zip(*self.samples, strict=True)
        plots = Table.grid(padding=(0, 1))
        plots.add_row(
            _panel("memory, GiB free", seconds, memory, "cyan"),
            _panel("CPU_Usage", seconds, load, "green"),
        )
        return plots


def _panel(title: str, seconds: Sequence[float], values: Sequence[float], style: str) -> Panel:
    return Panel(
        Text(line(seconds, values), style, no_wrap=True),
        title=f"{title} [bold]{values[-1]:.2f}[/bold]",
        subtitle=f"{min(values):.2f} to {max(values):.2f} in {seconds[-1] - seconds[0]:.0f} s",
        width=WIDTH + 4,
    )


def line(seconds: Sequence[float], values: Sequence[float]) -> str:
    """Draw one series as a line of braille dots, `HEIGHT` lines of `WIDTH` characters.

    Args:
        seconds: When the samples were taken, in order; the first and the last differ.
        values: Their values. A series that does not change is a line in the middle.
    """
    margin = (max(values) - min(values)) * 0.05 or 1.0
    canvas = Canvas(WIDTH, HEIGHT, seconds[0], min(values) - margin, seconds[-1], max(values) + margin)
    points = list(zip(seconds, values, strict=True))
    for (x0, y0), (x1, y1) in pairwise(points):
        canvas.line(x0, y0, x1, y1)
    return str(canvas.plot())
