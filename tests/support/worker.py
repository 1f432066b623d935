"""A worker's loop without Kafka and InfluxDB: the one place where tests build a loop."""

import logging
import signal
from collections.abc import Callable, Mapping
from typing import Any, cast

from tests.support import fakes
from tests.support.fakes import FakeClock, FakeSink, partition
from workers.drain import Drain
from workers.influxdb.delivery import Delivery
from workers.influxdb.write_figures import WriteFigures
from workers.kafka.consumer import RevokeCallback
from workers.log import ThrottledLogger
from workers.loop import Loop
from workers.parts import Parts
from workers.records.router import Router
from workers.state import State
from workers.types import DeadLetter, Message, Partition, partition_of

#: What a scripted `consume` does: hands out messages, after doing something else first.
Step = Callable[[], list[Message]]


class FakeConsumer:
    """The group's member, by script.

    Attributes:
        steps: What each `consume` does; when they are used up, the worker is asked to stop.
        asked: All calls but `consume`, in order.
        at_poll_paused: What happens during each `poll_paused`.
        gathered: The argument `gather` of each `consume`.
        reached: Where reading stands in each partition.
        wanted: The argument `max_messages` of each `consume`.
        stop: Asks the worker to stop.
        on_revoke: What the loop wants to be called before partitions go.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.owned = {partition(number) for number in range(3)}
        self.stopped: dict[Partition, str] = {}
        self.committed: dict[Partition, int] = {}
        self.reached: dict[Partition, int] = {}
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

    def consume(self, max_messages: int, timeout_s: float, *, gather: bool) -> list[Message]:
        assert max_messages >= 1
        self.gathered.append(gather)
        self.wanted.append(max_messages)
        if self.steps:
            messages = self.steps.pop(0)()
            self.reached |= {partition_of(message): message.offset() + 1 for message in messages}
            return messages
        self._clock.now += timeout_s
        self.stop()
        return []

    def give_up(self, numbers: set[int], lost: bool = False) -> None:
        """A rebalance takes partitions away."""
        revoked = {partition(number) for number in numbers}
        self.on_revoke(revoked, lost)
        self.owned -= revoked
        for number in revoked:
            self.reached.pop(number, None)

    def take_back(self, numbers: set[int], committed: int) -> None:
        """A rebalance brings partitions, whose last commit was this offset."""
        assigned = {partition(number) for number in numbers}
        self.owned |= assigned
        self.reached |= dict.fromkeys(assigned, committed)

    def poll_paused(self, timeout_s: float) -> None:
        self._clock.now += timeout_s
        self.asked.append(("poll_paused", timeout_s))
        if self.at_poll_paused:
            self.at_poll_paused.pop(0)()

    def resume(self) -> None:
        self.asked.append(("resume", None))

    def commit(self, next_offsets: Mapping[Partition, int], blocking: bool = False) -> None:
        # As the real one: what is not owned is not committed.
        owned = {key.number: offset for key, offset in next_offsets.items() if key in self.owned}
        if owned:
            self.asked.append(("commit and wait" if blocking else "commit", owned))
            self.committed |= {partition(number): offset for number, offset in owned.items()}

    def position(self, partition: Partition) -> int | None:
        return self.reached.get(partition)

    def positions(self) -> dict[Partition, int]:
        return {partition: offset for partition, offset in self.reached.items() if partition in self.owned}

    def lag(self, _: Partition) -> int | None:
        return None

    def close(self) -> None:
        # As the real one: leaving the group revokes all partitions.
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
