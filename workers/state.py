"""What a worker tells about itself: counters that add up, in a file a program can read."""

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from workers.errors import SettingsError
from workers.types import Partition

#: Seconds between two versions of the state file.
WRITE_S = 1.0

#: How `why` begins where the file could not be written.
UNWRITTEN = "state file: "


class WorkerState(StrEnum):
    """What a worker is doing, as its state file says it."""

    STARTING = "starting"  # the loop has not begun
    RUNNING = "running"
    WAITING = "waiting"  # InfluxDB or the dead-letter topic is not available; `why` says which
    STOPPING = "stopping"  # a signal came; the batch in hand is being finished
    STOPPED = "stopped"


class State:
    """The worker's own account, per partition: consumed = written + dead-lettered + uncommitted.

    Records are counted when they are consumed and again when they are safe or dropped, from the batch
    itself, so the sum is a check and no definition.

    Args:
        file: The state file, rewritten every `WRITE_S` in one step; None to keep no file.
        worker: Number of the worker.

    Raises:
        SettingsError: The folder of the state file cannot be made.
    """

    def __init__(self, file: Path | None, worker: int) -> None:
        self.current = WorkerState.STARTING
        self.why = ""
        self.consumed: Counter[Partition] = Counter()
        self.written: Counter[Partition] = Counter()
        self.dead_lettered: Counter[Partition] = Counter()
        #: Records in hand when their partition went away or the drain ended: others read them again.
        self.abandoned: Counter[Partition] = Counter()
        self._file = file
        self._worker = worker
        self._started = time.time()
        self._next = 0.0
        if file is not None:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise SettingsError("TOWER_RUN_DIR", f"cannot be made: {error}") from None

    def enter(self, state: WorkerState, why: str = "") -> None:
        """Change to a state, with the reason if there is one."""
        self.current, self.why = state, why

    def account(
        self,
        in_hand: Mapping[Partition, int],
        committed: Mapping[Partition, int],
        positions: Mapping[Partition, int | None],
        lags: Mapping[Partition, int | None],
    ) -> dict[str, dict[str, Any]]:
        """The account of each partition this worker has had, by the partition's number.

        Args:
            in_hand: Records in the batch, by partition.
            committed: Offsets the group acknowledged.
            positions: Offsets after the last message consumed.
            lags: Messages behind the end of the partition.
        """
        return {
            str(each.number): {
                "consumed": self.consumed[each],
                "written": self.written[each],
                "dead_lettered": self.dead_lettered[each],
                "uncommitted": in_hand.get(each, 0) + self.abandoned[each],
                "committed": committed.get(each),
                "position": positions.get(each),
                "lag": lags.get(each),
            }
            for each in sorted(self.consumed.keys() | positions.keys())
        }

    def write(self, content: Callable[[], Mapping[str, Any]], now: float, force: bool = False) -> None:
        """Rewrite the state file where it is due.

        Args:
            content: Gives the accounts and counters; called only when they are written.
            now: Monotonic seconds.
            force: Write in any case.
        """
        if self._file is None or (now < self._next and not force):
            return
        self._next = now + WRITE_S
        whole = {
            "worker": self._worker,
            "pid": os.getpid(),
            "state": self.current,
            "why": self.why,
            "started": self._started,
            "heartbeat": time.time(),
            **content(),
        }
        draft = self._file.with_suffix(".tmp")
        try:
            draft.write_text(json.dumps(whole))
            draft.replace(self._file)
            if self.why.startswith(UNWRITTEN):
                self.why = ""
        except OSError as error:
            # A full disk must not stop the records; the heartbeat grows old, which status shows.
            self.why = self.why or f"{UNWRITTEN}{error.strerror}"
