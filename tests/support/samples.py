"""Records as check sees them, made by hand."""

from typing import Any

from tests.support import fakes
from workers.commands.check.converted_record import Record
from workers.commands.check.newest_records import Sample
from workers.commands.check.records import is_plausible
from workers.commands.check.result import CheckResult

NOW = 1_700_000_000.0
HOUR = 3_600.0
SETTINGS = fakes.settings()
WANTED = SETTINGS.route.number_fields
ALL = dict.fromkeys(WANTED, "float")


def sample_record(
    own: float | None = 0.0, kafka: float | None = 0.0, *, fresh: bool = False, **more: Any
) -> Record:
    """A record of the lab; times are in seconds from now. Without an own time its point has Kafka's."""
    own_s, kafka_s = (None if seconds is None else NOW + seconds for seconds in (own, kafka))
    believed = own_s is not None and (
        not is_plausible(kafka_s) or abs(own_s - (kafka_s or 0.0)) <= SETTINGS.route.time_window_s
    )
    point_s = own_s if believed else kafka_s
    return Record(
        **{"place": "resource[0]@7", "kafka_s": kafka_s, "fresh": fresh, "types": ALL, "own_s": own_s}
        | {"point_s": point_s}
        | more
    )


def sampled(*records: Record) -> Sample:
    return Sample(tuple(sorted(records, key=lambda record: record.newness, reverse=True)))


def named(results: list[CheckResult], check: str) -> CheckResult:
    """Return the one result of a check."""
    (result,) = [result for result in results if result.check == check]
    return result
