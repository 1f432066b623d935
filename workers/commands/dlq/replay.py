"""The replay of dead letters: which are sent, in which order, and when progress is committed."""

from collections import Counter
from typing import Any

from confluent_kafka import TopicPartition

from workers.commands.clients.topic_reader import TopicReader
from workers.commands.console import ProgressWait, table
from workers.commands.dlq import dead_letter
from workers.commands.dlq.dead_letter import RecordId, StoredDeadLetter, UnknownMessage
from workers.commands.dlq.letter_filter import LetterFilter
from workers.commands.dlq.producer import Outcome, ReplayProducer
from workers.commands.dlq.progress import METADATA_BYTES, ReplayProgress
from workers.config.settings import Settings
from workers.types import Partition

#: Dead letters per batch. Progress is committed after each batch, so a kill may send one batch twice.
BATCH = 100

#: Most bytes of a batch.
BATCH_BYTES = 8_000_000

#: Most dead letters that Kafka may reject before the run stops. Each run retries them.
MOST_REJECTED = 100

#: Times that one record may be sent back, unless an option says more.
MOST_REPLAYS = 5

#: Seconds for which a long replay shows its progress.
LONGEST_S = 86_400.0


class Replay:
    """Sends the dead letters of one topic back, partition by partition.

    Args:
        settings: Names of the topics and how to reach the brokers.
        reader: Reads dead letters and commits the progress for its group.
        partitions: The partitions of the record topics.
        wanted: Which dead letters are sent.
        dry_run: Whether to send and commit nothing.
        most_replays: Times that one record may be sent back.

    Attributes:
        sent: Number of dead letters sent, by reason.
        twice: Number of dead letters whose record has another dead letter.
        foreign: Number of dead letters of records from other topics than TOWER_TOPIC.
        unknown: Messages that Tower did not write, so that nobody knows where they belong.
        exhausted: Dead letters whose record came back `most_replays` times.
        rejected: Dead letters that Kafka rejects. They do not stop the others, and the next run retries
            them.
        failed: Dead letters that could not be sent now. The next run starts with them.
        is_full: Whether it stopped because the progress has no room for more that is left out.
    """

    def __init__(
        self,
        settings: Settings,
        reader: TopicReader,
        partitions: set[Partition],
        wanted: LetterFilter,
        *,
        dry_run: bool,
        most_replays: int = MOST_REPLAYS,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.twice = self.foreign = self.exhausted = 0
        self.unknown: list[UnknownMessage] = []
        self.rejected: list[Outcome] = []
        self.failed: list[Outcome] = []
        self.is_full = False
        self._settings = settings
        self._reader = reader
        self._partitions = partitions
        self._topics = ", ".join(settings.topics)
        self._source = "TOWER_ROUTES" if settings.routes_path else "TOWER_TOPIC"
        self._wanted = wanted
        self._most_replays = most_replays
        self._dry_run = dry_run
        self._producer = None if dry_run else ReplayProducer(settings)
        self._seen: set[RecordId] = set()
        self._passed: set[int] = set()
        #: Offsets of what is not sent and not marked as replayed either.
        self._left_out: set[int] = set()
        #: Bytes that the progress has left to remember more of these.
        self._room = METADATA_BYTES
        self._wait = ProgressWait("the dead letters to be sent", LONGEST_S)

    def run(self, number: int, start: int, end: int, progress: ReplayProgress) -> None:
        """Send the dead letters of one partition that are not yet replayed; stops at the first failure.

        It reads the replayed ones too: a worker that was killed may have stored a record twice, and if the
        first dead letter was sent an hour ago, the second must not be sent now.
        """
        batch: list[StoredDeadLetter] = []
        size = 0
        self._passed, self._left_out = set(), set()
        progress.forget(start)
        self._room = METADATA_BYTES - len(progress.metadata())
        if self._room < 0 and not self._wanted.is_by_reason_alone:
            self.is_full = True
            return
        for letter in dead_letter.read(self._reader, self._settings.dead_letter_topic, number, start, end):
            self._wait.tick(f": {sum(self.sent.values())} so far")
            if isinstance(letter, UnknownMessage):
                self.unknown.append(letter)
                self._leave_out(letter.offset, progress)
            elif self._is_due(letter, progress):
                batch.append(letter)
                size += len(letter.value or b"")
            if self._left_out and self._room < 0:
                self._left_out.discard(letter.offset)
                self._send(batch, number, letter.offset, progress)
                self.is_full = True
                return
            if len(batch) >= BATCH or size >= BATCH_BYTES:
                if not self._send(batch, number, letter.offset + 1, progress):
                    return
                batch, size = [], 0
        self._send(batch, number, end, progress)

    def _leave_out(self, offset: int, progress: ReplayProgress) -> None:
        """Note that a message is not sent, and how much of the progress's room that takes."""
        if offset not in progress.rejected and offset - 1 not in self._left_out:
            self._room -= 2 * len(str(offset)) + len("[,],")
        self._left_out.add(offset)

    def _is_due(self, letter: StoredDeadLetter, progress: ReplayProgress) -> bool:
        if progress.covers(letter.offset, letter.reason):
            self._seen.add(letter.record_id)
            if letter.offset in progress.ahead and self._wanted.reason in {None, letter.reason}:
                self._passed.add(letter.offset)
            return False
        if not self._wanted.accepts(letter):
            return False
        if not any(route.matches(letter.topic) for route in self._settings.routes):
            # A header could name any topic that this user may write to.
            self.foreign += 1
            self._leave_out(letter.offset, progress)
            return False
        if letter.replays >= self._most_replays:
            self.exhausted += 1
            self._leave_out(letter.offset, progress)
            return False
        if letter.record_id in self._seen:
            self.twice += 1
            return False
        self._seen.add(letter.record_id)
        return True

    def _send(
        self, batch: list[StoredDeadLetter], number: int, next_offset: int, progress: ReplayProgress
    ) -> bool:
        """Send a batch, then commit the progress; False if a dead letter failed."""
        missing = [
            letter for letter in batch if Partition(letter.topic, letter.partition) not in self._partitions
        ]
        outcomes = [
            Outcome(letter, f"there is no partition {letter.partition}", True) for letter in missing
        ]
        sendable = [
            letter for letter in batch if Partition(letter.topic, letter.partition) in self._partitions
        ]
        if self._producer is None:
            outcomes += [Outcome(letter, None) for letter in sendable]
        elif sendable:
            outcomes += self._producer.send(sendable)
        sent = [outcome.letter for outcome in outcomes if outcome.problem is None]
        rejected = [outcome for outcome in outcomes if outcome.is_final]
        failed = [outcome for outcome in outcomes if outcome.problem and not outcome.is_final]
        if len(self.rejected) + len(rejected) > MOST_REJECTED:
            # So many have a common cause, which has to be found before any more are tried.
            rejected, failed = [], failed + rejected
        self.sent.update(letter.reason for letter in sent)
        self.rejected += rejected
        self.failed += failed
        if self._producer is not None:
            self._advance(
                progress,
                min([next_offset, *(outcome.letter.offset for outcome in failed)]),
                {letter.offset for letter in sent},
                {outcome.letter.offset for outcome in rejected} | self._left_out,
            )
            topic = self._settings.dead_letter_topic
            self._reader.commit(TopicPartition(topic, number, progress.offset, progress.metadata()))
        return not (failed or self.is_full)

    def _advance(
        self, progress: ReplayProgress, next_offset: int, sent: set[int], not_sent: set[int]
    ) -> None:
        """Note what was sent and what was not."""
        if self._wanted.is_by_reason_alone:
            progress.advance(
                next_offset, self._wanted.reason, sent=sent, rejected=not_sent, passed=self._passed
            )
        else:
            # Some of all: what is before the others is not done with them.
            progress.advance(progress.offset, None, sent=sent)
            self.is_full = len(progress.metadata()) > METADATA_BYTES

    @property
    def is_incomplete(self) -> bool:
        """Whether there is something that should have been sent and was not."""
        return bool(self.failed or self.rejected or self.unknown or self.exhausted or self.is_full)

    def as_object(self) -> dict[str, Any]:
        """Describe what was done, for programs."""
        return {
            "dry_run": self._dry_run,
            "sent": sum(self.sent.values()),
            "reasons": dict(self.sent),
            "kept_twice": self.twice,
            "of_other_topics": self.foreign,
            "replayed_too_often": self.exhausted,
            "unknown": [f"{message.number}/{message.offset}" for message in self.unknown],
            "is_full": self.is_full,
            "refused": [_describe(outcome) for outcome in self.rejected],
            "failed": [_describe(outcome) for outcome in self.failed],
        }

    def describe(self) -> str:
        """Describe what was done, for people."""
        count = sum(self.sent.values())
        verb = "would be sent" if self._dry_run else "sent"
        lines = [f"{count} {verb} to {self._topics}"]
        if count:
            lines[0] += "; each is a new record with a new offset, and becomes a new point"
            lines.append(table(("reason", "dead letters"), sorted(self.sent.items())))
        if self.twice:
            lines.append(f"{self.twice} left out: their records have another dead letter")
        if self.foreign:
            lines.append(
                f"{self.foreign} left out: their records came from other topics than {self._source} "
                f"({self._topics})"
            )
        if self.exhausted:
            lines.append(
                f"{self.exhausted} left out: their records came back {self._most_replays} times or more, "
                "so the cause is still there; --max-replays sends them again"
            )
        if self.unknown:
            first = self.unknown[0]
            lines.append(
                f"{len(self.unknown)} left out: Tower did not write them, so it does not know where they "
                f"belong; the first is {first.number}/{first.offset}"
            )
        if self.is_full:
            lines.append(
                "stopped: so many dead letters cannot be sent that Kafka has no room to remember them all; "
                "remove them with `tower dlq purge`, or send others with --since or by their places"
            )
        lines += [f"rejected: {_describe(outcome)}" for outcome in self.rejected]
        lines += [f"failed: {_describe(outcome)}" for outcome in self.failed[:10]]
        if self.failed:
            lines.append(
                f"{len(self.failed)} failed; run this again when Kafka is available, and it continues with "
                "them"
            )
        return "\n".join(lines)


def _describe(outcome: Outcome) -> str:
    return f"dead letter {outcome.letter.number}/{outcome.letter.offset}: {outcome.problem}"
