"""The demo draws what InfluxDB holds of this machine, and says so if it does not answer."""

import io
from collections.abc import Iterable
from typing import Any

from rich.console import Console

from lab.errors import LabError
from lab.machine_plot import HEIGHT, KIB_PER_GIB, WIDTH, MachinePlot, line

BLANK = "\u2800"


def plot_of(rows: Iterable[dict[str, Any]]) -> MachinePlot:
    plot = MachinePlot(lambda _: rows, since=100)
    plot.refresh()
    return plot


def rows(*loads: float) -> list[dict[str, Any]]:
    return [
        {"time": (100 + second) * 10**9, "memory": 2 * KIB_PER_GIB, "CPU_Usage": load}
        for second, load in enumerate(loads)
    ]


def printed(plot: MachinePlot, width: int = 80) -> str:
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(plot.picture())
    return console.export_text()


def test_a_rising_series_goes_from_the_lower_left_to_the_upper_right() -> None:
    drawn = line([0, 1, 2], [1.0, 2.0, 3.0]).splitlines()

    assert [len(text) for text in drawn] == [WIDTH] * HEIGHT
    assert drawn[0].rstrip(BLANK)[-1:] == drawn[0][-1:] != BLANK
    assert drawn[-1].lstrip(BLANK)[:1] == drawn[-1][:1] != BLANK
    assert drawn[0][0] == drawn[-1][-1] == BLANK


def test_a_series_that_does_not_change_is_a_line_in_the_middle() -> None:
    drawn = line([0, 1], [7.0, 7.0]).splitlines()

    assert [text.strip(BLANK) != "" for text in drawn] == [False, False, True, False, False]


def test_both_series_fit_into_80_columns_with_their_newest_value() -> None:
    text = printed(plot_of(rows(0.5, 1.5, 1.0)))

    assert "memory, GiB free 2.00" in text
    assert "CPU_Usage 1.00" in text
    assert "0.50 to 1.50 in 2 s" in text
    assert "…" not in text


def test_one_sample_is_no_line_yet() -> None:
    plot = plot_of(rows(0.5))

    assert printed(plot).strip() == ""
    assert plot.summary() == "memory 2.00 GiB, CPU_Usage 0.50"


def test_no_sample_and_no_answer_are_said() -> None:
    def refuse(_: str) -> Iterable[dict[str, Any]]:
        raise LabError("refused")

    plot = plot_of(rows(0.5, 1.5))
    plot._ask = refuse
    plot.refresh()

    assert plot_of([]).summary() == "InfluxDB has no sample yet"
    assert plot.summary() == "InfluxDB does not answer: refused"
    assert len(plot.samples) == 2
