"""This worker's member of the consumer group: the one room that consumes and commits."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from workers.config.settings import Settings
from workers.errors import SettingsError
from workers.kafka import offsets
from workers.kafka.commits import Commits
from workers.kafka.membership import ConsumerCallbacks, Membership
from workers.kafka.prefetch import Prefetch
from workers.kafka.topic_id import TopicId
from workers.kafka.topic_recreation import RECREATED, TopicRecreation
from workers.log import Repeats
from workers.types import Message, Partition, partition_of

#: Called before partitions are given up. The second argument is True if they are lost already, so that
#: nothing may be committed for them.
Revoked = Callable[[set[Partition], bool], None]


class GroupConsumer:
    """Consumes the topic as one member of the group, and commits what it is told to.

    Partitions come and go inside `consume` and `wait` only.

    Args:
        settings: Topic and Kafka properties.
        revoked: Called before partitions are given up.
        topic_id: Gives the id of the topic that is there now, None where Kafka does not tell it; asks
            Kafka unless a test decides.

    Attributes:
        owned: Partitions assigned to this worker now.
        stopped: Owned partitions that are not read, with the reason.
        rebalances: Assignments so far.

    Raises:
        SettingsError: librdkafka refuses a property.
    """

    def __init__(
        self,
        settings: Settings,
        revoked: Revoked,
        topic_id: Callable[[], str | None] | None = None,
    ) -> None:
        self.owned: set[Partition] = set()
        self.stopped: dict[Partition, str] = {}
        self.rebalances = 0
        self._revoked = revoked
        self._topic = settings.topic
        self._room = settings.identity_partitions
        self._prefetch = Prefetch(settings.batch_bytes)
        self._log = logging.getLogger("tower.consumer")
        self._repeats = Repeats(self._log)
        self._paused = self._rebalanced = False
        self._position: dict[Partition, int] = {}
        self._topic_recreation = TopicRecreation(topic_id or TopicId(settings).ask)
        self._commits = Commits()
        told = ConsumerCallbacks(
            self._on_assign, self._on_gone, self._commits.answered, self._topic_recreation.changed
        )
        self._membership = Membership(settings, told, self._repeats)
        self._consumer = self._membership.join()

    @property
    def committed(self) -> dict[Partition, int]:
        """Last offset the group acknowledged, by partition."""
        return self._commits.acknowledged

    @property
    def commit_failures(self) -> int:
        """Commits that Kafka refused: their records are read again, never skipped."""
        return self._commits.failures

    @property
    def renewals(self) -> int:
        """Clients that were replaced: they gave up, or had credentials that are others now."""
        return self._membership.renewals

    def consume(self, most: int, timeout_s: float, *, gather: bool = True) -> list[Message]:
        """Up to `most` messages of owned partitions, in order within each.

        Args:
            most: Number of messages at which it returns at once.
            timeout_s: Seconds after which it returns what there is.
            gather: False returns as soon as there is any.
        """
        self._rebalanced = False
        messages = self._take(most if gather else 1, most, timeout_s)
        if self._membership.given_up:
            self._renew()
            return []
        # A plain loop: a generator here would cost 3 % of a worker.
        for message in messages:
            if message.error() is not None:
                messages = self._records_of(messages)
                break
        if self._rebalanced and messages:
            # What was fetched under the old assignment may stand before what belongs to the new one, and
            # committing the last offset would cover a gap. Start over from the known positions.
            self._rewind({partition_of(message) for message in messages})
            return []
        if not self._topic_recreation.is_unchanged(bool(messages)):
            self._stop(self._topic_recreation.stale, RECREATED)
            self._rewind({partition_of(message) for message in messages})
            return []
        if messages and len(self.owned) == 1:
            self._position[partition_of(messages[-1])] = messages[-1].offset() + 1
        else:
            for number, last in {each.partition(): each.offset() for each in messages}.items():
                self._position[Partition(self._topic, number)] = last + 1
        return messages

    def _take(self, enough: int, most: int, timeout_s: float) -> list[Any]:
        return self._prefetch.take(
            self._consumer, enough, most, timeout_s, over=lambda: self._membership.given_up
        )

    def wait(self, timeout_s: float) -> None:
        """Keep the membership without consuming: partitions are paused until `resume`."""
        if not self._paused:
            self._paused = True
            self._consumer.pause(offsets.to_kafka(self.owned))
        messages = self._take(1, 1, timeout_s)
        if self._membership.given_up:
            self._renew()
            return
        for message in messages:
            if message.error() is not None:
                self._event(message)
            else:
                # It was on its way when the pause began: it is handed out again later.
                self._seek(partition_of(message), message.offset())

    def resume(self) -> None:
        """End the pause that `wait` began."""
        if self._paused:
            self._paused = False
            self._consumer.resume(offsets.to_kafka(self.owned - self.stopped.keys()))

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        """Commit offsets of owned partitions.

        A failure is counted and logged, and is no harm: the records are read again and overwrite their
        own points.

        Args:
            next_offsets: For each partition the offset after its last record that is safe.
            blocking: Wait for the answer; else it is taken at a later `consume` or `wait`.
        """
        # Not for a stopped partition: a topic made anew under the same name would get the old one's offset,
        # and whoever starts there next would skip what lies before it.
        safe = {each: end for each, end in next_offsets.items() if each in self.owned - self.stopped.keys()}
        self._commits.send(self._consumer, safe, self._topic_recreation.metadata, blocking)

    def position(self, partition: Partition) -> int | None:
        """Offset after the last message handed out, None before the first."""
        return self._position.get(partition)

    def lag(self, partition: Partition) -> int | None:
        """Messages from the committed offset to the end of the partition, None while unknown."""
        return self._commits.lag(self._consumer, partition)

    def close(self) -> None:
        """Leave the group; a static member's partitions wait for it until its session ends."""
        self._consumer.close()

    def _on_assign(self, partitions: list[TopicPartition]) -> None:
        came = offsets.from_kafka(partitions)
        highest = max((each.number for each in came), default=0)
        if highest >= self._room:
            raise SettingsError(
                "TOWER_IDENTITY_PARTITIONS",
                f"is {self._room} and there is a partition {highest}: points of two partitions could "
                "overwrite each other; set it above the highest partition's number",
            )
        self._rebalanced = True
        self.rebalances += 1
        self.owned |= came
        # In this order: an offset of a topic made anew in between is then seen not to belong to it.
        known = self._topic_recreation.look()
        starts = offsets.committed(self._consumer, partitions, self._repeats)
        self._topic_recreation.enter(starts, known)
        # auto.offset.reset stays "error": a group without an offset begins at the beginning because it is
        # told to here, so that an offset that is gone can never be mistaken for one that never was.
        for each in starts:
            if each.offset < 0:
                each.offset = OFFSET_BEGINNING
            else:
                self._position[Partition(each.topic, each.partition)] = each.offset
        incremental = self._membership.incremental
        (self._consumer.incremental_assign if incremental else self._consumer.assign)(starts)
        # Said either way: the client forgets a pause at one rebalance and keeps it across another (where
        # partitions were lost); one that is paused for good is as bad as a memory that fills up.
        (self._consumer.pause if self._paused else self._consumer.resume)(starts)
        self._log.info("assigned %s", _names(came))
        self._stop(self._topic_recreation.stale, RECREATED)

    def _renew(self) -> None:
        """Go on as a new member; what the one before had is lost."""
        if self.owned:
            self._on_gone(offsets.to_kafka(self.owned), lost=True)
        self._consumer = self._membership.renew(self._consumer)

    def _on_gone(self, partitions: Iterable[TopicPartition], lost: bool) -> None:
        gone = offsets.from_kafka(partitions) & self.owned
        self._rebalanced = True
        self._log.log(
            logging.WARNING if lost else logging.INFO,
            "%s %s",
            "lost" if lost else "giving up",
            _names(gone),
        )
        self._revoked(gone, lost)
        self.owned -= gone
        for kept in (self._position, self.committed, self.stopped):
            for each in gone:
                kept.pop(each, None)
        self._topic_recreation.forget(gone)

    def _records_of(self, messages: list[Any]) -> list[Message]:
        """Take note of what is no record; gives the others."""
        for message in messages:
            if message.error() is not None:
                self._event(message)
        return [message for message in messages if message.error() is None]

    def _event(self, message: Any) -> None:
        """What the client reports in place of a message."""
        error = message.error()
        if error.code() != KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001
            self._membership.hear(error)
            return
        gone = {Partition(message.topic(), message.partition())}
        made_anew = self._topic_recreation.look() and gone <= self._topic_recreation.stale
        self._stop(gone, RECREATED if made_anew else error.str())

    def _stop(self, partitions: set[Partition], why: str) -> None:
        """Stop reading partitions whose offset no longer exists: a jump would lose what lies between."""
        stopping = (partitions & self.owned) - self.stopped.keys()
        for each in stopping:
            position = self._position.get(each, "at the beginning")
            self.stopped[each] = f"offset {position} no longer exists in Kafka ({why})"
            self._log.error(
                "%s is stopped: %s, so records may have gone before they were stored. Stop the pool, "
                "choose where to go on with `python -m workers replay --partition %d --from earliest`, "
                "and start it again",
                each,
                self.stopped[each],
                each.number,
            )
        if stopping:
            self._consumer.pause(offsets.to_kafka(stopping))
            self._topic_recreation.forget(stopping)

    def _rewind(self, partitions: set[Partition]) -> None:
        # Only those that have handed something out: one whose offset is gone refuses every seek.
        for partition in (partitions & self.owned) - self.stopped.keys():
            self._seek(partition, self._position.get(partition, OFFSET_BEGINNING))

    def _seek(self, partition: Partition, offset: int) -> None:
        offsets.seek(self._consumer, partition, offset, lambda: partition in self.owned)


def _names(partitions: Iterable[Partition]) -> str:
    return ", ".join(map(str, sorted(partitions))) or "no partition"
