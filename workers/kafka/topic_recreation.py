"""Which topic a position belongs to, of all that had the name one after the other."""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import TopicPartition

from workers.types import Partition

#: Seconds between two questions for the id, in case the client does not report a change: it may word that
#: differently one day. 288 questions a day leave 59 kB in memory.
ASK_EVERY_S = 300.0

#: Begins the metadata of an offset that Tower commits; other tools may write there what they like.
MARK = "topic-id="

#: What an operator reads.
RECREATED = "the topic was made anew: deleted, and created again under its name"


class TopicRecreation:
    """Holds each partition's position together with the id of the topic it was gained in.

    Kafka's client reads on at the old position in the new topic, where that has grown past it, and so jumps
    over the records before. It reports the new id before it hands out the first of these messages. If it
    does not, the next look finds the jump, or the next assignment does by the id that was committed.

    Args:
        ask: Gives the id now; empty where brokers have none, None where they do not answer.
        clock: Monotonic seconds.
    """

    def __init__(self, ask: Callable[[], str | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._ids: dict[Partition, str | None] = {}
        self._now = ""
        self._asked = float("-inf")
        self._known = False

    def look(self) -> bool:
        """Ask for the id; False where Kafka does not tell."""
        self._asked = self._clock()
        answer = self._ask()
        if answer is None:
            return False
        self._now, self._known = answer, True
        return True

    def changed(self, now: str) -> None:
        """The client reports that the topic has another id now."""
        self._now = now

    def enter(self, starts: Iterable[TopicPartition], known: bool) -> None:
        """Take partitions in, at the offsets the group has committed.

        Args:
            starts: The offsets, with the metadata they were committed with.
            known: Whether a `look` before these were asked for was answered.
        """
        for each in starts:
            # An offset another tool committed is taken as one of the topic that is there.
            committed = _id_of(each.metadata) if each.offset >= 0 else None
            now = self._now if known else None
            self._ids[Partition(each.topic, each.partition)] = committed or now or None
        self._known = known

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Partitions that are given up, or not read any more."""
        for each in partitions:
            self._ids.pop(each, None)

    def is_unchanged(self, heard: bool) -> bool:
        """Whether messages that were consumed just now belong to the topic of the positions.

        May ask Kafka. Where it is False, they must not be handed out: those of partitions that are `stale`
        never, the others after going back to their positions.

        Args:
            heard: Whether there are any.
        """
        due = (heard and not self._known) or self._clock() - self._asked > ASK_EVERY_S
        if due and self._ids:
            answered = self.look()
            if not self._known or (answered and self._adopt()):
                return False
        return not self.stale

    @property
    def stale(self) -> set[Partition]:
        """Partitions whose position belongs to an earlier topic."""
        return {each for each, known in self._ids.items() if known and self._now and known != self._now}

    @property
    def metadata(self) -> dict[Partition, str]:
        """What to commit with an offset, of each partition whose id is known."""
        return {each: MARK + known for each, known in self._ids.items() if known}

    def _adopt(self) -> bool:
        """Give partitions without an id the one just told; what they had consumed may be of another."""
        unknown = [each for each, known in self._ids.items() if known is None] if self._now else []
        self._ids |= dict.fromkeys(unknown, self._now)
        return bool(unknown)


def _id_of(metadata: str | None) -> str | None:
    return metadata.removeprefix(MARK) if metadata and metadata.startswith(MARK) else None
