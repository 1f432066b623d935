"""msgpack-test-suite (github.com/kawanet/msgpack-test-suite): each encoding of a value is that value."""

import json
from functools import cache
from typing import Any

import pytest

from tests import corpus
from tests.support import fakes, line_protocol
from tests.support.fakes import FakeMessage
from tests.support.kernel import needs_kernel
from tests.support.variants import Path
from workers.batch import Batch

PYTHON = Path(fakes.route(), native=False)

#: Groups of the suite, and how many values each has.
GROUPS = {
    "10.nil.yaml": 1, "11.bool.yaml": 2, "12.binary.yaml": 3, "20.number-positive.yaml": 11,
    "21.number-negative.yaml": 8, "22.number-float.yaml": 2, "23.number-bignum.yaml": 9,
    "30.string-ascii.yaml": 4, "31.string-utf8.yaml": 5, "32.string-emoji.yaml": 2, "40.array.yaml": 5,
    "41.map.yaml": 3, "42.nested.yaml": 4, "50.timestamp.yaml": 19, "60.ext.yaml": 7,
}  # fmt: skip


@cache
def suite() -> dict[str, list[dict[str, Any]]]:
    """The values of each group."""
    groups: dict[str, list[dict[str, Any]]] = json.loads(
        (corpus.FOLDER / "msgpack-test-suite.json").read_text()
    )
    return groups


def encodings(case: dict[str, Any]) -> list[bytes]:
    """All encodings of one value."""
    return [bytes.fromhex(text.replace("-", "")) for text in case["msgpack"]]


def stored(value: bytes) -> dict[str, object]:
    """The fields of the point that a record with one field `value` becomes; empty for none."""
    batch = Batch()
    PYTHON.converter.convert([FakeMessage(b"\x81\xa5value" + value)], batch)
    assert len(batch.lines) + len(batch.dead_letters) == 1
    return dict(line_protocol.parse(batch.lines[0].decode()).fields) if batch.lines else {}


def flat(value: Any, name: str = "value") -> dict[str, object]:
    """The fields that a value becomes."""
    if isinstance(value, dict):
        parts = [flat(inner, f"{name}_{key}") for key, inner in value.items()]
    elif isinstance(value, list):
        parts = [flat(inner, f"{name}_{place}") for place, inner in enumerate(value)]
    else:
        return {name: value}
    return {key: inner for part in parts for key, inner in part.items()}


def expected(case: dict[str, Any]) -> dict[str, object]:
    """The fields that each encoding of a value becomes."""
    kind = next(key for key in ("bignum", *case) if key in case and key != "msgpack")
    if kind in {"nil", "ext"}:
        return {}
    if kind == "binary":
        # Text is stored, other bytes are a dead letter.
        data = bytes.fromhex(case[kind].replace("-", ""))
        return {"value": data.decode()} if data.isascii() else {}
    if kind == "timestamp":
        seconds, nanoseconds = case[kind]
        return {"value": (seconds * 10**9 + nanoseconds) / 10**9}
    if kind == "bignum":
        return {"value": float(int(case[kind]))}
    return flat(case[kind])


def test_the_suite_is_complete() -> None:
    assert {group: len(cases) for group, cases in suite().items()} == GROUPS


@pytest.mark.parametrize("group", GROUPS)
def test_each_encoding_of_a_value_is_that_value(group: str) -> None:
    for case in suite()[group]:
        for encoding in encodings(case):
            assert stored(encoding) == expected(case), encoding


@needs_kernel
@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("name", ["value", "memory", "timestamp", "ip"])
def test_both_paths_agree_on_each_encoding_in_a_field_of_each_kind(group: str, name: str) -> None:
    native, python = (Path(fakes.route(), native=native) for native in (True, False))
    key = bytes([0xA0 + len(name)]) + name.encode()
    for case in suite()[group]:
        for encoding in encodings(case):
            messages = [FakeMessage(b"\x82\xa2tx\x01" + key + encoding)]
            assert native.outcome(messages) == python.outcome(messages), encoding
