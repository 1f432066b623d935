"""What is left: the points InfluxDB holds and the dead letters Kafka holds, read back in full."""

import csv
import io
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from tests.faults.harness.ledger import SendLedger, checksum

#: Seconds to wait for one answer of InfluxDB, which may just have been started again.
TIMEOUT_S = 60

#: Bytes of an answer read at once.
BUFFER_BYTES = 1 << 18

#: Examples kept of what should not be there; the rest is only counted.
EXAMPLES = 5


class Point(NamedTuple):
    """One stored record: its time in nanoseconds and the three numbers the checks read."""

    time: int
    part: int
    seq: int
    crc: int


class Database:
    """Reads one bucket of the real InfluxDB, past the fault proxy, through its v1 endpoint.

    Args:
        url: Where InfluxDB listens.
        token: A token that may read the bucket.
        bucket: The bucket, mapped to a database of the same name.
    """

    def __init__(self, url: str, token: str, bucket: str) -> None:
        self._address = urlsplit(url).netloc
        self._token = token
        self._bucket = bucket

    def points(self, since: int | None = None, until: int | None = None) -> Iterator[Point]:
        """Every point with a sequence number, in no order that matters.

        Args:
            since: First second, all when None.
            until: Second the last point lies before, all when None.

        Raises:
            OSError: InfluxDB does not answer, or not with 200.
        """
        bounds = [f"time >= {since}s"] if since is not None else []
        bounds += [f"time < {until}s"] if until is not None else []
        where = f" WHERE {' AND '.join(bounds)}" if bounds else ""
        # The columns of an answer are name, tags, time, and then those asked for.
        for _, _, at, *numbers in self._rows(
            f'SELECT "part","seq","crc" FROM "labs"{where}'  # noqa: S608 - own numbers only
        ):
            if all(numbers):
                yield Point(int(at), *(int(float(number)) for number in numbers))

    def _rows(self, influxql: str, timeout_s: float = TIMEOUT_S) -> Iterator[list[str]]:
        """Rows of an InfluxQL query, streamed."""
        connection = HTTPConnection(self._address, timeout=timeout_s)
        try:
            parameters = {"db": self._bucket, "q": influxql, "epoch": "ns", "chunked": "true"}
            headers = {"Authorization": f"Token {self._token}", "Accept": "application/csv"}
            connection.request("GET", f"/query?{urlencode(parameters)}", headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise OSError(f"InfluxDB answered {answer.status} to a query: {answer.read(300)!r}")
            # Reading a chunked answer line by line costs more than all the rest.
            lines = io.TextIOWrapper(io.BufferedReader(answer, BUFFER_BYTES), "utf-8", newline="")
            # Each chunk of the answer begins with its header again.
            yield from (row for row in csv.reader(lines) if row and row[0] != "name")
        except (OSError, EOFError):
            raise
        except Exception as error:
            raise OSError(f"InfluxDB's answer broke off: {type(error).__name__}") from error
        finally:
            connection.close()


@dataclass
class Stored:
    """The points of one bucket, counted by partition and sequence number."""

    #: Per partition: how many points each sequence number has.
    counts: list[Counter[int]]
    #: Points that no attempt explains: unknown numbers, a wrong checksum or another second.
    invented: list[str] = field(default_factory=list)
    #: How many of those there are in all.
    inventions: int = 0

    @property
    def points(self) -> int:
        """Number of points."""
        return sum(sum(counts.values()) for counts in self.counts)

    @property
    def distinct(self) -> int:
        """Number of different records among them."""
        return sum(len(counts) for counts in self.counts)

    def add(self, point: Point, ledger: SendLedger) -> None:
        """Count one point, comparing it with the attempt of its number."""
        problem = explain(point, ledger)
        if problem:
            self.inventions += 1
            if len(self.invented) < EXAMPLES:
                self.invented.append(f"part {point.part} seq {point.seq}: {problem}")
        if 0 <= point.part < len(self.counts):
            self.counts[point.part][point.seq] += 1


def explain(point: Point, ledger: SendLedger) -> str:
    """What is wrong with a point, nothing where an attempt explains it."""
    if not 0 <= point.part < len(ledger.books):
        return "no such partition"
    book = ledger.books[point.part]
    if not 0 <= point.seq < len(book.offsets):
        return "never attempted"
    if point.crc != checksum(ledger.seed, point.part, point.seq):
        return f"checksum {point.crc}"
    if point.time // 10**9 != book.seconds[point.seq]:
        return f"time {point.time} is not in the second {book.seconds[point.seq]} of its record"
    return ""


def collect(points: Iterable[Point], ledger: SendLedger) -> Stored:
    """Count all points of a bucket."""
    stored = Stored([Counter() for _ in ledger.books])
    for point in points:
        stored.add(point, ledger)
    return stored


class DeadLetter(NamedTuple):
    """One message of the dead-letter topic: the coordinates in its headers, its reason and its value."""

    partition: int
    offset: int
    element: int
    reason: str
    value: bytes | None


def partitions_of(consumer: Consumer, topic: str, timeout_s: float = 10) -> list[int]:
    """Numbers of a topic's partitions, none where there is no such topic."""
    topic_metadata = consumer.list_topics(topic, timeout=timeout_s).topics.get(topic)
    return (
        sorted(topic_metadata.partitions)
        if topic_metadata is not None and topic_metadata.error is None
        else []
    )


def dead_letters(
    bootstrap: str,
    topic: str,
    start: int = OFFSET_BEGINNING,
    timeout_s: float = TIMEOUT_S,
    properties: Mapping[str, Any] | None = None,
) -> list[DeadLetter]:
    """Messages of the dead-letter topic from an offset on, all by default.

    Raises:
        TimeoutError: The topic's end was not reached in time.
    """
    letters = []
    for message in read_to_end(
        bootstrap, topic, start, "reader", timeout_s=timeout_s, properties=properties
    ):
        headers = {key: raw.decode("utf-8", "replace") for key, raw in message.headers() or []}
        letters.append(
            DeadLetter(
                int(headers.get("tower.partition", -1)),
                int(headers.get("tower.offset", -1)),
                int(headers.get("tower.index", 0)),
                headers.get("tower.reason", ""),
                message.value(),
            )
        )
    return letters


def read_to_end(
    bootstrap: str,
    topic: str,
    start: int,
    group: str,
    *,
    timeout_s: float = TIMEOUT_S,
    properties: Mapping[str, Any] | None = None,
) -> Iterator[Any]:
    """Messages from `start` (an offset such as OFFSET_STORED) to the end each partition has now.

    The reader assigns the partitions itself: it joins no group and commits nothing.

    Raises:
        TimeoutError: The end was not reached in time.
    """
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 0,
            **(properties or {}),
        }
    )
    deadline = time.monotonic() + timeout_s
    try:
        open_ = set(partitions_of(consumer, topic))
        consumer.assign([TopicPartition(topic, number, start) for number in open_])
        while open_:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{topic}: no end of partitions {sorted(open_)} in {timeout_s:g} s")
            for message in consumer.consume(1_000, 0.2):
                error = message.error()
                if error is None:
                    yield message
                elif error.code() == KafkaError._PARTITION_EOF:
                    open_.discard(message.partition())
                elif not error.retriable():
                    raise KafkaException(error)
    finally:
        consumer.close()
