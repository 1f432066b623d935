"""Limits on the size of a record."""

from dataclasses import dataclass

from workers.config import parsers
from workers.config.options import option
from workers.types import MOST_FIELDS


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a record may be at most. A larger one is a dead letter."""

    max_record_bytes: int = option("1000000", parsers.whole(100, 10**8), "largest record, in bytes")
    max_depth: int = option("8", parsers.whole(1, 100), "deepest nesting of a record")
    max_fields: int = option("256", parsers.whole(1, MOST_FIELDS), "most fields of a record")
    max_field_names: int = option(
        "10000",
        parsers.whole(1, 10**6),
        "most field names of a worker since its start, besides those that the settings name",
    )
    max_series: int = option(
        "100000", parsers.whole(1, 10**7), "most combinations of tags of a worker since its start"
    )
    max_key_bytes: int = option("256", parsers.whole(1, 60_000), "longest name of a field, in bytes")
    max_tag_bytes: int = option("256", parsers.whole(1, 60_000), "longest value of a tag, in bytes")
    max_text_bytes: int = option(
        "65536", parsers.whole(1, 1_000_000), "longest value of a string field, in bytes"
    )
