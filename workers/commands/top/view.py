"""What `top` shows: sums, the partitions, and what is wrong."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from workers.commands.console import age
from workers.commands.pool.partition_rows import PartitionRow
from workers.commands.pool.troubles import Severity
from workers.commands.serve.observation import Observation
from workers.log import printable
from workers.types import sort_key

#: Heights of a bar in a text, and samples that are shown.
BARS = " ▁▂▃▄▅▆▇█"
SHOWN = 30

#: Most troubles that are shown.
MOST_TROUBLES = 6

STYLES = {"running": "green", "waiting": "yellow", "starting": "yellow", "stopping": "yellow"}


@dataclass(frozen=True)
class Order:
    """How the partitions are sorted and whether the view stands still."""

    column: str = "partition"
    descending: bool = False
    paused: bool = False

    def after(self, key: str) -> "Order":
        """Return the order after a key: s next column, r reverse, p or space pause."""
        if key == "s":
            names = list(COLUMNS)
            following = names[(names.index(self.column) + 1) % len(names)]
            # Large figures first: that is what one looks for.
            return replace(self, column=following, descending=following not in {"partition", "state"})
        if key == "r":
            return replace(self, descending=not self.descending)
        if key in {"p", " "}:
            return replace(self, paused=not self.paused)
        return self


@dataclass(frozen=True)
class TopRow:
    """One partition with its past."""

    row: PartitionRow
    rates: Sequence[float | None]
    lags: Sequence[int | None]
    wait_s: float | None

    @property
    def rate(self) -> float | None:
        """Records stored a second."""
        return self.rates[-1] if self.rates else None


COLUMNS: Mapping[str, Callable[[TopRow], Any]] = {
    "partition": lambda line: sort_key(line.row.partition),
    "state": lambda line: line.row.state,
    "rate": lambda line: line.rate or 0,
    "lag": lambda line: line.row.lag or 0,
    "waits": lambda line: line.wait_s or 0,
    "stored": lambda line: line.row.written,
    "dead": lambda line: line.row.dead_lettered,
}


def lines(observation: Observation, history: Mapping[str, Any], order: Order) -> list[TopRow]:
    """Return the partitions in the order that was asked for.

    Args:
        observation: The pool as it is now.
        history: The content of a `History`.
        order: The column to sort by.
    """
    past = history["partitions"]
    unsorted = [
        TopRow(
            row,
            past.get(row.partition, {}).get("rates", ()),
            past.get(row.partition, {}).get("lags", ()),
            observation.lag_seconds(row),
        )
        for row in observation.rows
    ]
    return sorted(unsorted, key=COLUMNS[order.column], reverse=order.descending)


def bars(values: Sequence[float | None]) -> str:
    """Draw the newest values as bars; the highest is full, an unknown one a dot."""
    newest = list(values)[-SHOWN:]
    top = max((value for value in newest if value), default=0)
    full = len(BARS) - 1
    return "".join(
        "·" if value is None else BARS[round(value / top * full) if top else 0] for value in newest
    ).rjust(SHOWN)


def render(
    title: str, observation: Observation, history: Mapping[str, Any], order: Order
) -> RenderableType:
    """Build the whole view."""
    ordered = lines(observation, history, order)
    parts: list[RenderableType] = [_head(title, observation, ordered, order), _partitions(ordered, order)]
    for trouble in observation.troubles[:MOST_TROUBLES]:
        style = "red" if trouble.severity is Severity.ERROR else "yellow"
        parts.append(Text(printable(f"{trouble.severity}: {trouble.cause}"), style))
        parts.append(Text(printable(f"  -> {trouble.remedy}"), "dim"))
    left_out = len(observation.troubles) - MOST_TROUBLES
    if left_out > 0:
        parts.append(Text(f"{left_out} more: `tower status` lists all"))
    parts.append(Text("q quit   s sort by the next column   r reverse   p pause", "dim"))
    return Group(*parts)


def _head(title: str, observation: Observation, ordered: Sequence[TopRow], order: Order) -> Text:
    errors = len(observation.errors)
    verdict = f"{errors} problem{'s' * (errors != 1)}" if errors else "no problem found"
    rate = sum(line.rate or 0 for line in ordered)
    lags = [line.row.lag for line in ordered if line.row.lag is not None]
    text = Text(f"{title}   ", "bold")
    text.append(verdict, "red" if errors else "green")
    text.append(
        f"   stored/s {rate:,.0f}   lag {sum(lags):,}" if lags else f"   stored/s {rate:,.0f}   lag -"
    )
    running = len(observation.running)
    text.append(f"   workers {running} of {observation.facts.expected_workers}")
    if order.paused:
        text.append("   paused", "yellow")
    return text


def _partitions(ordered: Sequence[TopRow], order: Order) -> Table:
    table = Table(expand=False, pad_edge=False, box=None)
    heads = (
        ("partition", "partition", "right"),
        ("owner", "", "left"),
        ("state", "state", "left"),
        ("stored/s", "rate", "right"),
        ("", "", "left"),
        ("lag", "lag", "right"),
        ("", "", "left"),
        ("oldest waits", "waits", "right"),
        ("stored", "stored", "right"),
        ("dead letters", "dead", "right"),
    )
    for text, column, justify in heads:
        mark = (" ▼" if order.descending else " ▲") if column == order.column else ""
        table.add_column(text + mark, justify="right" if justify == "right" else "left", no_wrap=True)
    for line in ordered:
        row = line.row
        table.add_row(
            str(row.partition),
            Text(printable(row.owner or "no owner")),
            Text(printable(row.state), STYLES.get(row.state, "red")),
            _number(line.rate),
            Text(bars(line.rates), "cyan"),
            _number(row.lag),
            Text(bars(line.lags), "cyan"),
            "-" if line.wait_s is None else age(line.wait_s),
            _number(row.written),
            _number(row.dead_lettered),
        )
    return table


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.0f}"
