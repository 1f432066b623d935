"""Reads and converts the newest records of the topic."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workers.commands.check.converted_record import Record, SampleConverter
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.topic_reader import TopicReader
from workers.commands.console import show_wait
from workers.config.settings import Settings

#: Most messages that are read: of one partition, and of all.
PARTITION_MESSAGES = 100
MESSAGES = 2_000

#: Records after which no more messages are converted: one message may hold thousands of records.
RECORDS = 5_000

#: Bytes of values after which no older messages are read.
BYTES = 8_000_000

#: Seconds after which no more messages are read.
READ_S = 10.0


@dataclass(frozen=True)
class Sample:
    """The newest records of all partitions.

    Args:
        records: Points and dead letters, the newest first.
    """

    records: tuple[Record, ...]

    @property
    def points(self) -> list[Record]:
        """Those that would become points, the newest first."""
        return [record for record in self.records if record.is_point]

    @property
    def dead(self) -> list[Record]:
        """Those that would become dead letters, the newest first."""
        return [record for record in self.records if not record.is_point]


def of_newest(some: list[Record], records: list[Record]) -> str:
    """Describe a share of the newest records: `9 of the newest 300 records`."""
    share = "all" if len(some) == len(records) else f"{len(some)}"
    return f"{share} of the newest {len(records)} records"


def read(kafka_admin: KafkaAdmin, settings: Settings, watch_s: float) -> Sample:
    """Read the newest records.

    Args:
        kafka_admin: Kafka.
        settings: The topic, and the workers' settings.
        watch_s: Seconds to wait for a new record.

    Raises:
        CommandError: Kafka does not return them.
    """
    before = kafka_admin.end_offsets(settings.topic)
    ends, deadline = before, time.monotonic() + watch_s
    with show_wait("a new record", watch_s):
        while ends == before and time.monotonic() < deadline:
            time.sleep(0.25)
            ends = kafka_admin.end_offsets(settings.topic)
    starts = kafka_admin.start_offsets(settings.topic)
    with (
        show_wait("the newest records", READ_S),
        # It commits nothing, and users often have rights on this group alone.
        TopicReader(settings, settings.group) as reader,
    ):
        messages = _newest(reader, settings.topic, starts, ends)
    return sample(messages, settings, before)


def _newest(
    reader: TopicReader, topic: str, starts: Mapping[int, int], ends: Mapping[int, int]
) -> list[Any]:
    """Read the last message of each partition, then more messages if they are small."""
    most = max(1, min(PARTITION_MESSAGES, MESSAGES // len(ends)))
    messages: list[Any] = []
    size, deadline, unread = 0, time.monotonic() + READ_S, dict(ends)
    for count in sorted({1, min(10, most), most}):
        first = {number: max(starts[number], end - count) for number, end in ends.items()}
        left_s = deadline - time.monotonic()
        if left_s <= 0 or size >= BYTES:
            break
        ranges = {number: (first[number], unread[number]) for number in ends}
        messages += reader.read_together(topic, ranges, left_s, BYTES - size)
        size = sum(len(message.value() or b"") for message in messages)
        unread = first
    return messages


def sample(messages: list[Any], settings: Settings, before: Mapping[int, int]) -> Sample:
    """Convert messages as the workers do.

    Args:
        messages: In any order.
        settings: The workers' settings.
        before: By partition, the first offset of messages that came during the check.
    """
    converter, records = SampleConverter(settings), list[Record]()
    last: dict[int, int] = {}
    for message in messages:
        last[message.partition()] = max(message.offset(), last.get(message.partition(), 0))
    # Each partition's last message first, so that a partition of large arrays does not exclude the others.
    for message in sorted(messages, key=lambda message: last[message.partition()] - message.offset()):
        if len(records) >= RECORDS:
            break
        records += converter.records(message, message.offset() >= before.get(message.partition(), 0))
    return Sample(tuple(sorted(records, key=lambda record: record.newness, reverse=True)))
