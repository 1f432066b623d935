"""Nested objects and arrays of a record to fields on one level."""

from collections.abc import Iterable
from typing import Any

from workers.config.limits import Limits
from workers.errors import RecordError
from workers.types import Reason

_NESTED = frozenset({dict, list})
_TEXT = frozenset({str})


class Flattener:
    """Brings all fields of a record to one level: `{"a": {"b": [7]}}` is `a_b_0`.

    Args:
        limits: Limits on depth, fields and names.

    Attributes:
        names_doubled: Values dropped because an earlier field of their record has the same name then.
    """

    def __init__(self, limits: Limits) -> None:
        self.names_doubled = 0
        self._max_depth = limits.max_depth
        self._max_fields = limits.max_fields
        self._max_key_bytes = limits.max_key_bytes
        self._containers = 0

    def flat(self, record: dict[Any, Any]) -> dict[str, Any]:
        """Return all fields of a record on one level: the record itself if it is flat.

        Raises:
            RecordError: The record is nested too deeply, has too many fields, or has a name that is no
                text.
        """
        # Most records are flat, which a set tells without a look at each field from here.
        if (
            len(record) <= self._max_fields
            and _NESTED.isdisjoint(map(type, record.values()))
            and _TEXT.issuperset(map(type, record))
        ):
            return record
        values: dict[str, Any] = {}
        self._containers = 0
        self._flatten("", record.items(), 1, values)
        return values

    def _flatten(
        self, prefix: str, items: Iterable[tuple[Any, Any]], depth: int, values: dict[str, Any]
    ) -> None:
        if depth > self._max_depth:
            raise RecordError(Reason.TOO_DEEP, f"more than {self._max_depth} levels (TOWER_MAX_DEPTH)")
        # What holds no field counts as well: a megabyte has room for a million empty arrays. A record with
        # a field in each of its objects and arrays has no more of these.
        self._containers += 1
        max_containers = self._max_depth * self._max_fields
        if self._containers > max_containers:
            raise RecordError(Reason.TOO_MANY_FIELDS, f"more than {max_containers} objects and arrays")
        for key, value in items:
            # Below the first level the place in an array counts as a name, and msgpack's numbers so do too.
            if type(key) is not str and (depth == 1 or not isinstance(key, str | int)):
                raise RecordError(Reason.NOT_A_RECORD, "a field name is not text")
            name = f"{prefix}{key}"
            if type(value) in _NESTED:
                if len(name) > self._max_key_bytes:
                    # Checked here, before the name of each field below repeats it, which could turn one
                    # megabyte into hundreds.
                    raise RecordError(
                        Reason.KEY_TOO_LONG, f"more than {self._max_key_bytes} bytes (TOWER_MAX_KEY_BYTES)"
                    )
                items_below = value.items() if type(value) is dict else enumerate(value)
                self._flatten(f"{name}_" if name else "", items_below, depth + 1, values)
            elif name in values:
                # The first value counts, and null is none.
                self.names_doubled += 1
                if values[name] is None:
                    values[name] = value
            elif len(values) >= self._max_fields:
                raise RecordError(
                    Reason.TOO_MANY_FIELDS, f"more than {self._max_fields} fields (TOWER_MAX_FIELDS)"
                )
            else:
                values[name] = value
