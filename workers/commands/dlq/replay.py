"""The replay of dead letters: which are sent, in which order, and when they are marked as sent."""

from collections import Counter
from typing import Any

from confluent_kafka import TopicPartition

from workers.commands.clients.topic_reader import TopicReader
from workers.commands.console import Wait, table
from workers.commands.dlq import dead_letter
from workers.commands.dlq.dead_letter import Identity, Letter
from workers.commands.dlq.producer import Outcome, Resend
from workers.commands.dlq.progress import Mark
from workers.config.settings import Settings

#: Letters that are sent before Kafka's answers are waited for and marked: what a kill may send twice.
LOT = 100

#: And the bytes of them.
LOT_BYTES = 8_000_000

#: Letters that Kafka refuses and that are passed over, in one partition; each run tries them again.
HOLES = 100

#: Seconds that a long replay may say it is still at it.
LONGEST_S = 86_400.0


class Replay:
    """Sends the letters of one topic back, partition by partition.

    Args:
        settings: Topics and the way to the brokers.
        reader: Reads letters, and keeps the mark in the name of its group.
        partitions: Numbers that the topic of the records has.
        reason: Only letters of this reason; None for all.
        dry_run: True sends and marks nothing.

    Attributes:
        sent: Letters by reason.
        twice: Letters about a record that another letter is about.
        foreign: Letters of records from other topics than TOWER_TOPIC.
        refused: Letters that Kafka refuses, whatever its health; they hold up no others, and the next run
            tries them again.
        failed: Letters that could not be sent now; the next run begins with them.
    """

    def __init__(
        self,
        settings: Settings,
        reader: TopicReader,
        partitions: set[int],
        reason: str | None,
        *,
        dry_run: bool,
    ) -> None:
        self.sent: Counter[str] = Counter()
        self.twice = self.foreign = 0
        self.refused: list[Outcome] = []
        self.failed: list[Outcome] = []
        self._settings = settings
        self._reader = reader
        self._partitions = partitions
        self._reason = reason
        self._dry_run = dry_run
        self._resend = None if dry_run else Resend(settings)
        self._seen: set[Identity] = set()
        self._passed: set[int] = set()
        self._wait = Wait("the dead letters to be sent", LONGEST_S)

    def run(self, number: int, start: int, end: int, mark: Mark) -> None:
        """Send the letters of one partition that are not yet marked; stops at the first failure.

        Those already marked are read too: a worker that was killed keeps a record twice, and the second
        letter must not be sent because the first one was, an hour ago.
        """
        lot: list[Letter] = []
        size = 0
        self._passed = set()
        mark.forget(start)
        for letter in dead_letter.read(self._reader, self._settings.dead_letter_topic, number, start, end):
            self._wait.tick(f": {sum(self.sent.values())} so far")
            if self._is_due(letter, mark):
                lot.append(letter)
                size += len(letter.value or b"")
            if len(lot) >= LOT or size >= LOT_BYTES:
                if not self._send(lot, number, letter.offset + 1, mark):
                    return
                lot, size = [], 0
        self._send(lot, number, end, mark)

    def _is_due(self, letter: Letter, mark: Mark) -> bool:
        if mark.covers(letter.offset, letter.reason):
            self._seen.add(letter.identity)
            if letter.offset in mark.beyond and self._reason in {None, letter.reason}:
                self._passed.add(letter.offset)
            return False
        if self._reason not in {None, letter.reason}:
            return False
        if letter.topic != self._settings.topic:
            # A header could name any topic that this user may write to.
            self.foreign += 1
            return False
        if letter.identity in self._seen:
            self.twice += 1
            return False
        self._seen.add(letter.identity)
        return True

    def _send(self, lot: list[Letter], number: int, upto: int, mark: Mark) -> bool:
        """Send a lot, then mark what Kafka has confirmed; False where some of it failed."""
        lost = [each for each in lot if each.partition not in self._partitions]
        outcomes = [Outcome(each, f"there is no partition {each.partition}", True) for each in lost]
        there = [each for each in lot if each.partition in self._partitions]
        if self._resend is None:
            outcomes += [Outcome(each, None) for each in there]
        elif there:
            outcomes += self._resend.send(there)
        sent = [each.letter for each in outcomes if each.problem is None]
        refused = [each for each in outcomes if each.for_good]
        failed = [each for each in outcomes if each.problem and not each.for_good]
        if len(mark.holes | {each.letter.offset for each in refused}) > HOLES:
            # That many are no single records: their cause has to be found before any more are tried.
            refused, failed = [], failed + refused
        self.sent.update(letter.reason for letter in sent)
        self.refused += refused
        self.failed += failed
        if self._resend is not None:
            upto = min([upto, *(each.letter.offset for each in failed)])
            holes = [each.letter.offset for each in refused]
            offsets = [letter.offset for letter in sent]
            mark.advance(upto, self._reason, sent=offsets, refused=holes, passed=self._passed)
            topic = self._settings.dead_letter_topic
            self._reader.commit(TopicPartition(topic, number, mark.offset, mark.metadata()))
        return not failed

    def as_object(self) -> dict[str, Any]:
        """What was done, for programs."""
        return {
            "dry_run": self._dry_run,
            "sent": sum(self.sent.values()),
            "reasons": dict(self.sent),
            "kept_twice": self.twice,
            "of_other_topics": self.foreign,
            "refused": [_told(each) for each in self.refused],
            "failed": [_told(each) for each in self.failed],
        }

    def describe(self) -> str:
        """What was done, for people."""
        count = sum(self.sent.values())
        verb = "would be sent" if self._dry_run else "sent"
        lines = [f"{count} {verb} to {self._settings.topic}"]
        if count:
            lines[0] += "; each is a new record at a new offset, and so a new point"
            lines.append(table(("reason", "letters"), sorted(self.sent.items())))
        if self.twice:
            lines.append(f"{self.twice} left out: the same record has another letter")
        if self.foreign:
            lines.append(
                f"{self.foreign} left out: they came from other topics than {self._settings.topic} "
                "(TOWER_TOPIC)"
            )
        lines += [f"refused: {_told(each)}" for each in self.refused]
        lines += [f"failed: {_told(each)}" for each in self.failed[:10]]
        if self.failed:
            lines.append(
                f"{len(self.failed)} failed; run this again when Kafka is well, it goes on with them"
            )
        return "\n".join(lines)


def _told(outcome: Outcome) -> str:
    return f"letter {outcome.letter.number}/{outcome.letter.offset}: {outcome.problem}"
