"""`check` shows the type conflicts that the workers have met."""

import os
import time

from workers.commands.check.result import Level
from workers.commands.check.type_conflicts import conflicts
from workers.commands.clients.worker_states import WorkerReport, parse

UID: dict[str, object] = {
    "bucket": "",
    "measurement": "labs",
    "field": "uid",
    "stored": "float",
    "sent": "string",
}


def report(number: int, *types: dict[str, object]) -> WorkerReport:
    return parse(
        {
            "worker": number,
            "pid": os.getpid(),
            "state": "running",
            "heartbeat": time.time(),
            "field_types": list(types),
        },
        time.time(),
    )


def test_the_same_conflict_of_several_workers_is_shown_once() -> None:
    counts: dict[str, object] = {"conversions": 2, "rejections": 5}
    (result,) = conflicts([report(0, UID | counts), report(1, UID | counts), report(2)])

    assert result.level is Level.WARN
    assert "uid of labs is float in InfluxDB and string in records (4 converted, 10 dead letters)" in str(
        result
    )
    assert "dlq list --reason type_conflict" in str(result)


def test_a_name_of_a_sender_is_shown_on_one_line() -> None:
    (result,) = conflicts([report(0, UID | {"field": "a\nb\x1b[31m", "conversions": 1, "rejections": 0})])

    assert "\x1b" not in str(result)
    assert "a.b" in str(result)


def test_without_conflicts_nothing_is_said() -> None:
    assert list(conflicts([report(0), report(1)])) == []
    assert list(conflicts([])) == []
