"""A renamed field: no name twice, no field lost, and always the same field takes the name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import fakes
from workers.records.rename import Rename
from workers.records.rename import groups as groups_of

#: Few names, so that maps and records meet in every way.
NAMES = st.sampled_from(list("abcdef"))
MAPS = st.dictionaries(NAMES, NAMES, max_size=6).map(
    lambda names: {name: new for name, new in names.items() if name != new}
)
RECORDS = st.dictionaries(NAMES, st.integers(), max_size=6)


def renamed(names: str, record: dict[str, Any]) -> dict[str, Any]:
    """A record under a map as TOWER_RENAME has it."""
    return Rename([(pair[0], pair[2]) for pair in names.split(",") if pair]).apply(record)


@given(MAPS, RECORDS)
def test_no_field_is_lost_and_no_order_changed(names: dict[str, str], record: dict[str, int]) -> None:
    result = Rename(names.items()).apply(record)

    assert list(result.values()) == list(record.values())
    for old, new in zip(record, result, strict=True):
        assert new in {old, names.get(old)}


@given(MAPS, RECORDS)
def test_a_field_keeps_its_own_name_only_if_the_new_one_is_taken(
    names: dict[str, str], record: dict[str, int]
) -> None:
    result = dict(zip(record, Rename(names.items()).apply(record), strict=True))

    order = list(names)
    for name, new in names.items():
        if name not in record:
            continue
        earlier = [
            earlier_name
            for earlier_name in order[: order.index(name)]
            if earlier_name in record and names[earlier_name] == new
        ]
        assert (result[name] == name) == (new in record or bool(earlier))


@given(MAPS, RECORDS)
def test_a_record_with_one_field_of_each_group_gets_every_new_name(
    names: dict[str, str], record: dict[str, int]
) -> None:
    rename = Rename(names.items())
    groups = groups_of(names.items())
    first = {groups.get(name, name): name for name in reversed(record)}
    alone = {name: value for name, value in record.items() if first[groups.get(name, name)] == name}

    assert list(rename.apply(alone)) == [names.get(name, name) for name in alone]


@given(MAPS, RECORDS, st.sets(NAMES))
def test_fields_that_can_wait_get_the_same_names(
    names: dict[str, str], record: dict[str, int], tags_and_times: set[str]
) -> None:
    rename = Rename(names.items(), tags_and_times)

    if rename.can_wait(record):
        new_names = [rename.new_name(name) for name in record]
        assert new_names == list(rename.apply(record))
        assert {name for name in new_names if name in tags_and_times} <= record.keys()


def test_the_fields_of_most_records_can_wait() -> None:
    """Else each would cost a dict more."""
    rename = Rename(fakes.route().rename, ["ip", "deviceId", "timestamp", "time"])

    assert rename.can_wait({"free_ram": 1, "cpu_load": 2, "time": 3})
    assert rename.can_wait({"memory": 1, "CPU_Usage": 2, "time": 3})
    assert not rename.can_wait({"memory": 1, "free_ram": 2})


@given(MAPS, RECORDS)
def test_the_record_itself_is_not_changed(names: dict[str, str], record: dict[str, int]) -> None:
    before = list(record.items())

    result = Rename(names.items()).apply(record)
    result["other"] = 1

    assert list(record.items()) == before


@pytest.mark.parametrize(
    ("names", "record", "expected"),
    [
        pytest.param("", {"a": 1}, {"a": 1}, id="no map"),
        pytest.param("a:b", {"a": 1, "c": 2}, {"b": 1, "c": 2}, id="one of two"),
        pytest.param("a:b", {"a": 1, "b": 2}, {"a": 1, "b": 2}, id="the new name is there"),
        pytest.param("a:c,b:c", {"b": 1, "a": 2}, {"b": 1, "c": 2}, id="the first in the map wins"),
        pytest.param("a:c,b:c", {"b": 1}, {"c": 1}, id="the second alone"),
        pytest.param("a:c,b:c", {"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 2, "c": 3}, id="all three"),
        pytest.param("a:b,b:c", {"a": 1}, {"b": 1}, id="a chain is not followed"),
        pytest.param("a:b,b:c", {"a": 1, "b": 2}, {"a": 1, "c": 2}, id="both of a chain"),
        pytest.param("a:b,b:a", {"a": 1, "b": 2}, {"a": 1, "b": 2}, id="no swap"),
    ],
)
def test_which_field_takes_the_name(names: str, record: dict[str, int], expected: dict[str, int]) -> None:
    result = renamed(names, record)

    assert result == expected
    assert list(result) == list(expected)


def test_names_that_a_rename_connects_are_one_group() -> None:
    groups = groups_of([("a", "b"), ("c", "d"), ("e", "b"), ("b", "f")])

    assert groups.keys() == set("abcdef")
    assert len({groups[name] for name in "abef"}) == 1
    assert groups["c"] == groups["d"] != groups["a"]
