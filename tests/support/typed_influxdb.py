"""InfluxDB's types of fields and its retention, as influxd 2.7.12 judges a write.

Written from its source: tsdb/shard.go (validateSeriesAndFields), tsdb/field_validator.go,
v1/coordinator/points_writer.go (MapShards, WritePoints). The first shard that fails answers for all of
them, and a point that is dropped may have created fields.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.support.line_protocol import Integer, Point, parse
from workers.errors import Rejected, WriteError

HOUR_NS = 3600 * 10**9


@dataclass
class TypedInfluxdb:
    """One bucket.

    Args:
        shard_hours: Hours of a shard group.
        oldest_ns: Points before this time are outside the retention.

    Attributes:
        types: The type of each field, by shard group, measurement and name.
        stored: The value of each field, by identity of its point.
    """

    shard_hours: int = 24 * 7
    oldest_ns: int = 0
    types: dict[tuple[int, str, str], str] = field(default_factory=dict)
    stored: dict[object, dict[str, object]] = field(default_factory=dict)

    def __call__(self, lines: Sequence[bytes]) -> WriteError | None:
        """Store what can be stored; the error if that is not all."""
        shards: dict[int, list[Point]] = {}
        outside = []
        for point in map(parse, (line.decode() for line in lines)):
            shard = point.time // (self.shard_hours * HOUR_NS)
            if point.time < self.oldest_ns:
                outside.append(point.time)
            else:
                shards.setdefault(shard, []).append(point)
        error = None
        for shard, points in shards.items():
            reasons = [reason for point in points if (reason := self._conflict(shard, point))]
            if reasons and error is None:
                error = f"{reasons[0]} dropped={len(reasons)}"
        if outside and error is None:
            oldest = datetime.fromtimestamp(self.oldest_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            bound = f"dropped because it violates a Retention Policy Lower Bound at {oldest}"
            error = (
                f"dropped {len(outside)} points outside retention policy of duration 1h0m0s - oldest point "
                f"labs at 2026-11-26T02:43:41Z {bound}, newest point labs at 2026-11-26T02:45:21Z {bound} "
                f"dropped={len(outside)} for database: f1630cf443bb1ec0 for retention policy: autogen"
            )
        text = f"failure writing points to database: partial write: {error}"
        return Rejected(422, text) if error else None

    def _conflict(self, shard: int, point: Point) -> str:
        for name, value in point.fields.items():
            type_ = type_of(value)
            stored = self.types.setdefault((shard, point.measurement, name), type_)
            if stored != type_:
                return (
                    f"field type conflict: input field {json.dumps(name)} on measurement "
                    f"{json.dumps(point.measurement)} is type {type_}, already exists as type {stored}"
                )
        self.stored.setdefault(point.identity, {}).update(point.fields)
        return ""


def type_of(value: object) -> str:
    """InfluxDB's name of a value's type."""
    if isinstance(value, Integer):
        return "unsigned" if value.unsigned else "integer"
    return {bool: "boolean", str: "string", float: "float"}[type(value)]
