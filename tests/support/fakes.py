"""What the rooms are given in place of Kafka, InfluxDB and time. Fakes record what they were asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from workers.config.route import Route
from workers.config.settings import Settings, load
from workers.errors import Rejected, TooLarge, WriteError
from workers.types import Origin, Partition

#: Kafka's timestamp of every message unless a test says otherwise: 2023-11-14, in milliseconds.
KAFKA_MS = 1_700_000_000_123


def settings(environ: Mapping[str, str] | None = None, /, **options: object) -> Settings:
    """Valid settings; `batch_lines=7` is TOWER_BATCH_LINES=7."""
    named = {f"TOWER_{name.upper()}": str(value) for name, value in options.items()}
    return load({"TOWER_INFLUXDB_TOKEN": "t0ken", **(environ or {}), **named})


def route(**options: object) -> Route:
    """The route that these settings describe."""
    return settings(**options).route


@dataclass(frozen=True, slots=True)
class FakeMessage:
    """A Kafka message without Kafka."""

    raw: bytes | None = b'{"memory":1}'
    number: int = 0
    place: int = 0
    name: str = "resource"
    milliseconds: int | None = KAFKA_MS
    named: bytes | None = None
    head: tuple[tuple[str, bytes | None], ...] = ()

    def topic(self) -> str:
        return self.name

    def partition(self) -> int:
        return self.number

    def offset(self) -> int:
        return self.place

    def timestamp(self) -> tuple[int, int]:
        return (0, -1) if self.milliseconds is None else (1, self.milliseconds)

    def value(self) -> bytes | None:
        return self.raw

    def key(self) -> bytes | None:
        return self.named

    def headers(self) -> list[tuple[str, bytes | None]] | None:
        return list(self.head) or None

    def error(self) -> Any:
        return None


def origin(partition: int = 0, offset: int = 0, value: bytes | None = b"{}", element: int = 0) -> Origin:
    """Where a line came from."""
    return Origin(FakeMessage(value, partition, offset), element, value)


@dataclass
class FakeClock:
    """Seconds that pass when a test says so."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class FakeSink:
    """InfluxDB's end of a write.

    Args:
        judge: What it answers to lines: None for a 204, else the error to raise.

    Attributes:
        writes: The lines of each request, in order.
        stored: Every line of a request that was answered 204, in order.
        timeouts: The time-out of each request.
    """

    judge: Callable[[list[bytes]], WriteError | None] = lambda _: None
    writes: list[list[bytes]] = field(default_factory=list)
    stored: list[bytes] = field(default_factory=list)
    timeouts: list[float] = field(default_factory=list)
    buckets: list[str] = field(default_factory=list)

    def write(self, lines: Sequence[bytes], timeout_s: float, bucket: str = "") -> None:
        self.buckets.append(bucket)
        self.writes.append(list(lines))
        self.timeouts.append(timeout_s)
        error = self.judge(list(lines))
        if error is not None:
            raise error
        self.stored += lines


def answers(*errors: WriteError | None) -> Callable[[list[bytes]], WriteError | None]:
    """A judge that gives these answers one after the other, then 204 for ever."""
    left = list(errors)
    return lambda _: left.pop(0) if left else None


def listing(bad: Callable[[bytes], bool]) -> Callable[[list[bytes]], WriteError | None]:
    """A judge that refuses as a 400 does: nothing stored, every bad line listed."""

    def judge(lines: list[bytes]) -> WriteError | None:
        refused = [line.decode() for line in lines if bad(line)]
        listed = "\n".join(f"unable to parse '{line}': invalid number" for line in refused)
        return Rejected(400, listed) if refused else None

    return judge


def unlisted(bad: Callable[[bytes], bool], status: int = 422) -> Callable[[list[bytes]], WriteError | None]:
    """A judge that refuses as a 422 does: it names no line."""

    def judge(lines: list[bytes]) -> WriteError | None:
        return Rejected(status, "partial write: field type conflict") if any(map(bad, lines)) else None

    return judge


def limited(most: int) -> Callable[[list[bytes]], WriteError | None]:
    """A judge that takes so many bytes at once and answers 413 to more."""

    def judge(lines: list[bytes]) -> WriteError | None:
        return TooLarge(413, "too large") if sum(map(len, lines)) > most else None

    return judge


@dataclass
class FakeWait:
    """Waits without time passing.

    Attributes:
        asked: Each pause in seconds, with its reason.
        then: Called at each wait; what happens meanwhile.
    """

    then: Callable[[], None] = lambda: None
    asked: list[tuple[float, str]] = field(default_factory=list)

    def __call__(self, seconds: float, why: str) -> None:
        self.asked.append((seconds, why))
        self.then()

    @property
    def pauses(self) -> list[float]:
        """The seconds alone, without the waits that only keep the membership."""
        return [seconds for seconds, _ in self.asked if seconds]


def partition(number: int) -> Partition:
    """A partition of the topic."""
    return Partition("resource", number)
