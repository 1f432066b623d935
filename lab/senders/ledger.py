"""Produced records compared, one by one, with points and dead letters."""

import time
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaException, TopicPartition

from lab.errors import LabError, SlowError
from lab.lab import Lab
from lab.provision import BUCKET, RETENTION_POLICY
from lab.senders.expected import ExpectedDeadLetter, ExpectedPoint

#: Seconds for reading the dead letters.
READ_S = 60.0
PartitionOffset = tuple[int, int]  #: partition and offset


@dataclass
class Row:
    """One partition's account."""

    produced: int = 0
    stored: int = 0
    dead_lettered: int = 0
    committed: int | None = None
    end: int = 0

    @property
    def holds(self) -> bool:
        """Whether every record is stored or a dead letter, and all are committed."""
        return self.produced == self.stored + self.dead_lettered and self.committed == self.end


@dataclass
class ProducedRecords:
    """The records that Kafka acknowledged, with partition and offset."""

    good: dict[ExpectedPoint, PartitionOffset] = field(default_factory=dict)
    bad: set[PartitionOffset] = field(default_factory=set)

    def delivered(self, tag: ExpectedPoint | ExpectedDeadLetter, partition: int, offset: int) -> None:
        """Add a record that Kafka acknowledged; a Sender calls this."""
        if isinstance(tag, ExpectedPoint):
            self.good[tag] = (partition, offset)
        else:
            self.bad.add((partition, offset))

    def settle(
        self,
        stored: Counter[ExpectedPoint],
        dead: Counter[PartitionOffset],
        committed: Mapping[int, int | None],
        ends: Mapping[int, int],
    ) -> tuple[dict[int, Row], list[str]]:
        """Compare with the points and dead letters.

        Args:
            stored: Number of points, by record.
            dead: Number of dead letters, by the partition and offset in their headers.
            committed: The group's offsets, by partition.
            ends: Offset after the last record, by partition.

        Returns:
            A row for each partition, and a sentence for each problem.
        """
        rows = {number: Row(committed=committed.get(number), end=ends[number]) for number in ends}
        for place in [*self.good.values(), *self.bad]:
            rows[place[0]].produced += 1
        for one in stored.keys() & self.good.keys():
            rows[self.good[one][0]].stored += 1
        for place in dead.keys() & (self.bad | set(self.good.values())):
            rows[place[0]].dead_lettered += 1
        problems = [
            f"partition {number}: produced {row.produced}, stored {row.stored}, dead-lettered "
            f"{row.dead_lettered}, committed {row.committed} of {row.end}"
            for number, row in rows.items()
            if not row.holds
        ]
        wrong: dict[str, Collection[ExpectedPoint | PartitionOffset]] = {
            "good records are in no point": self.good.keys() - stored.keys(),
            "points are nobody's": stored.keys() - self.good.keys(),
            "records are in several points": {one for one, times in stored.items() if times > 1},
            "bad records are no dead letters": self.bad - dead.keys(),
            "good records are dead letters": dead.keys() & set(self.good.values()),
            "records are several dead letters": {one for one, times in dead.items() if times > 1},
        }
        for what, affected in wrong.items():
            if affected:
                problems.append(f"{len(affected)} {what}, such as {next(iter(affected))}")
        return rows, problems


def stored(lab: Lab, since_s: int) -> Counter[ExpectedPoint]:
    """Count the points of each record, with queries of the v1 user.

    Args:
        lab: The lab with the InfluxDB.
        since_s: Epoch seconds; older points are left out.
    """
    series = f'"{BUCKET}"."{RETENTION_POLICY}"."labs"'
    numbered = f'SELECT "seq" FROM {series} WHERE time >= {since_s}s GROUP BY "deviceId"'  # noqa: S608
    points = Counter(
        ExpectedPoint(str(row["deviceId"]), int(row["seq"])) for row in lab.query_rows(numbered)
    )
    # Those of the lab's single Pi have neither a device nor a number.
    single = f'SELECT "memory" FROM {series} WHERE time >= {since_s}s AND "deviceId" = \'\''  # noqa: S608
    points.update(ExpectedPoint("", row["time"] // 1_000_000_000) for row in lab.query_rows(single))
    return points


def dead_letters(lab: Lab, topic: str, since: Mapping[int, int], origin: str) -> Counter[PartitionOffset]:
    """Count the dead letters by the partition and offset in their headers.

    Args:
        lab: The lab with the Kafka.
        topic: The dead-letter topic.
        since: Offsets to begin at, by partition.
        origin: The topic that the letters came from; others are left out.

    Raises:
        SlowError: They could not be read in time.
    """
    ends = lab.topics.log_ends(topic)
    unread = {number for number, end in ends.items() if end > since.get(number, 0)}
    consumer = Consumer(
        {
            "bootstrap.servers": lab.bootstrap_servers,
            "group.id": "tower-ledger",
            "enable.auto.commit": False,
            "log_level": 2,
        }
    )
    letters: Counter[PartitionOffset] = Counter()
    try:
        consumer.assign([TopicPartition(topic, n, since.get(n, 0)) for n in sorted(unread)])
        deadline = time.monotonic() + READ_S
        while unread:
            if time.monotonic() > deadline:
                raise SlowError(f"the dead letters in {topic} could not be read in {READ_S:.0f} s")
            for message in consumer.consume(1000, 0.5):
                if message.error() is not None:
                    continue  # Transient: the deadline bounds it.
                headers: dict[str, bytes] = dict(message.headers() or [])  # type: ignore[arg-type]
                if headers.get("tower.topic") == origin.encode():
                    letters[int(headers["tower.partition"]), int(headers["tower.offset"])] += 1
                if (message.offset() or 0) + 1 >= ends[message.partition() or 0]:
                    unread.discard(message.partition() or 0)
    except KafkaException as error:
        raise LabError(f"reading {topic}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return letters
