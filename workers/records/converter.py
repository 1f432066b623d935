"""Messages to the lines of a batch, and to its dead letters if they cannot be lines."""

from collections.abc import Callable, Collection, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

from workers.batch import Batch
from workers.config.route import Route
from workers.errors import RecordError
from workers.records.crash_record import CrashRecord
from workers.records.encoder import Encoder
from workers.records.expansion import most_bytes
from workers.records.line_encoder import LineEncoder
from workers.records.line_protocol import Line
from workers.records.message_tags import MessageTags
from workers.records.native import KernelNotApplicableError, KernelUnavailableError, build_kernel
from workers.records.record_time import kafka_time
from workers.types import (
    DeadLetter,
    Message,
    MessageOrOrigin,
    Origin,
    Partition,
    Reason,
    Record,
    origin_of,
)

if TYPE_CHECKING:
    from workers._kernel import Kernel


def never(_: Batch) -> bool:
    """Return that a batch can always take more."""
    return False


class Converter:
    """Fills a batch from consumed messages. One bad record costs one record, never its neighbours.

    Args:
        route: Format and limits.
        encoder: Makes the lines.
        native: Convert common records in the C kernel if it is built. The lines are the same without it.
        crash_record: Remembers which record is being converted; None if nobody would read it.

    Attributes:
        by_kernel: Records that the kernel converted.
        by_python: Records that Python converted: those that the kernel left, or all without it.
        why_not_native: Why the kernel is not used, and what to do; empty if it is used, or if the route
            has keys that only Python applies.
    """

    def __init__(
        self, route: Route, encoder: Encoder, native: bool = True, crash_record: CrashRecord | None = None
    ) -> None:
        self._route = route
        self._format = route.format
        self._has_shapes = route.format == "auto" and not route.measurement_field
        self._max_bytes = route.limits.max_record_bytes
        self._number_names = encoder.number_names.union(route.integer_fields)
        self._array = route.array
        self._message_tags = MessageTags(route)
        self._encoder = encoder
        self._crash_record = crash_record or CrashRecord(None)
        self._kernel: Kernel | None = None
        self.why_not_native = "" if native else "it is switched off"
        if native:
            try:
                self._kernel = build_kernel(route, encoder, self._crash_record.memory)
            except KernelNotApplicableError:
                pass
            except KernelUnavailableError as error:
                self.why_not_native = str(error)
        self.by_kernel = 0
        self.by_python = 0

    @property
    def counts(self) -> dict[str, int]:
        """All that was counted, by its name in the state file."""
        return {
            **self._encoder.counts,
            "records_by_kernel": self.by_kernel,
            "records_by_python": self.by_python,
        }

    @cached_property
    def _decode(self) -> Callable[[bytes | None, str, Collection[str]], tuple[str, list[Record]]]:
        # Imported with the first record that the kernel leaves. If all records are common there is none,
        # and a worker saves the 6 MB of the decoders of all formats.
        from workers.records.decoder import decode  # noqa: PLC0415

        return decode

    @cached_property
    def _line_encoder(self) -> LineEncoder:
        return LineEncoder(self._route, self._encoder)

    @cached_property
    def _split(self) -> Callable[[list[Record], tuple[str, ...], str, int], list[Record]]:
        # Imported as the decoder is: only routes with an array need it.
        from workers.records.array import split  # noqa: PLC0415

        return split

    @cached_property
    def _expand(self) -> Callable[[list[Record], int], list[Record]]:
        # Imported as the decoder is.
        from workers.records.known_shapes import expand  # noqa: PLC0415

        return expand

    def decode(self, value: bytes | None) -> list[Record]:
        """Return the records of one message, before they are encoded.

        Raises:
            RecordError: The message holds no record.
        """
        format_, records = self._decode(value, self._format, self._number_names)
        if self._array:
            return self._split(records, self._array, format_, len(value or b""))
        # msgpack can have the same names, and values that no JSON has.
        if self._has_shapes and format_ == "json":
            return self._expand(records, len(value or b""))
        return records

    def convert(
        self, messages: Sequence[Message], batch: Batch, is_full: Callable[[Batch], bool] = never
    ) -> Sequence[Message]:
        """Add `messages` to `batch`, in their order. Return those that are left when it is full.

        Every message advances the next offset of its partition, whether it became lines or dead letters:
        both are stored before the offset is committed.

        Args:
            messages: Messages of one topic.
            batch: Gets the lines and dead letters.
            is_full: Whether the batch can take no more. One message may hold a thousand records.
        """
        if not messages:
            return []
        self._crash_record.begin(messages[0].topic())
        if self._crash_record.excluded is not None:
            messages = self._set_aside(messages, batch)
        left = self._convert(messages, batch, is_full)
        self._crash_record.clear()
        return left

    def _set_aside(self, messages: Sequence[Message], batch: Batch) -> Sequence[Message]:
        """Convert up to a message that ended two workers, which becomes a dead letter; return the rest."""
        for place, message in enumerate(messages):
            if self._crash_record.excludes(message):
                self._convert(messages[:place], batch, never)
                partition = Partition(message.topic(), message.partition())
                origin = Origin(message, 0, message.value())
                batch.dead_letters.append(
                    DeadLetter(origin, Reason.CRASH, "two workers in a row ended while they converted it")
                )
                batch.dead_size += len(origin.value or b"")
                batch.next_offsets[partition] = message.offset() + 1
                batch.records[partition] += 1
                self.by_python += 1
                self._crash_record.forget()
                return messages[place + 1 :]
        return messages

    def _convert(
        self, messages: Sequence[Message], batch: Batch, is_full: Callable[[Batch], bool]
    ) -> Sequence[Message]:
        queue, place = list(messages), 0
        while place < len(queue):
            if self._kernel is None:
                self._crash_record.at(queue[place])
            else:
                place = self._convert_natively(self._kernel, queue, place, batch)
            if place < len(queue):
                count = self._convert_in_python(queue[place], batch)
                place += 1
                # Only Python makes many records of few bytes.
                if count > 1 and is_full(batch):
                    break
        return queue[place:]

    def _convert_natively(self, kernel: "Kernel", messages: list[Message], start: int, batch: Batch) -> int:
        """Convert messages until the kernel leaves one; return its position."""
        place, converted, size, values_omitted, time_counts = kernel.convert(
            messages, start, batch.lines, batch.origins, batch.next_offsets, batch.records
        )
        batch.size += size
        self.by_kernel += converted
        self._encoder.values_omitted += values_omitted
        self._encoder.times.add(time_counts)
        return place

    def _convert_in_python(self, message: Message, batch: Batch) -> int:
        """Convert one message; return the number of its records."""
        number, offset = message.partition(), message.offset()
        partition = Partition(message.topic(), number)
        batch.next_offsets[partition] = offset + 1
        count = self._convert_records(message, number, offset, batch)
        batch.records[partition] += count
        self.by_python += count
        return count

    def _convert_records(self, message: Message, number: int, offset: int, batch: Batch) -> int:
        """Convert the records of one message; return their number, at least one."""
        value = message.value()
        try:
            if value is not None and len(value) > self._max_bytes:
                raise RecordError(Reason.TOO_LARGE, f"{len(value)} bytes")
            records = self.decode(value)
        except RecordError as error:
            self._encoder.cardinality.forget()
            whole = Origin(message, 0, value)
            batch.dead_letters.append(DeadLetter(whole, error.reason, error.detail))
            batch.dead_size += len(value or b"")
            return 1
        message_tags = self._message_tags.read(message) if self._message_tags else None
        kafka_ms = kafka_time(message)
        size = 0
        most = most_bytes(len(value or b"")) if len(records) > 1 else 0
        for index, (record, raw) in enumerate(records):
            # The message alone is enough if it is one record.
            origin: MessageOrOrigin = (
                message if raw is value and index == 0 else Origin(message, index, raw)
            )
            try:
                if isinstance(record, dict):
                    # The names of nested fields repeat what they stand in, so small records can make long
                    # lines. Lines of line protocol are as long as they came.
                    if size > most:
                        raise RecordError(
                            Reason.TOO_LARGE, f"the lines before it in its message have over {most} bytes"
                        )
                    if message_tags:
                        record = record | message_tags  # noqa: PLW2901
                    line = self._encoder.encode(record, kafka_ms, number, offset, index)
                elif isinstance(record, RecordError):
                    raise record
                elif isinstance(record, Line):
                    line = self._line_encoder.encode(record, kafka_ms, number, offset, index)
                else:
                    raise RecordError(Reason.NOT_A_RECORD, type(record).__name__)
            except RecordError as error:
                self._encoder.cardinality.forget()
                batch.dead_letters.append(DeadLetter(origin_of(origin), error.reason, error.detail))
                batch.dead_size += len(raw)
            else:
                batch.lines.append(line)
                batch.origins.append(origin)
                size += len(line) + 1
        batch.size += size
        return len(records)
