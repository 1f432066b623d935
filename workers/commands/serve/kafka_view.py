"""What Kafka says of the group, read by a thread of its own, so that no request waits for Kafka."""

import logging
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from workers.commands.clients.group_offsets import GroupOffsets
from workers.commands.clients.kafka_admin import KafkaAdmin
from workers.commands.clients.offsets_reader import Offsets, OffsetsReader
from workers.commands.serve.dead_letter_examples import DeadLetterExamples, Example
from workers.config.settings import Settings
from workers.errors import CommandError, TowerError
from workers.log import ThrottledLogger
from workers.types import Partition, PartitionKey

#: Seconds between two readings.
EVERY_S = 3.0

#: Seconds after which a reading says nothing about now any more.
STALE_S = 5 * EVERY_S

#: Seconds after a request for dead letters in which new ones are read.
WANTED_S = 30.0

#: Most messages that one reading fetches for their times.
TIMES_PER_READING = 4


@dataclass(frozen=True)
class KafkaReading:
    """One reading.

    Args:
        group: Offsets and owners, or why Kafka does not answer.
        offsets: The offsets once more; None if Kafka does not answer.
        oldest: Seconds since the epoch of the record at the committed offset, by partition. Known for
            partitions that have lag and make no progress.
        at: Seconds since the epoch; 0 before the first reading.
    """

    group: GroupOffsets
    offsets: Offsets | None = None
    oldest: Mapping[PartitionKey, float] = field(default_factory=dict)
    at: float = 0.0


class KafkaView:
    """Keeps the latest reading.

    Args:
        settings: How to reach Kafka.
        owned_here: Returns the partitions that running workers of this machine own. The group is asked for
            its members only if that is not all of them.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        settings: Settings,
        owned_here: Callable[[], set[PartitionKey]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._owned_here = owned_here
        self._clock = clock
        self._reader = OffsetsReader(settings)
        self._admin: KafkaAdmin | None = None
        self._times: dict[PartitionKey, tuple[int, float]] = {}
        self._log = ThrottledLogger(logging.getLogger("tower.serve"))
        self._over = threading.Event()
        self._wanted_at = float("-inf")
        self._examples = DeadLetterExamples(self._reader, settings.dead_letter_topic)
        self._reading = KafkaReading(GroupOffsets({}, {}, {}, {}, None, "Kafka has not been asked yet"))
        self._read_at = float("-inf")

    @property
    def latest(self) -> KafkaReading:
        """The latest reading. If it is older than `STALE_S`, it says that Kafka does not answer."""
        # The age first: a reading that comes in between is then at most taken for an older one.
        age_s, reading = self._clock() - self._read_at, self._reading
        if reading.offsets is None or age_s <= STALE_S:
            return reading
        problem = f"Kafka does not answer: its last answer came {age_s:.0f} s ago"
        return KafkaReading(GroupOffsets({}, {}, {}, {}, None, problem), at=reading.at)

    def start(self) -> None:
        """Read again and again, in a thread that ends with the process."""
        threading.Thread(target=self._run, name="kafka", daemon=True).start()

    def stop(self) -> None:
        """End the thread after its reading."""
        self._over.set()

    def _run(self) -> None:
        while not self._over.is_set():
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 - the log gets it, and the metrics must go on
                self._log.error(
                    "unexpected",
                    "Asking Kafka failed in a way that Tower does not know, trying again in %g s. Please "
                    "report the lines below\n%s",
                    EVERY_S,
                    traceback.format_exc(),
                )
            self._over.wait(EVERY_S)

    def refresh(self) -> None:
        """Ask Kafka once and keep the reading; read new dead letters if somebody asks for them."""
        reading = self.read()
        self._reading, self._read_at = reading, self._clock()
        if reading.offsets and self._clock() - self._wanted_at < WANTED_S:
            self._read_examples()

    def read(self) -> KafkaReading:
        """Ask Kafka once; an error becomes the reading's problem."""
        try:
            before = self._reading.offsets
            offsets = self._reader.read()
            oldest = self._oldest(offsets, before)
            owners, members = self._owners(offsets)
        except TowerError as error:
            self._log.warning(
                "kafka", "%s. Until Kafka answers, the page and the metrics have no lag", error
            )
            self._admin = None
            return KafkaReading(GroupOffsets({}, {}, {}, {}, None, str(error)), at=time.time())
        group = GroupOffsets(offsets.ends, offsets.committed, offsets.starts, owners, members)
        return KafkaReading(group, offsets, oldest, time.time())

    def examples(self) -> dict[str, Example]:
        """Return the newest dead letter of each reason; they are read while somebody asks for them."""
        self._wanted_at = self._clock()
        return self._examples.by_reason

    def _read_examples(self) -> None:
        try:
            self._examples.refresh()
        except CommandError as error:
            self._log.warning(
                "examples", "%s. Until they can be read, the page shows no new dead letters", error
            )

    def _oldest(self, offsets: Offsets, before: Offsets | None) -> dict[PartitionKey, float]:
        """Return the times of the records at which partitions make no progress."""
        standing = {
            number: offsets.next(number)
            for number in offsets.ends
            if offsets.lag(number) and before is not None and before.next(number) == offsets.next(number)
        }
        unknown = [
            number for number, offset in standing.items() if self._times.get(number, (-1, 0))[0] != offset
        ]
        for number in unknown[:TIMES_PER_READING]:
            try:
                time_s = self._reader.time_of(number, standing[number], offsets.ends[number])
            except CommandError as error:
                self._log.warning(
                    "times", "%s. Until the records can be read, the age of the oldest is unknown", error
                )
                break
            if time_s is not None:
                self._times[number] = (standing[number], time_s)
        self._times = {
            number: known for number, known in self._times.items() if standing.get(number) == known[0]
        }
        return {number: known[1] for number, known in self._times.items()}

    def _owners(self, offsets: Offsets) -> tuple[dict[PartitionKey, str], int | None]:
        """Return the members that own partitions, by partition, and how many members there are."""
        if offsets.ends.keys() <= self._owned_here():
            return {}, None
        if self._admin is None:
            self._admin = KafkaAdmin(self._settings, verified=False)
        group = self._admin.group(self._settings.group)
        owners = {
            key: f"{member.id} on {member.host}"
            for member in group.members
            for topic, number in member.partitions
            if (key := Partition(topic, number).key(self._settings.has_several_topics)) in offsets.ends
        }
        return owners, len(group.members)
