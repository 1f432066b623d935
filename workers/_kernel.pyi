from collections.abc import Callable, Sequence

from workers.types import Message, Partition, Source

class Kernel:
    """Makes lines of messages whose records are of common shape (see workers/native/kernel.c)."""

    def __init__(
        self,
        *,
        json: bool,
        msgpack: bool,
        largest: int,
        max_fields: int,
        max_tag: int,
        max_text: int,
        window: int,
        partitions: int,
        partition_type: type[Partition],
        tag_count: int,
        fields: Sequence[tuple[bytes, int, int, bytes]],
        name_of: Callable[[str], bytes | None],
        head_of: Callable[[tuple[str | None, ...]], bytes | None],
    ) -> None: ...
    def take(
        self,
        messages: list[Message],
        start: int,
        lines: list[bytes],
        origins: list[Source],
        ends: dict[Partition, int],
        records: dict[Partition, int],
        /,
    ) -> tuple[int, int, int, int]:
        """Take messages until one is left to the Python path.

        Args:
            messages: Consumed messages.
            start: The first of them to take.
            lines: Gets the lines.
            origins: Gets the message of each line.
            ends: Gets for each partition the offset after the last message taken.
            records: Gets for each partition the number of messages taken, added to what it holds.

        Returns:
            Position of the message that is left, or the number of messages; bytes of the lines with a newline
            each; values left out; times not believed.
        """
