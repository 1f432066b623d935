"""The dashboard Labs is complete, so that Chronograf's page does not crash, and reads well."""

import copy
import re
from typing import Any

import pytest

from tests.support import chronograf
from workers.config.settings import options

CELLS = [pytest.param(cell, id=cell["i"]) for cell in chronograf.cells()]


def paths(wanted: dict[str, Any], above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every key in `wanted`, at any depth below objects."""
    wanted_paths = []
    for key, inner in wanted.items():
        wanted_paths.append((*above, key))
        if isinstance(inner, dict):
            wanted_paths += paths(inner, (*above, key))
    return wanted_paths


def test_the_dashboard_has_six_cells_of_the_lab_and_below_them_four_of_the_pool() -> None:
    lab = {(cell["x"], cell["y"]) for cell in chronograf.lab_cells()}
    pool = {(cell["x"], cell["y"]) for cell in chronograf.pool_cells()}
    sizes = {(cell["w"], cell["h"]) for cell in chronograf.cells()}

    assert lab == {(x, y) for x in (0, 6) for y in (0, 4, 8)}
    assert pool == {(x, y) for x in (0, 6) for y in (12, 16)}
    assert sizes == {(6, 4)}


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_has_everything_the_page_reads(cell: dict[str, Any]) -> None:
    assert chronograf.faults(cell, chronograf.CELL) == []


@pytest.mark.parametrize("path", paths(chronograf.CELL), ids=".".join)
def test_a_cell_that_lacks_something_is_caught(path: tuple[str, ...]) -> None:
    cell = copy.deepcopy(chronograf.cells()[0])
    place = cell
    for key in path[:-1]:
        place = place[key]
    del place[path[-1]]

    assert chronograf.faults(cell, chronograf.CELL) == [".".join(("cell", *path))]


def test_a_cell_with_something_of_another_type_is_caught() -> None:
    cell = chronograf.cells()[0]
    cell["fieldOptions"] = None
    cell["decimalPlaces"]["digits"] = "2"

    assert chronograf.faults(cell, chronograf.CELL) == ["cell.fieldOptions", "cell.decimalPlaces.digits"]


def test_the_queries_ask_for_the_fields_the_lab_has() -> None:
    asked = [query for cell in chronograf.lab_cells() for query in chronograf.queries(cell)]
    known = {option.name: option.metadata["default"] for option in options()}

    assert all('FROM "Labs"."autogen"."labs"' in query for query in asked)
    names = {name for query in asked for name in re.findall(r'AS "(\w+)"', query)}

    assert names == set(known["number_fields"].split(","))


@pytest.mark.parametrize("cell", CELLS)
def test_each_axis_has_a_label(cell: dict[str, Any]) -> None:
    """Without one Chronograf writes `labs.memory[deviceId=]` beside it."""
    assert cell["axes"]["y"]["label"]


def test_memory_is_shown_in_bytes_and_traffic_in_bytes_a_second() -> None:
    """The lab's snmpd counts memory in units of 1,024 bytes; base 2 makes MB and GB of bytes."""
    by_name = {cell["i"]: cell for cell in chronograf.cells()}
    axes = {name: cell["axes"]["y"] for name, cell in by_name.items()}
    units = {name: (axis["suffix"], axis["base"]) for name, axis in axes.items()}

    assert 'mean("memory") * 1024' in chronograf.queries(by_name["memory"])[0]
    assert units["memory"] == ("B", "2")
    assert units["tx"] == units["rx"] == ("B/s", "2")


def test_a_query_is_rendered_as_chronograf_renders_it() -> None:
    query = "SELECT x FROM y WHERE time > :dashboardTime: GROUP BY time(:interval:)"

    assert chronograf.rendered(query, 15) == (
        "SELECT x FROM y WHERE time > now() - 15m GROUP BY time(2500ms)"
    )


@pytest.mark.parametrize("cell", CELLS)
def test_no_variable_is_left_in_a_rendered_query(cell: dict[str, Any]) -> None:
    for query in chronograf.queries(cell):
        assert ":" not in chronograf.rendered(query, 15)
