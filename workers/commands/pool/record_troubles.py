"""Troubles of the records of the last minutes: dead letters, omitted values, times that were not used."""

from collections.abc import Iterator, Sequence

from workers.commands.clients import recent_counts
from workers.commands.clients.recent_counts import RecentCounts
from workers.commands.clients.worker_states import WorkerReport
from workers.commands.console import age
from workers.commands.pool.trouble import Severity, Trouble
from workers.records.record_time import PROBLEMS
from workers.types import Reason

#: Largest share of dead letters among the records of the last minutes that is no error.
MAX_DEAD_SHARE = 0.01

#: What to do about dead letters, by reason. The others are faults of the sender.
REMEDIES = {
    Reason.NO_TIME: "let the sender add a time, or set TOWER_TIME_FIELDS to the name of its time field",
    Reason.PARTITION_TOO_HIGH: "set TOWER_IDENTITY=record if the records have nanoseconds of their own",
    Reason.TOO_LARGE: "raise TOWER_MAX_RECORD_BYTES, or let the sender send less at once",
    Reason.TOO_DEEP: "raise TOWER_MAX_DEPTH, or let the sender nest less",
    Reason.TOO_MANY_FIELDS: "raise TOWER_MAX_FIELDS, or let the sender send fewer fields",
    Reason.TOO_MANY_NAMES: "a sender may put an id into a name: correct it and restart the pool, or raise "
    "TOWER_MAX_FIELD_NAMES",
    Reason.TOO_MANY_SERIES: "a sender may put an id into a tag: correct it and restart the pool, or raise "
    "TOWER_MAX_SERIES",
    Reason.KEY_TOO_LONG: "raise TOWER_MAX_KEY_BYTES, or let the sender use shorter names",
    Reason.TAG_TOO_LONG: "raise TOWER_MAX_TAG_BYTES, or let the sender use shorter tags",
    Reason.TEXT_TOO_LONG: "raise TOWER_MAX_TEXT_BYTES, or let the sender send shorter texts",
    Reason.TYPE_CONFLICT: "let the sender use the type that the error names, or write to another bucket",
    Reason.REFUSED: "the error of each says what InfluxDB does not accept: correct the sender",
}


def record_troubles(workers: Sequence[WorkerReport], max_dead_share: float) -> Iterator[Trouble]:
    """Find the troubles of the records of the last minutes.

    Args:
        workers: The workers' state files.
        max_dead_share: Largest share of dead letters that is no error, from 0 to 1.
    """
    recent = recent_counts.add(worker.recent for worker in workers if worker.is_running)
    span = f"in the last {age(recent.seconds)}"
    severity = Severity.ERROR if recent.dead_share > max_dead_share else Severity.WARNING
    for reason, count in sorted(recent.dead_letters.items()):
        yield Trouble(
            f"{count} of {max(recent.records, count)} records became dead letters {span} (reason {reason})",
            f"`tower dlq list --reason {reason}` shows them; {_remedy(reason)}",
            severity,
        )
    yield from _omissions(recent, span)


def _remedy(reason: str) -> str:
    if reason == Reason.CRASH:
        return (
            "please report what `tower dlq show` prints of one, and do not replay them before an upgrade: "
            "they would end the workers again"
        )
    remedy = next((text for known, text in REMEDIES.items() if known == reason), "correct their sender")
    return f"{remedy}; then `tower dlq replay --reason {reason}` sends them again"


def _omissions(recent: RecentCounts, span: str) -> Iterator[Trouble]:
    for name, count in recent.times.items():
        problem = PROBLEMS[name]
        yield Trouble(f"{problem.cause} ({count} {span})", problem.remedy, Severity.WARNING)
    if recent.values_omitted:
        yield Trouble(
            f"{recent.values_omitted} values were left out {span}: they are no number and no text",
            "`tower check` names the fields; correct their sender",
            Severity.WARNING,
        )
    if recent.names_doubled:
        yield Trouble(
            f"{recent.names_doubled} values were left out {span}: an earlier field of their record is "
            "stored under the same name",
            "give one of the two fields another name with TOWER_RENAME, or correct their sender",
            Severity.WARNING,
        )
