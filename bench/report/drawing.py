"""How plots look, and how they become SVG for a page."""

import io
from collections.abc import Sequence
from typing import Any, cast

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Pixels of the page per inch of a plot.
PIXELS = 96

#: Width of all plots, in pixels: the page makes them as wide as their card.
WIDTH = 560

INK, SOFT, GRID = "#1e293b", "#64748b", "#e2e8f0"

STYLE: Any = {
    # Text stays text: it is read by screen readers, and small.
    "svg.fonttype": "none",
    # The same results give the same page.
    "svg.hashsalt": "tower",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": GRID,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
}


def axes(height: int = 340, x: str = "", y: str = "") -> Axes:
    """Return the axes of a new, empty plot.

    Args:
        height: Height in pixels, where the plot is `WIDTH` pixels wide.
        x: Title of the x axis.
        y: Title of the y axis.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH / PIXELS, height / PIXELS), layout="constrained")
        plot = figure.subplots()
    plot.set_xlabel(x)
    plot.set_ylabel(y)
    plot.xaxis.set_major_formatter("{x:,.6g}")
    plot.yaxis.set_major_formatter("{x:,.6g}")
    return plot


def bars(
    plot: Axes,
    names: Sequence[str],
    values: Sequence[float],
    *,
    colour: str | Sequence[str],
    texts: Sequence[str],
    label: str = "",
    after: Sequence[float] = (),
) -> None:
    """Draw horizontal bars, one per name, from the top down.

    Args:
        plot: Where.
        names: Name of each bar.
        values: Length of each bar.
        colour: Of all bars or of each.
        texts: What is written at the end of each bar.
        label: Name in the legend; the texts are then in the bars.
        after: Where each bar begins; all at 0 by default.
    """
    begins = list(after) or [0.0] * len(names)
    places = range(len(names))
    drawn = plot.barh(places, values, left=begins, color=colour, label=label or None, height=0.62)
    if label:
        plot.bar_label(drawn, texts, label_type="center", color="white")
    else:
        plot.bar_label(drawn, texts, padding=4)
    plot.set_yticks(places, names)
    plot.grid(visible=False, axis="y")
    if not plot.yaxis_inverted():
        plot.invert_yaxis()
    plot.margins(x=0.14)


def legend(*plots: Axes) -> None:
    """Name the series of plots that share a figure above them."""
    series = [plot.get_legend_handles_labels() for plot in plots]
    handles = [handle for handles, _ in series for handle in handles]
    labels = [label for _, labels in series for label in labels]
    plots[0].figure.legend(handles, labels, loc="outside upper left", ncols=4, frameon=False)


def svg(plot: Axes) -> str:
    """Return the whole plot as an SVG element without a size of its own."""
    figure = cast("Figure", plot.get_figure(root=True))
    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    # Without the XML declaration and the document type, which have no place in HTML.
    return text.getvalue()[text.getvalue().index("<svg") :]
