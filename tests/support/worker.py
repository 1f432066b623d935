"""A worker's loop without Kafka and InfluxDB: the one place where tests build a loop."""

import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from tests.support import fakes
from tests.support.fakes import FakeClock, FakeMessage, FakeSink, partition
from workers.drain import Drain
from workers.influxdb.delivery import Delivery
from workers.influxdb.write_figures import WriteFigures
from workers.kafka.consumer import RevokeCallback
from workers.kafka.read_errors import ReadErrors
from workers.log import ThrottledLogger
from workers.loop import Loop
from workers.parts import Parts
from workers.records.router import Router
from workers.state import State
from workers.types import DeadLetter, Message, Partition, partition_of

#: What a scripted `consume` does: hands out messages, after doing something else first.
Step = Callable[[], list[Message]]


class FakeConsumer:
    """The group's member, by script or from a log in memory.

    It behaves as the real one: `tests/unit/kafka/test_member_behaviour.py` asks both the same.

    Attributes:
        steps: What each `consume` does; when they are used up, it hands out what was produced.
        asked: All calls but `consume`, in order.
        at_poll_paused: What happens during each `poll_paused`.
        gathered: The argument `gather` of each `consume`.
        wanted: The argument `max_messages` of each `consume`.
        group_offsets: The group's committed offsets, whoever owns the partitions.
        stop: Called when there is nothing more to consume.
        on_revoke: What the loop wants to be called before partitions go.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.owned = {partition(number) for number in range(3)}
        self.stopped: dict[Partition, str] = {}
        self.read_errors = ReadErrors()
        self.committed: dict[Partition, int] = {}
        self.group_offsets: dict[Partition, int] = {}
        self.rebalances = self.renewals = self.commit_failures = 0
        self.fenced_and_why = (0, "")
        self.steps: list[Step] = []
        self.asked: list[tuple[str, object]] = []
        self.at_poll_paused: list[Callable[[], None]] = []
        self.gathered: list[bool] = []
        self.wanted: list[int] = []
        self.stop: Callable[[], None] = lambda: None
        self.on_revoke: RevokeCallback = lambda _, __: None
        self._clock = clock
        self._logs: dict[Partition, list[Message]] = {}
        self._reached: dict[Partition, int] = {}
        self._paused = self._rebalanced = False

    def produce(self, number: int, values: Sequence[bytes]) -> None:
        """Append records to a partition."""
        log = self._logs.setdefault(partition(number), [])
        log += [FakeMessage(value, number, offset) for offset, value in enumerate(values, len(log))]

    def consume(self, max_messages: int, timeout_s: float, *, gather: bool = True) -> list[Message]:
        assert max_messages >= 1
        self.gathered.append(gather)
        self.wanted.append(max_messages)
        self._rebalanced = False
        if self.steps:
            messages = self.steps.pop(0)()
        else:
            messages = [] if self._paused else self._fetch(max_messages)
            if not messages:
                self._clock.now += timeout_s
                self.stop()
        if self._rebalanced:
            # Messages that were fetched before may be of the old assignment: they are read again.
            return []
        self._reached |= {partition_of(message): message.offset() + 1 for message in messages}
        return messages

    def _fetch(self, max_messages: int) -> list[Message]:
        readable = [
            message
            for key in sorted(self.owned)
            for message in self._logs.get(key, [])[self._reached.get(key, 0) :]
        ]
        return readable[:max_messages]

    def give_up(self, numbers: set[int], lost: bool = False) -> None:
        """A rebalance takes partitions away."""
        revoked = {partition(number) for number in numbers} & self.owned
        self._rebalanced = True
        self.on_revoke(revoked, lost)
        self.owned -= revoked
        for key in revoked:
            self._reached.pop(key, None)
            self.committed.pop(key, None)

    def take_back(self, numbers: set[int], committed: int | None = None) -> None:
        """A rebalance brings partitions. They begin where the group has committed, or at a given offset."""
        self._rebalanced = True
        for key in {partition(number) for number in numbers}:
            self.owned.add(key)
            if committed is not None:
                self.group_offsets[key] = committed
            if key in self.group_offsets:
                self._reached[key] = self.committed[key] = self.group_offsets[key]

    def put_back(self, messages: Sequence[Message]) -> None:
        self.asked.append(("put_back", len(messages)))
        for message in reversed(messages):
            self._reached[partition_of(message)] = message.offset()

    def poll_paused(self, timeout_s: float) -> None:
        self._paused = True
        self._clock.now += timeout_s
        self.asked.append(("poll_paused", timeout_s))
        if self.at_poll_paused:
            self.at_poll_paused.pop(0)()

    def resume(self) -> None:
        self._paused = False
        self.asked.append(("resume", None))

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        owned = {key: offset for key, offset in next_offsets.items() if key in self.owned}
        if owned:
            by_number = {key.number: offset for key, offset in owned.items()}
            self.asked.append(("commit and wait" if blocking else "commit", by_number))
            self.committed |= owned
            self.group_offsets |= owned

    def position(self, partition: Partition) -> int | None:
        return self._reached.get(partition)

    def positions(self) -> dict[Partition, int]:
        return {key: offset for key, offset in self._reached.items() if key in self.owned}

    def lag(self, _: Partition) -> int | None:
        return None

    def close(self) -> None:
        self.give_up({key.number for key in self.owned})
        self.asked.append(("close", None))

    @property
    def commits(self) -> list[object]:
        return [what for name, what in self.asked if name.startswith("commit")]


class FakeWriter(FakeSink):
    """A sink with what the loop asks of its writer besides."""

    sent_bytes = 0

    def __init__(self) -> None:
        super().__init__()
        self.figures = WriteFigures()

    def close(self) -> None:
        """Nothing to close."""


class FakeDeadLetterProducer:
    """Stores dead letters at once."""

    def __init__(self) -> None:
        self.stored: list[DeadLetter] = []
        self.reasons: dict[str, int] = {}

    def store(self, dead_letters: list[DeadLetter]) -> None:
        self.stored += dead_letters

    def write_log(self) -> None:
        """Nothing to log."""


class Worker:
    """A loop with fakes in place of Kafka, InfluxDB and time; everything else is real.

    Args:
        options: Settings, as `fakes.settings` takes them.
    """

    def __init__(self, **options: object) -> None:
        settings = fakes.settings(**options)
        self.clock = FakeClock()
        self.consumer = FakeConsumer(self.clock)
        self.sink = FakeWriter()
        self.dead_letters = FakeDeadLetterProducer()
        self.state = State(None, 0)
        parts = Parts(
            state=self.state,
            drain=Drain(settings.drain_s, self.clock),
            converter=Router(settings.routes),
            writer=cast("Any", self.sink),
            delivery=lambda wait, report: Delivery(
                settings,
                self.sink,
                wait,
                lambda: False,
                ThrottledLogger(logging.getLogger("tower.loop")),
                report=report,
            ),
            dead_letters=lambda _: cast("Any", self.dead_letters),
            consumer=self._join,
        )
        self.loop = Loop(settings, parts, lambda: None, self.clock, self.pass_time)
        self.consumer.stop = lambda: self.loop.stop(signal.SIGTERM, None)

    def _join(self, on_revoke: RevokeCallback) -> Any:
        self.consumer.on_revoke = on_revoke
        return self.consumer

    def pass_time(self, seconds: float) -> None:
        """What the loop has in place of `time.sleep`."""
        self.clock.now += seconds

    def run(self, *steps: Step) -> None:
        """Run the loop: each `consume` does one of the steps, then the worker is stopped."""
        self.consumer.steps = list(steps)
        self.loop.run()

    def account(self) -> dict[int, tuple[int, int, int, int]]:
        """By partition: consumed, written, dead-lettered, uncommitted."""
        content: dict[str, Any] = self.loop._report_content()["partitions"]
        return {
            int(number): (
                account["consumed"],
                account["written"],
                account["dead_lettered"],
                account["uncommitted"],
            )
            for number, account in content.items()
            if account["consumed"]
        }
