"""Two names that become one: never twice in a line, the first one counts, the others are counted."""

import json
from functools import cache
from typing import Any

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import fakes, line_protocol
from tests.support.examples import examples
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from workers.records.encoder import Encoder


def encoded(record: dict[str, Any], **options: object) -> tuple[str, int, int]:
    """The fields of a record's line, and how many values were left out for their name, and others."""
    encoder = Encoder(fakes.route(**options))
    line = encoder.encode(record, fakes.KAFKA_MS, 0, 0).decode()
    return line.partition(" ")[2].rpartition(" ")[0], encoder.names_doubled, encoder.values_omitted


@pytest.mark.parametrize(
    ("record", "fields", "doubled"),
    [
        pytest.param({"a\tb": 1, "a_b": "x"}, "a_b=1", 1, id="control character"),
        pytest.param({"a_b": "x", "a\tb": 1}, 'a_b="x"', 1, id="control character, other order"),
        pytest.param({"a\tb": 1, "a\nb": 2, "a\x7fb": 3}, "a_b=1", 2, id="three control characters"),
        pytest.param({"c\\d": True, "c/d": 2.5}, "c/d=true", 1, id="backslash"),
        pytest.param({"host": 1, "host_": "two"}, "host_=1", 1, id="name of a constant tag"),
        pytest.param({"host_": "two", "host": 1}, 'host_="two"', 1, id="the same, other order"),
        pytest.param({"_field": 1, "_field_": 2}, "_field_=1", 1, id="reserved name"),
        pytest.param({"\tfield": 1, "\x01field": 2}, "_field_=1", 1, id="reserved by a control character"),
        pytest.param({"a": {"b": 1}, "a_b": 2}, "a_b=1", 1, id="flattened first"),
        pytest.param({"a_b": 2, "a": {"b": 1}}, "a_b=2", 1, id="flattened last"),
        pytest.param({"a": [1, 2], "a_1": 3}, "a_0=1,a_1=2", 1, id="flattened array"),
        pytest.param({"a": {"b": None}, "a_b": 2}, "a_b=2", 1, id="null is no value"),
        pytest.param({"host": None, "host_": 2}, "host_=2", 0, id="null is left out for itself"),
        pytest.param({"cpu": 1, "cpu_load": 2}, "cpu=1,CPU_Usage=2", 0, id="a rename loses nothing"),
        pytest.param(
            {"a,b": 1, "a\\,b": 2, "a=b": 3}, "a\\,b=1,a/\\,b=2,a\\=b=3", 0, id="escapes stay apart"
        ),
    ],
)
def test_the_first_of_two_names_counts(record: dict[str, Any], fields: str, doubled: int) -> None:
    assert encoded(record)[:2] == (fields, doubled)


def test_a_name_that_becomes_a_tags_gets_an_underscore() -> None:
    assert encoded({"my\ttag": 1}, tags="my_tag=x")[0] == "my_tag_=1"
    assert encoded({"my\ttag": 1}, tag_fields="my_tag")[0] == "my_tag_=1"


def test_an_underscore_that_makes_another_tags_name_is_followed_by_another() -> None:
    assert encoded({"a": 1}, tags="a=x,a_=y")[0] == "a__=1"


#: Few names that meet in every way.
NAMES = [
    "a",
    "a_b",
    "a\tb",
    "a/b",
    "a\\b",
    "host",
    "host_",
    "host__",
    "_field",
    "_field_",
    "x",
    "a_b_0",
    "b",
]
VALUES = st.recursive(
    st.sampled_from([None, True, 1, "text"]),
    lambda inner: st.dictionaries(st.sampled_from(["b", "0", "_"]), inner) | st.lists(inner, max_size=2),
    max_leaves=3,
)
RECORDS = st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1).map(lambda it: {"sure": 1, **it})


def leaves(value: Any) -> int:
    """How many values of a record are no objects or arrays."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 1 if inner is None else sum(map(leaves, inner))


TWO_TAGS = fakes.route(tags="host=Labs,host_=x")


@settings(max_examples=examples(100))
@given(RECORDS)
def test_no_name_is_twice_in_a_line_and_every_value_is_in_it_or_counted(record: dict[str, Any]) -> None:
    encoder = Encoder(TWO_TAGS)

    point = line_protocol.parse(encoder.encode(record, fakes.KAFKA_MS, 0, 0).decode())

    assert len(point.fields) + encoder.names_doubled + encoder.values_omitted == leaves(record)
    assert point.fields.keys().isdisjoint(point.tags)


@cache
def paths(rename: str) -> tuple[Path, Path]:
    made = fakes.route(rename=rename)
    return Path(made, native=True), Path(made, native=False)


@needs_kernel
@pytest.mark.parametrize("rename", ["", "b:host", "x:host_,b:a_b", "host:x"])
@settings(max_examples=examples(40))
@given(records=st.lists(RECORDS, min_size=1, max_size=4))
def test_both_paths_agree_on_names_that_become_one(records: list[dict[str, Any]], rename: str) -> None:
    native, python = paths(rename)
    messages = [FakeMessage(pack(record)) for record in records for pack in (_json, msgpack.packb)]

    assert native.outcome(messages) == python.outcome(messages)


@needs_kernel
@pytest.mark.parametrize("names", [("host", "host_"), ("host_", "host"), ("_field_", "_field")])
def test_the_kernel_leaves_a_record_with_a_reserved_name_and_its_other_one(names: tuple[str, str]) -> None:
    native, python = (Path(fakes.route(), native=native) for native in (True, False))
    for pack in (_json, msgpack.packb):
        # Each alone is common. Both in one record are not.
        messages = [FakeMessage(pack({name: 1})) for name in names]
        assert native.outcome(messages) == python.outcome(messages)
        assert native.converter.by_python == 0

        both = [FakeMessage(pack(dict.fromkeys(names, 1)))]
        assert native.outcome(both) == python.outcome(both)
        assert native.outcome(both)["counted"]["names_doubled"] == 1
        native.converter.by_python = 0


def _json(record: dict[str, Any]) -> bytes:
    return json.dumps(record).encode()
