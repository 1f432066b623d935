"""A worker's state and counters, and the state file that `status` reads."""

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from workers.count_window import CountWindow
from workers.errors import SettingsError
from workers.log import ThrottledLogger
from workers.types import Partition, PartitionKey

#: Seconds between two writes of the state file.
WRITE_S = 1.0

#: Seconds in which clients that were pushed out of the group are counted: soon after the end of the cause
#: `status` no longer tells it.
FENCED_S = 60.0

#: Beginning of `why` if the state file could not be written.
NOT_WRITTEN = "state file: "


class WorkerState(StrEnum):
    """What a worker is doing, as its state file says it."""

    STARTING = "starting"  # the loop has not begun
    RUNNING = "running"
    WAITING = "waiting"  # InfluxDB or the dead-letter topic is not available; `why` says which
    STOPPING = "stopping"  # a signal came; the batch in hand is being finished
    STOPPED = "stopped"


class State:
    """A worker's counters per partition: consumed = written + dead-lettered + uncommitted.

    Records are counted when they are consumed, and again when they are stored or dropped. Both counts come
    from the batch itself, so the equation is a check.

    Args:
        file: The state file, replaced every `WRITE_S`; None for no file.
        worker: Number of the worker.
        has_several_topics: Whether partitions need the names of their topics.

    Attributes:
        current: What the worker is doing.
        why: The reason, empty if there is none.
        consumed: Records consumed, by partition.
        written: Records stored in InfluxDB, by partition.
        dead_lettered: Records stored in the dead-letter topic, by partition.
        dropped: Records in hand when their partition was revoked or the time to finish was over. They are
            read again, by this or another worker.
        dropped_to: Offset after the last of them, by partition.

    Raises:
        SettingsError: The folder of the state file cannot be created.
    """

    def __init__(self, file: Path | None, worker: int, has_several_topics: bool = False) -> None:
        self._has_several_topics = has_several_topics
        self.current = WorkerState.STARTING
        self.why = ""
        self.consumed: Counter[Partition] = Counter()
        self.written: Counter[Partition] = Counter()
        self.dead_lettered: Counter[Partition] = Counter()
        self.dropped: Counter[Partition] = Counter()
        self.dropped_to: dict[Partition, int] = {}
        self._file = file
        self._worker = worker
        self._started = time.time()
        self._next = 0.0
        self._parent = os.getppid()
        self._window = CountWindow()
        self._fenced_window = CountWindow(FENCED_S)
        self._throttled_log = ThrottledLogger(logging.getLogger("tower"))
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError(
                    "TOWER_RUN_DIR",
                    f"cannot be created: {error}. Choose a folder that this user may write to",
                ) from None

    def key(self, partition: Partition) -> PartitionKey:
        """Return the name of a partition in the state file."""
        return partition.key(self._has_several_topics)

    def enter(self, state: WorkerState, why: str = "") -> None:
        """Change to a state, with the reason if there is one."""
        self.current, self.why = state, why

    def drop(self, partition: Partition, records: int, next_offset: int) -> None:
        """Count records in hand that are given up uncommitted.

        Args:
            partition: Their partition.
            records: Their number.
            next_offset: The offset after the last of them.
        """
        self.dropped[partition] += records
        self.dropped_to[partition] = max(next_offset, self.dropped_to.get(partition, 0))

    def recent(
        self, totals: Mapping[str, int], dead_letters: Mapping[str, int], fenced: int
    ) -> dict[str, Any]:
        """Return what was counted in the last minutes.

        Args:
            totals: Counters of this worker, by name.
            dead_letters: Confirmed dead letters, by reason.
            fenced: Clients that were pushed out of the group.
        """
        by_reason = {f"dead letters: {reason}": count for reason, count in dead_letters.items()}
        stored = sum(self.written.values()) + sum(self.dead_lettered.values())
        seconds, counts = self._window.recent({**totals, **by_reason, "records": stored})
        return {
            "seconds": round(seconds, 1),
            "records": counts.get("records", 0),
            "dead_letters": {
                reason: counts[name]
                for reason, name in zip(dead_letters, by_reason, strict=True)
                if name in counts
            },
            **{name: counts.get(name, 0) for name in totals},
            "fenced": self._fenced_window.recent({"fenced": fenced})[1].get("fenced", 0),
        }

    def account(
        self,
        in_hand: Mapping[Partition, int],
        committed: Mapping[Partition, int],
        positions: Mapping[Partition, int | None],
        lags: Mapping[Partition, int | None],
    ) -> dict[str, dict[str, Any]]:
        """Return the counters of each partition this worker has owned, by its `key`.

        Args:
            in_hand: Records in the batch, by partition.
            committed: Offsets that the group acknowledged, by partition.
            positions: Offsets after the last message consumed, by partition.
            lags: Messages from the committed offset to the end, by partition.
        """
        return {
            str(self.key(partition)): {
                "consumed": self.consumed[partition],
                "written": self.written[partition],
                "dead_lettered": self.dead_lettered[partition],
                "uncommitted": in_hand.get(partition, 0) + self.dropped[partition],
                "dropped": self.dropped[partition],
                "dropped_to": self.dropped_to.get(partition),
                "committed": committed.get(partition),
                "position": positions.get(partition),
                "lag": lags.get(partition),
            }
            for partition in sorted(self.consumed.keys() | positions.keys())
        }

    def write(self, content: Callable[[], Mapping[str, Any]], now: float, force: bool = False) -> None:
        """Replace the state file if it is due.

        Args:
            content: Returns the counters; called only if the file is written.
            now: Monotonic seconds.
            force: Write even if the file is not due.
        """
        if self._file is None or (now < self._next and not force):
            return
        self._next = now + WRITE_S
        has_parent = os.getppid() == self._parent
        if not has_parent:
            self._throttled_log.error(
                "parent",
                "supervisord is gone, and this worker runs without it. It would not be started again. "
                "Start supervisord: its new workers take over, and this one ends",
            )
        state = {
            "worker": self._worker,
            "pid": os.getpid(),
            "state": self.current,
            "why": self.why,
            "started": self._started,
            "heartbeat": time.time(),
            "has_parent": has_parent,
            **content(),
        }
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(state))
            draft.replace(self._file)
            if self.why.startswith(NOT_WRITTEN):
                self.why = ""
        except OSError as error:
            # A full disk must not stop the records. `status` reports that the heartbeat is old.
            self.why = self.why or f"{NOT_WRITTEN}{error.strerror}"
            self._throttled_log.error(
                "state file",
                "%s cannot be written (%s). Records are still stored, but `tower status` does not see this "
                "worker. Make room in TOWER_RUN_DIR, or make it writable",
                self._file,
                error.strerror,
            )
