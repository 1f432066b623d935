"""The dashboard file of Chronograf, and what Chronograf's page needs of a cell and makes of its query."""

import json
from pathlib import Path
from typing import Any

DASHBOARD = Path(__file__).resolve().parents[2] / "docker" / "chronograf" / "labs.dashboard"

#: What the page reads of a cell without asking whether it is there, and its type (`Cell` in Chronograf's
#: ui/src/types/dashboards.ts). The server fills in the rest: links, note and visibility.
CELL: dict[str, Any] = {
    "i": str,
    "x": int,
    "y": int,
    "w": int,
    "h": int,
    "name": str,
    "type": str,
    "queries": [{"query": str}],
    "axes": {
        axis: {"bounds": [str], "label": str, "prefix": str, "suffix": str, "base": str, "scale": str}
        for axis in ("x", "y")
    },
    "colors": [],
    "legend": {},
    "tableOptions": {
        "verticalTimeAxis": bool,
        "sortBy": {"internalName": str, "displayName": str, "visible": bool},
        "wrapping": str,
        "fixFirstColumn": bool,
    },
    "fieldOptions": [{"internalName": str, "displayName": str, "visible": bool}],
    "timeFormat": str,
    "decimalPlaces": {"isEnforced": bool, "digits": int},
}

#: Points Chronograf wants in a graph (`DESIRED_POINTS_PER_GRAPH` in its ui/src/tempVars/utils/replace.ts).
POINTS = 360


#: Cells about the pool begin like this, and come after those of the lab.
POOL = "pool-"


def cells() -> list[dict[str, Any]]:
    """The cells of the dashboard, as the file has them."""
    dashboard_cells: list[dict[str, Any]] = json.loads(DASHBOARD.read_text())["cells"]
    return dashboard_cells


def lab_cells() -> list[dict[str, Any]]:
    """Those that show the lab's records."""
    return [cell for cell in cells() if not cell["i"].startswith(POOL)]


def pool_cells() -> list[dict[str, Any]]:
    """Those that show the pool, from the points that TOWER_SERVE_POINTS_S asks for."""
    return [cell for cell in cells() if cell["i"].startswith(POOL)]


def queries(cell: dict[str, Any]) -> list[str]:
    """The queries of one cell, with Chronograf's variables in them."""
    return [query["query"] for query in cell["queries"]]


def rendered(query: str, minutes: int) -> str:
    """A query as Chronograf sends it for "Past N minutes" of its menu.

    `:dashboardTime:` becomes the text of the choice, `:interval:` the time shown divided by the points
    of a graph, in whole milliseconds.
    """
    interval_ms = round(minutes * 60_000 / POINTS)
    return query.replace(":dashboardTime:", f"now() - {minutes}m").replace(":interval:", f"{interval_ms}ms")


def faults(value: Any, wanted: Any, path: str = "cell") -> list[str]:
    """The paths of all that `value` lacks of `wanted` or has of another type; none if it is complete.

    A list in `wanted` shows what each element needs, and wants at least one; an empty one wants any list.
    """
    if isinstance(wanted, type):
        return [] if type(value) is wanted else [path]
    if type(value) is not type(wanted) or (wanted and not value):
        return [path]
    if isinstance(wanted, dict):
        inner = [(value.get(key), needed, f"{path}.{key}") for key, needed in wanted.items()]
    else:
        inner = [(element, needed, f"{path}[]") for needed in wanted for element in value]
    return [fault for one in inner for fault in faults(*one)]
