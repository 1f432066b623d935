"""Messages to the lines of a batch: decode and encode, and what cannot be either to its dead letters."""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from workers.batch import Batch
from workers.config.settings import Settings
from workers.errors import RecordError
from workers.records import native as kernel
from workers.records.encoder import Encoder
from workers.types import NO_TIMESTAMP, DeadLetter, Message, Origin, Partition, Reason, Source, origin_of

if TYPE_CHECKING:
    from workers._kernel import Kernel
    from workers.records.decoder import Record


class Translator:
    """Fills a batch from consumed messages. One bad record costs one record, never its neighbours.

    Args:
        settings: Format and limits.
        encoder: Makes the lines.
        native: Use the C kernel for what it takes, where it is built; the lines are the same without.

    Attributes:
        by_kernel: Records that the kernel made lines of.
        by_python: Records that it left, or all without it.
    """

    def __init__(self, settings: Settings, encoder: Encoder, native: bool = True) -> None:
        self._format = settings.format
        self._largest = settings.max_record_bytes
        self._encoder = encoder
        self._kernel = kernel.build(settings, encoder) if native else None
        self.by_kernel = 0
        self.by_python = 0

    @cached_property
    def _decode(self) -> Callable[[bytes | None, str], list["Record"]]:
        # Imported with the first record the kernel leaves: where all are common, none comes, and the
        # decoders of all formats would be 6 MB of a worker.
        from workers.records.decoder import decode  # noqa: PLC0415

        return decode

    def translate(self, messages: Sequence[Message], batch: Batch) -> None:
        """Take all of `messages` into `batch`, in their order.

        Every message moves its partition's end, whether it became lines or dead letters: both are kept
        before a commit says so.
        """
        if self._kernel is None:
            for message in messages:
                self._translate_one(message, batch)
            return
        queue, place = list(messages), 0
        while place < len(queue):
            place = self._take(self._kernel, queue, place, batch)
            if place < len(queue):
                self._translate_one(queue[place], batch)
                place += 1

    def _take(self, native: "Kernel", messages: list[Message], start: int, batch: Batch) -> int:
        """Have the kernel take messages up to the first it leaves; that one's position."""
        place, size, left_out, disbelieved = native.take(
            messages, start, batch.lines, batch.origins, batch.next_offsets, batch.records
        )
        batch.size += size
        self.by_kernel += place - start
        self._encoder.left_out += left_out
        self._encoder.disbelieved += disbelieved
        return place

    def _translate_one(self, message: Message, batch: Batch) -> None:
        number, offset = message.partition(), message.offset()
        partition = Partition(message.topic(), number)
        batch.next_offsets[partition] = offset + 1
        count = self._records(message, number, offset, batch)
        batch.records[partition] += count
        self.by_python += count

    def _records(self, message: Message, number: int, offset: int, batch: Batch) -> int:
        """Take one message in; the number of records it held, at least one."""
        value = message.value()
        try:
            if value is not None and len(value) > self._largest:
                raise RecordError(Reason.TOO_LARGE, f"{len(value)} bytes")
            records = self._decode(value, self._format)
        except RecordError as error:
            whole = Origin(message, 0, value)
            batch.dead_letters.append(DeadLetter(whole, error.reason, error.detail))
            batch.dead_size += len(value or b"")
            return 1
        kind, milliseconds = message.timestamp()
        kafka_ms = None if kind == NO_TIMESTAMP else milliseconds
        for index, (record, raw) in enumerate(records):
            # The message alone says as much where it is one record.
            source: Source = message if raw is value and index == 0 else Origin(message, index, raw)
            try:
                if not isinstance(record, dict):
                    raise RecordError(Reason.NOT_A_RECORD, type(record).__name__)
                line = self._encoder.encode(record, kafka_ms, number, offset, index)
            except RecordError as error:
                batch.dead_letters.append(DeadLetter(origin_of(source), error.reason, error.detail))
                batch.dead_size += len(raw)
            else:
                batch.lines.append(line)
                batch.origins.append(source)
                batch.size += len(line) + 1
        return len(records)
