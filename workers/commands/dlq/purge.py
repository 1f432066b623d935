"""Deletes dead letters: all of a partition up to an offset, as Kafka can delete nothing else."""

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.console import table
from workers.commands.dlq import dead_letter
from workers.commands.dlq.dead_letter import StoredDeadLetter
from workers.commands.dlq.letter_filter import Place
from workers.commands.dlq.progress import ReplayProgress


@dataclass(frozen=True)
class PartitionPurge:
    """What is deleted from one partition of the dead-letter topic.

    Args:
        number: The partition.
        start: First offset that Kafka has.
        target: First offset that stays.
        reasons: Dead letters that are deleted, by reason; messages that Tower did not write are `unknown`.
        not_replayed: Those of them that were never sent back.
    """

    number: int
    start: int
    target: int
    reasons: dict[str, int]
    not_replayed: int

    @property
    def count(self) -> int:
        """Messages that are deleted."""
        return sum(self.reasons.values())


def targets_before(kafka_admin: KafkaAdmin, topic: str, milliseconds: float) -> dict[int, int]:
    """Return for each partition the offset of the first dead letter of a time or later."""
    ends = kafka_admin.end_offsets(topic)
    since = kafka_admin.offsets_since(topic, int(milliseconds))
    return {number: ends[number] if offset < 0 else offset for number, offset in since.items()}


def targets_replayed(progress: dict[int, ReplayProgress]) -> dict[int, int]:
    """Return for each partition the offset of the first dead letter that is not replayed."""
    targets = {}
    for number, part in progress.items():
        target = part.offset
        while target in part.ahead:
            target += 1
        targets[number] = min([target, *part.rejected])
    return targets


def target_through(place: Place) -> dict[int, int]:
    """Return the offset after one dead letter, for its partition."""
    number, offset = place
    return {number: offset + 1}


def plan(
    reader: TopicReader,
    topic: str,
    targets: dict[int, int],
    *,
    starts: dict[int, int],
    ends: dict[int, int],
    progress: dict[int, ReplayProgress],
) -> list[PartitionPurge]:
    """Read what would be deleted; omits partitions of which nothing would be."""
    purges = []
    for number, wanted in sorted(targets.items()):
        start, target = starts[number], min(wanted, ends[number])
        reasons: Counter[str] = Counter()
        not_replayed = 0
        for letter in dead_letter.read(reader, topic, number, start, target):
            reason = letter.reason if isinstance(letter, StoredDeadLetter) else "unknown"
            reasons[reason] += 1
            not_replayed += not progress[number].covers(letter.offset, reason)
        if target > start:
            purges.append(PartitionPurge(number, start, target, dict(reasons), not_replayed))
    return purges


def describe(purges: list[PartitionPurge]) -> str:
    """Describe what is deleted, for people."""
    rows = [
        (
            *(purge.number, purge.start, purge.target - 1, purge.count, purge.not_replayed),
            ", ".join(f"{reason} {count}" for reason, count in sorted(purge.reasons.items())),
        )
        for purge in purges
    ]
    return table(("partition", "from", "through", "messages", "never replayed", "reasons"), rows)


def as_object(topic: str, purges: list[PartitionPurge], *, deleted: bool) -> dict[str, Any]:
    """Describe what is deleted, for programs."""
    return {
        "topic": topic,
        "deleted": deleted,
        "messages": sum(purge.count for purge in purges),
        "not_replayed": sum(purge.not_replayed for purge in purges),
        "partitions": [asdict(purge) for purge in purges],
    }
