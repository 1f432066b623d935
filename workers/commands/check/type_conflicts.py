"""Shows the type conflicts that the workers have met, so that no token that may read is needed."""

from collections import Counter
from collections.abc import Iterable, Iterator

from workers.commands.check.result import CheckResult, warn
from workers.commands.clients.worker_states import WorkerReport
from workers.commands.console import listed, name_shown


def conflicts(reports: Iterable[WorkerReport]) -> Iterator[CheckResult]:
    """Describe the types that InfluxDB has and the types that senders use, if they differ.

    Args:
        reports: The state files of the workers.
    """
    converted: Counter[tuple[str, ...]] = Counter()
    rejected: Counter[tuple[str, ...]] = Counter()
    for report in reports:
        for entry in report.content.get("field_types", ()):
            key = tuple(str(entry.get(name, "")) for name in ("measurement", "field", "stored", "sent"))
            converted[key] += int(entry.get("conversions", 0))
            rejected[key] += int(entry.get("rejections", 0))
    if not converted:
        return
    texts = listed(
        f"{name_shown(field)} of {name_shown(measurement)} is {stored} in InfluxDB and {sent} in records "
        f"({converted[key]} converted, {rejected[key]} dead letters)"
        for key in sorted(converted)
        for measurement, field, stored, sent in [key]
    )
    yield warn(
        "type conflicts",
        texts,
        "let the sender use InfluxDB's type, or write to another bucket; `tower dlq list --reason "
        "type_conflict` shows the dead letters",
    )
