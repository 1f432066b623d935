"""The newest dead letter of each reason."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from workers.commands.clients.offsets_reader import OffsetsReader
from workers.commands.dlq.dead_letter import StoredDeadLetter, from_message, printable_payload

if TYPE_CHECKING:
    from workers.types import Partition

#: Newest dead letters of each partition that the first reading looks at.
NEWEST = 50

#: Most characters of a payload that are shown.
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Example:
    """One dead letter, all of it printable."""

    reason: str
    error: str
    place: str
    stored_at: float
    payload: str

    @classmethod
    def of(cls, dead_letter: StoredDeadLetter) -> "Example":
        """Take over what is shown of a dead letter."""
        payload = printable_payload(dead_letter.value)
        cut = payload[:SHOWN_CHARACTERS] + ("…" if len(payload) > SHOWN_CHARACTERS else "")
        return cls(
            dead_letter.reason, dead_letter.error, dead_letter.place, dead_letter.kept_ms / 1000, cut
        )


class DeadLetterExamples:
    """Reads what is new in the dead-letter topic, and keeps one of each reason.

    Args:
        reader: Reads the topic.
        topic: The dead-letter topic.
    """

    def __init__(self, reader: OffsetsReader, topic: str) -> None:
        self._reader = reader
        self._topic = topic
        self._next: dict[Partition, int] = {}
        self.by_reason: dict[str, Example] = {}

    def refresh(self) -> None:
        """Read what is new.

        Raises:
            CommandError: Kafka does not answer, or there is no such topic.
        """
        by_reason = dict(self.by_reason)
        for partition, (first, end) in self._reader.bounds(self._topic).items():
            start = max(first, self._next.get(partition, 0), end - NEWEST)
            for message in self._reader.messages(partition, start, end):
                dead_letter = from_message(message)
                # Anybody who may write to the topic can put another message there.
                if isinstance(dead_letter, StoredDeadLetter):
                    by_reason[dead_letter.reason] = Example.of(dead_letter)
            self._next[partition] = end
        self.by_reason = by_reason
