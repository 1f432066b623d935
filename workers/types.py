"""Types that several packages share."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

#: Type of the timestamp of a message that has none (`TIMESTAMP_NOT_AVAILABLE` of Kafka's client).
NO_TIMESTAMP = 0

#: Maximum records of one message. workers/records/point_time.py has room for no larger index.
MAX_RECORDS = 1024

#: Maximum lines of one message of line protocol. Lines have times of their own.
MOST_LINES = 10_000

#: Most fields of one record that TOWER_MAX_FIELDS may allow. No decoder goes on past it.
MOST_FIELDS = 10_000


class Nanoseconds(int):
    """A time that says its own unit: nanoseconds since the epoch."""


class AppendTime(int):
    """Kafka's timestamp of a message in milliseconds, if the broker has set it (LogAppendTime)."""


class Untyped(str):
    """A value of a format without types. It is a number if it reads as one and its field is no tag."""

    __slots__ = ()


class Unreadable:
    """A value that no field can hold: a msgpack extension that is no time."""

    __slots__ = ()


UNREADABLE = Unreadable()


class NumberName(str):
    """The name of a field that was sent as a number: a name below a record's first level only."""

    __slots__ = ()


#: One record of a message: its fields by name, a `Line`, another value, or why it could not be read
#: (RecordError); and its own bytes.
Record = tuple[Any, bytes]


#: How an operator sees a partition: its number if there is one topic, else topic and number.
PartitionKey = int | str


def partition_key(text: str) -> PartitionKey:
    """Return the key of a partition that a state file names."""
    return int(text) if text.isdecimal() else text


def sort_key(key: PartitionKey) -> tuple[str, int]:
    """Return what sorts keys of partitions: by topic, then by number."""
    if isinstance(key, int):
        return "", key
    topic, _, number = key.rstrip("]").rpartition("[")
    return topic, int(number) if number.isdecimal() else 0


def topic_and_number(key: PartitionKey, only_topic: str) -> tuple[str, int]:
    """Return topic and number of a partition.

    Args:
        key: How an operator sees it.
        only_topic: The topic if there is only one.
    """
    topic, number = sort_key(key)
    return topic or only_topic, number


class Partition(NamedTuple):
    """One partition of one topic."""

    topic: str
    number: int

    def __str__(self) -> str:
        return f"{self.topic}[{self.number}]"

    def key(self, has_several_topics: bool) -> PartitionKey:
        """Return how state files and `status` name it: by its number alone if there is one topic."""
        return str(self) if has_several_topics else self.number


class Message(Protocol):
    """The part of a `confluent_kafka.Message` that Tower uses."""

    def topic(self) -> str:
        """Return the name of the topic."""

    def partition(self) -> int:
        """Return the number of the partition."""

    def offset(self) -> int:
        """Return the offset in the partition."""

    def timestamp(self) -> tuple[int, int]:
        """Return the type (0: none) and milliseconds since the epoch."""

    def value(self) -> bytes | None:
        """Return the record's bytes, None for a tombstone."""

    def key(self) -> bytes | None:
        """Return the key, None if there is none."""

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        """Return the headers in order, None if there are none. A name may stand more than once."""

    def error(self) -> Any:
        """Return None for a record, else the event that the client reports in its place."""


def partition_of(message: Message) -> Partition:
    """Return the partition of a message."""
    return Partition(message.topic(), message.partition())


class Origin(NamedTuple):
    """The origin of a line: all that its dead letter would need."""

    message: Message
    #: Index in the message: 0, unless the message is an array of records.
    element: int
    #: Bytes of this record alone: an element of an array, or the message's whole value.
    value: bytes | None


#: The origin of a line in a batch. For most lines it is the message alone, because that is one record.
MessageOrOrigin = Message | Origin


def origin_of(source: MessageOrOrigin) -> Origin:
    """Return the full origin of a line."""
    return source if isinstance(source, Origin) else Origin(source, 0, source.value())


def message_of(source: MessageOrOrigin) -> Message:
    """Return the message of a line, which takes a tenth of the time that its full origin takes."""
    return source.message if isinstance(source, Origin) else source


class Reason(StrEnum):
    """Why a record became a dead letter: the closed list behind `tower.reason`."""

    EMPTY = "empty"  # null value, no bytes, or an array without elements
    JSON = "json"  # begins like JSON and is not valid
    MSGPACK = "msgpack"  # begins like msgpack and is not valid
    LINE = "line"  # looks like line protocol and is not valid
    TEXT = "text"  # none of the known formats, or not UTF-8
    NOT_A_RECORD = "not_a_record"  # decodes to a value that is not an object
    NO_FIELDS = "no_fields"  # nothing is left to store
    MEASUREMENT = "measurement"  # the field of the measurement holds none that InfluxDB would store
    NO_TIME = "no_time"  # neither the record nor Kafka has a time that can be right
    PARTITION_TOO_HIGH = "partition_too_high"  # no digits for it in workers/records/point_time.py
    TOO_LARGE = "too_large"  # more bytes than TOWER_MAX_RECORD_BYTES, or a message that would become many
    TOO_DEEP = "too_deep"  # nested deeper than TOWER_MAX_DEPTH
    TOO_MANY_FIELDS = "too_many_fields"  # more than TOWER_MAX_FIELDS
    TOO_MANY_RECORDS = "too_many_records"  # past the 1,024th of one message
    TOO_MANY_NAMES = "too_many_names"  # a new field name beyond TOWER_MAX_FIELD_NAMES
    TOO_MANY_SERIES = "too_many_series"  # new values of tags beyond TOWER_MAX_SERIES
    KEY_TOO_LONG = "key_too_long"  # a field's name over TOWER_MAX_KEY_BYTES
    TAG_TOO_LONG = "tag_too_long"  # a tag's value over TOWER_MAX_TAG_BYTES
    TEXT_TOO_LONG = "text_too_long"  # a string field over TOWER_MAX_TEXT_BYTES
    TYPE_CONFLICT = "type_conflict"  # InfluxDB has another type for a field, and the value does not convert
    CRASH = "crash"  # two workers in a row ended while they converted it
    REFUSED = "refused"  # InfluxDB rejected this line (400, 413, 422); programs match this word


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that will not become a point, and the reason."""

    origin: Origin
    reason: str
    detail: str
