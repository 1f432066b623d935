"""The tables that the demo prints."""

import time
from collections.abc import Sequence
from typing import Any

from rich.table import Table

from lab.provision import TOPIC
from lab.senders.ledger import Row

#: What becomes of records, as the ledger's rows call it.
COLUMNS = ("produced", "stored", "dead_lettered")


def account_table(rows: dict[int, Row]) -> Table:
    """The table of produced, stored, dead-lettered and committed, by partition."""
    table = Table(title=f"topic {TOPIC}", title_justify="left", show_footer=True)
    total = [sum(getattr(row, name) for row in rows.values()) for name in COLUMNS]
    table.add_column("partition", "sum")
    for name, number in zip(COLUMNS, total, strict=True):
        table.add_column(name.replace("_", "-"), str(number), justify="right")
    table.add_column("committed", "", justify="right")
    for number, row in sorted(rows.items()):
        cells = [str(getattr(row, name)) for name in COLUMNS]
        table.add_row(str(number), *cells, f"{row.committed} of {row.end}")
    return table


def answer_table(rows: Sequence[dict[str, Any]]) -> Table:
    """Rows of an answer of InfluxDB."""
    table = Table()
    names = [name for name in (rows[0] if rows else {}) if name != "_series"]
    for name in names:
        table.add_column(name, justify="right")
    for row in rows:
        table.add_row(*(_moment(row[name]) if name == "time" else str(row[name]) for name in names))
    return table


def _moment(nanoseconds: int) -> str:
    """A point's time for people, with all of its digits."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest:09d}Z"
