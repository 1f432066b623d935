"""The points of a bucket, with the types that InfluxDB stores."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.request import Request, urlopen

from lab.lab import Lab
from lab.system.files import read_secret
from tests.support import line_protocol
from tests.support.line_protocol import Integer

#: Columns of Flux's answer that are no tags.
_OTHERS = frozenset({"", "result", "table", "_start", "_stop", "_time", "_value", "_field", "_measurement"})
#: All times that InfluxDB has room for but the last nanosecond, which no query reaches.
EVER = "start: time(v: -9223372036854775806), stop: time(v: 9223372036854775806)"
LAST = 9223372036854775806
_TIME = re.compile(r"(.+?)(?:\.(\d+))?Z")


class Value(NamedTuple):
    """One field of one point, and its type in Flux's words."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    time: int
    field: str
    type: str
    value: str | float | int


def stored(lab: Lab, bucket: str) -> Iterator[Value]:
    """Every value of a bucket."""
    query = {
        "query": f'from(bucket: "{bucket}") |> range({EVER})',
        "dialect": {"annotations": ["datatype"], "delimiter": ","},
    }
    token = read_secret(lab.secrets.admin_token) or ""
    request = Request(  # noqa: S310 - http, on loopback
        f"{lab.influxdb.url}/api/v2/query?org=GIST",
        json.dumps(query).encode(),
        {"Authorization": f"Token {token}", "Content-Type": "application/json"},
    )
    with urlopen(request, timeout=120) as answer:  # noqa: S310
        text = answer.read().decode()
    types: dict[str, str] = {}
    names: list[str] = []
    # Each table has its types, its names, and its rows. csv reads line breaks within quotes.
    for row in csv.reader(text.splitlines(keepends=True)):
        if not row:
            continue
        if row[0] == "#datatype":
            types, names = dict(enumerate(row[1:], 1)), []  # type: ignore[arg-type]
        elif not names:
            names = row
        else:
            yield _value(dict(zip(names, row, strict=True)), types[names.index("_value")])  # type: ignore[index]


def _value(row: dict[str, str], type_: str) -> Value:
    tags = {name: value for name, value in row.items() if name not in _OTHERS and value}
    return Value(
        row["_measurement"],
        tuple(sorted(tags.items())),
        _nanoseconds(row["_time"]),
        row["_field"],
        type_,
        float(row["_value"]) if type_ == "double" else row["_value"].replace("\r", ""),
    )


def _nanoseconds(text: str) -> int:
    match = _TIME.fullmatch(text)
    assert match is not None
    whole = datetime.fromisoformat(match[1]).replace(tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return (whole.days * 86_400 + whole.seconds) * 10**9 + int((match[2] or "").ljust(9, "0"))


def expected(lines: list[bytes]) -> Iterator[Value]:
    """Every value of lines, as a reader written from the rules of line protocol reads them."""
    for line in lines:
        point = line_protocol.parse(line.decode())
        if point.time == LAST:
            continue
        for name, value in point.fields.items():
            yield Value(
                point.measurement, tuple(sorted(point.tags.items())), point.time, name, *_typed(value)
            )


def _typed(value: float | bool | str | Integer) -> tuple[str, str | float | int]:
    if isinstance(value, Integer):
        return "unsignedLong" if value.unsigned else "long", str(value.value)
    if isinstance(value, bool):
        return "boolean", "true" if value else "false"
    if isinstance(value, str):
        # Flux's CSV has "\r\n" for each line break in a text, and nothing for any other "\r".
        return "string", value.replace("\r", "")
    return "double", value
