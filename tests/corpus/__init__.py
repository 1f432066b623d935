"""Poison payloads as files, and what becomes of each.

`index.toml` lists them; whoever adds a payload adds its outcome there. The same list is used with the
decoder and encoder alone, through real Kafka and InfluxDB, and under faults.
"""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
PAYLOADS = FOLDER / "payloads"

#: The outcome of a record that becomes a point; any other is the reason of its dead letter.
STORED = "stored"


@dataclass(frozen=True, slots=True)
class Case:
    """One message.

    Attributes:
        name: What is odd about it.
        value: The message's value, None for a tombstone.
        expect: For each record in it `STORED`, or the reason of its dead letter.
        fields: For each stored record its fields as line protocol; empty where the index tells none.
        at: For each stored record its time in ISO 8601, with a fraction where the point's time is
            precise to the millisecond; empty where the index tells none.
        note: Why.
    """

    name: str
    value: bytes | None
    expect: tuple[str, ...]
    fields: tuple[str, ...]
    at: tuple[str, ...]
    note: str

    @property
    def stored(self) -> int:
        """Number of points it makes."""
        return self.expect.count(STORED)

    @property
    def reasons(self) -> list[str]:
        """The reasons of its dead letters, in order."""
        return [outcome for outcome in self.expect if outcome != STORED]


@cache
def load() -> list[Case]:
    """All cases, in the order of the index."""
    with (FOLDER / "index.toml").open("rb") as file:
        index = tomllib.load(file)["case"]
    return [
        Case(
            name=entry["name"],
            value=(PAYLOADS / entry["file"]).read_bytes() if "file" in entry else None,
            expect=tuple(entry["expect"] * entry.get("times", 1)),
            fields=tuple(entry.get("fields", ())),
            at=tuple(entry.get("at", ())),
            note=entry["note"],
        )
        for entry in index
    ]


@dataclass(frozen=True, slots=True)
class Row:
    """One message as a stranger sends it.

    Attributes:
        sender: The program, and the format it was told to use.
        value: The message's value, None for a tombstone.
        points: The fields of each point, as line protocol.
        series: Measurement and tags of each point; empty if they are those of the lab.
        letters: `reason: detail` of each dead letter.
        omitted: Values left out because no field can hold them.
        doubled: Values left out because an earlier name of the record is written the same.
        source: The public issue or document that the shape of the message comes from.
        why: Why the outcome is right.
    """

    sender: str
    value: bytes | None
    points: tuple[str, ...]
    series: tuple[str, ...]
    letters: tuple[str, ...]
    omitted: int
    doubled: int
    source: str
    why: str


@cache
def strangers() -> list[Row]:
    """All rows of `strangers.toml`."""
    with (FOLDER / "strangers.toml").open("rb") as file:
        rows = tomllib.load(file)["row"]
    return [
        Row(
            sender=row["sender"],
            value=_value(row),
            points=tuple(row.get("points", ())),
            series=tuple(row.get("series", ())),
            letters=tuple(row.get("letters", ())),
            omitted=row.get("omitted", 0),
            doubled=row.get("doubled", 0),
            source=row["source"],
            why=row["why"],
        )
        for row in rows
    ]


def _value(row: dict[str, Any]) -> bytes | None:
    if row.get("tombstone"):
        return None
    return bytes.fromhex(row["hex"]) if "hex" in row else str(row["text"]).encode()
