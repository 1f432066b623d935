from collections.abc import Callable, Sequence
from mmap import mmap

from workers.types import Message, MessageOrOrigin, Origin, Partition

VERSION: str
OTHER: int
NUMBER: int
TAG: int
TIME: int
SECOND: int
MILLISECOND: int
NANOSECOND: int
RESIDUES: int
PARTITIONS: int
MAX_RECORDS: int
EVENT_TIME: int
EXACT_DIGITS: int
WHOLE_LIMIT: int
KEPT_FIELDS: int
FIELD_NAME_BYTES: int

class Kernel:
    def __init__(
        self,
        *,
        json: bool,
        msgpack: bool,
        line: bool,
        max_bytes: int,
        max_fields: int,
        max_key: int,
        max_tag: int,
        max_text: int,
        window: int,
        keep_own: bool,
        keep_fine: bool,
        read_texts: bool,
        read_local: bool,
        partition_type: type[Partition],
        origin_type: type[Origin],
        line_tags: tuple[bytes, ...],
        tag_count: int,
        fields: Sequence[tuple[bytes, int, int, int, bytes]],
        name_of: Callable[[str], bytes | None],
        series_of: Callable[[tuple[str | None, ...]], bytes | None],
        admit: Callable[[bytes | None, list[bytes]], bool],
        mark: bytearray | mmap | None,
    ) -> None: ...
    def convert(
        self,
        messages: list[Message],
        start: int,
        lines: list[bytes],
        origins: list[MessageOrOrigin],
        next_offsets: dict[Partition, int],
        records: dict[Partition, int],
        /,
    ) -> tuple[int, int, int, int, tuple[int, ...]]: ...
