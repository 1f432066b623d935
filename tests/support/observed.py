"""Pools as `tower serve` observes them: state files in a folder, and a reading of Kafka."""

import json
import os
from pathlib import Path
from typing import Any

from workers.commands.clients.group_offsets import GroupOffsets
from workers.commands.clients.offsets_reader import Offsets
from workers.commands.serve.kafka_view import KafkaReading
from workers.commands.serve.observation import Observation, Observer

#: Seconds since the epoch at which the pool is observed.
NOW = 1_700_000_000.0


def state(worker: int, **more: Any) -> dict[str, Any]:
    """A state file of a worker that runs and owns the partition of its number."""
    return {
        "worker": worker,
        "pid": os.getpid(),
        "state": "running",
        "why": "",
        "started": NOW - 100,
        "heartbeat": NOW - 1,
        "owned": [worker],
        "partitions": {
            str(worker): {"consumed": 10, "written": 8, "dead_lettered": 2, "uncommitted": 0},
        },
        "counters": {
            "lines": 8,
            "sent_bytes": 300,
            "retries": 3,
            "rebalances": 1,
            "values_omitted": 4,
            "names_doubled": 2,
        },
        "dead_letter_reasons": {"json": 2},
        "retries_by_class": {"server_error": 3},
        "write_seconds": {"bounds": [0.1, 1.0], "counts": [5, 2, 1], "sum": 4.5},
        "write_lines": {"bounds": [1, 10], "counts": [1, 7, 0], "sum": 8},
        "last_point": NOW - 5,
        **more,
    }


def reading(lags: dict[int, int] | None = None, **more: Any) -> KafkaReading:
    """A reading of Kafka: three partitions that end at 100, with these lags."""
    lag = dict.fromkeys(range(3), 0) | (lags or {})
    ends: dict[int | str, int] = dict.fromkeys(lag, 100)
    starts: dict[int | str, int] = dict.fromkeys(lag, 0)
    committed: dict[int | str, int] = {number: 100 - records for number, records in lag.items()}
    return KafkaReading(
        GroupOffsets(ends, committed, starts, more.pop("owners", {}), None),
        Offsets(starts, ends, committed),
        at=NOW,
        **more,
    )


def away(why: str = "Kafka does not answer") -> KafkaReading:
    """A reading of a Kafka that does not answer."""
    return KafkaReading(GroupOffsets({}, {}, {}, {}, None, why), at=NOW)


def observation(
    folder: Path, *states: dict[str, Any], kafka: KafkaReading | None = None, expected: int = 3
) -> Observation:
    """What an observer sees if these are the state files."""
    for content in states:
        (folder / f"worker-{content['worker']}.json").write_text(json.dumps(content))
    return Observer(folder, lambda: kafka or reading(), expected, lambda: NOW).observe()
