"""Checks that the fields have the same types in the bucket as Tower writes."""

from collections import defaultdict
from collections.abc import Iterator, Mapping

from workers.commands.check.converted_record import Record
from workers.commands.check.dashboard_points import Query, query_rows
from workers.commands.check.newest_records import Sample
from workers.commands.check.result import CheckResult, fail, ok, warn
from workers.commands.clients.influxdb_api import quoted
from workers.commands.console import listed, name_shown
from workers.config.settings import Settings

#: Most fields whose types are compared: their names must fit into one answer.
FIELDS = 10_000


def types(query: Query, settings: Settings, sample: Sample | None) -> Iterator[CheckResult]:
    """Check that the fields that Tower writes have the same types in the bucket.

    Raises:
        CommandError: InfluxDB does not answer the query.
    """
    rows = query_rows(query, f"SHOW FIELD KEYS FROM {quoted(settings.route.measurement)} LIMIT {FIELDS}")
    stored: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        stored[str(row.get("fieldKey"))].add(str(row.get("fieldType")))
    yield compare_types(stored, settings, sample)
    others = len(sample.points) - len(_of_the_route(settings, sample)) if sample else 0
    if others:
        yield ok(
            "field types of other measurements",
            f"not looked at: {others:,} of the newest points have another measurement than "
            f"{settings.route.measurement}",
        )


def compare_types(stored: Mapping[str, set[str]], settings: Settings, sample: Sample | None) -> CheckResult:
    """Compare the bucket's types with the types that Tower writes.

    Args:
        stored: InfluxDB's types of each field in the bucket; several if they differ by time.
        settings: The number fields, which Tower writes as floats.
        sample: The newest records, with the types of their fields.
    """
    check, points = "field types", _of_the_route(settings, sample)
    numbers = dict.fromkeys(settings.route.number_fields, "float")
    written: dict[str, set[str]] = defaultdict(set)
    for types_ in [numbers, *(record.types for record in points)]:
        for name, type_ in types_.items():
            written[name].add(type_)
    wrong = [name for name in written if name in stored and not written[name] <= stored[name]]
    if wrong:
        texts = listed(
            f"{name_shown(name)} is {_words(stored[name])} and Tower writes {_words(written[name])}"
            for name in wrong
        )
        rejected = [record for record in points if not _fit(record.types, stored)]
        is_lost = not _fit(numbers, stored) or len(rejected) == len(points)
        return (fail if is_lost else warn)(
            check,
            f"in measurement {settings.route.measurement} {texts}: InfluxDB rejects such records (422)"
            + (f", {len(rejected)} of the newest {len(points)}" if points else ""),
            "write to another bucket (TOWER_INFLUXDB_BUCKET) or measurement (TOWER_MEASUREMENT), or "
            "correct the type in the sender",
        )
    mixed = [name for name in written if len(stored.get(name, written[name])) > 1]
    if mixed:
        texts = listed(f"{name_shown(name)} is {_words(stored.get(name, written[name]))}" for name in mixed)
        return warn(
            check,
            f"{texts}: a field has one type at a time, and InfluxDB rejects records of another type (422)",
            "let the sender use one type; replay records of other times into another bucket",
        )
    same = [name for name in numbers if name in stored]
    if len(stored) >= FIELDS and len(same) < len(numbers):
        return warn(
            check,
            f"measurement {settings.route.measurement} has {FIELDS:,} fields or more, and the types of "
            f"{listed(name for name in numbers if name not in stored)} were not checked",
            "let the senders use fewer field names: each one costs InfluxDB memory",
        )
    if not same:
        return ok(check, f"measurement {settings.route.measurement} has none of Tower's fields yet")
    return ok(check, f"{', '.join(same)}: float, as Tower writes them")


def _of_the_route(settings: Settings, sample: Sample | None) -> list[Record]:
    """The newest points of the route's measurement: line protocol has measurements of its own."""
    own = ("", settings.route.measurement)
    return [record for record in sample.points if record.measurement in own] if sample else []


def _fit(types_: Mapping[str, str], stored: Mapping[str, set[str]]) -> bool:
    return all(type_ in stored.get(name, {type_}) for name, type_ in types_.items())


def _words(kinds: set[str]) -> str:
    return "/".join(sorted(kinds))
