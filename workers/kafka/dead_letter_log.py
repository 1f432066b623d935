"""The log lines about dead letters: one per reason in half a minute."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from workers.log import REPEAT_S


@dataclass(slots=True)
class _Pending:
    """The dead letters of one reason since its last line."""

    count: int = 0
    record: tuple[str, int, int, int] = ("", 0, 0, 0)
    stored: tuple[int, int] = (0, 0)
    logged_at: float = float("-inf")


class DeadLetterLog:
    """Logs how many records became dead letters, and one example: a line per reason every `REPEAT_S`.

    A record's text is never logged: `dlq show` shows it, escaped.

    Args:
        logger: Where the lines go.
        clock: Monotonic seconds.
    """

    def __init__(self, logger: logging.Logger, clock: Callable[[], float]) -> None:
        self._logger = logger
        self._clock = clock
        self._pending: dict[str, _Pending] = {}

    def add(self, reason: str, record: tuple[str, int, int, int], stored: tuple[int, int]) -> None:
        """Count a dead letter.

        Args:
            reason: Its reason.
            record: Where its record came from: topic, partition, offset, and index in its message.
            stored: Where it is in the dead-letter topic: partition and offset.
        """
        pending = self._pending.setdefault(reason, _Pending())
        pending.count += 1
        pending.record, pending.stored = record, stored

    def write_due(self) -> None:
        """Write the lines that are due. This is called several times a second."""
        for reason, pending in self._pending.items():
            if pending.count and self._clock() - pending.logged_at >= REPEAT_S:
                topic, partition, offset, element = pending.record
                self._logger.warning(
                    "%d %s (reason %s), the last one from %s[%d]@%d%s. `tower dlq show %d/%d` shows why. "
                    "`tower status` says what to do",
                    pending.count,
                    "record became a dead letter" if pending.count == 1 else "records became dead letters",
                    reason,
                    topic,
                    partition,
                    offset,
                    f" element {element}" if element else "",
                    *pending.stored,
                )
                pending.count, pending.logged_at = 0, self._clock()
