"""Which topic a position belongs to, of all that had the name one after the other."""

import time
from collections.abc import Callable, Iterable

from confluent_kafka import TopicPartition

from workers.types import Partition

#: Seconds without a message after which the topic may be another one. Of one that a script deleted, made
#: anew and filled past the position at once, a cluster's records came after 0.58 s, a single node's after
#: 0.16 s at the least. A shorter silence would be seen at every batch of a worker at full speed.
SILENCE_S = 0.3

#: Seconds between two looks in any case: the longest that a topic made anew in less than that goes untold.
LOOK_S = 30.0

#: Begins the metadata of an offset that Tower commits; other tools may write there what they like.
MARK = "topic-id="

#: What an operator reads.
MADE_ANEW = "the topic was made anew: deleted, and created again under its name"


class Incarnation:
    """Holds each partition's position together with the id of the topic it was gained in.

    Kafka's client reads on at the old position in the new topic, where that has grown past it, and so jumps
    over the records before. That takes a while without messages: after each such while the id is asked for
    before anything is handed out. A worker that was frozen has had one too. Where it was too short to be
    seen, the jump is told by the next look, or at the next assignment by the id that was committed.

    Args:
        ask: Gives the id now; empty where brokers have none, None where they do not answer.
        clock: Monotonic seconds.
    """

    def __init__(self, ask: Callable[[], str | None], clock: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._ids: dict[Partition, str | None] = {}
        self._now = ""
        self._heard = self._asked = float("-inf")

    def look(self) -> bool:
        """Ask for the id; False where Kafka does not tell."""
        self._asked = self._clock()
        found = self._ask()
        if found is None:
            return False
        self._now = found
        return True

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
        self._heard = self._asked if known else float("-inf")

    def forget(self, partitions: Iterable[Partition]) -> None:
        """Partitions that are given up, or not read any more."""
        for each in partitions:
            self._ids.pop(each, None)

    def vouches(self, heard: bool) -> bool:
        """Whether messages that were consumed just now belong to the topic of the positions.

        May ask Kafka. Where it is False, they must not be handed out: those of partitions that are `stale`
        never, the others after going back to their positions.

        Args:
            heard: Whether there are any.
        """
        now = self._clock()
        due = (heard and now - self._heard > SILENCE_S) or now - self._asked > LOOK_S
        if due and self._ids and (not self.look() or self._adopt() or self.stale):
            return False
        if heard:
            self._heard = now
        return True

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
