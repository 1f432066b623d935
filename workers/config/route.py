"""How the records of one topic become points."""

from dataclasses import dataclass, field

from workers.config import parsers
from workers.config.limits import Limits
from workers.config.options import option


@dataclass(frozen=True, kw_only=True)
class Route:
    """All that says how a record of some topics becomes a line.

    Attributes:
        topics: The topics whose records take this route.
        limits: Limits on the size of a record.
    """

    topics: tuple[str, ...] = option(
        "resource", lambda raw: (parsers.topic(raw),), "topic to read records from", name="topic"
    )
    format: str = option(
        "auto",
        parsers.choice("auto", "json", "msgpack", "text", "line"),
        "format of the records; auto detects it for each message",
    )
    measurement: str = option("labs", parsers.measurement, "measurement of every point")
    tags: tuple[tuple[str, str], ...] = option(
        "host=Labs,region=GIST", parsers.tags, "tags of every point, but not of those sent as line protocol"
    )
    line_tags: tuple[tuple[str, str], ...] = option(
        "", parsers.tags, "tags of every point sent as line protocol; a line's own tag of that name wins"
    )
    rename: tuple[tuple[str, str], ...] = option(
        "free_ram:memory,tx_bytes:tx,rx_bytes:rx,cpu_load:CPU_Usage,tx_drops:tx_dropped,rx_drops:rx_dropped,"
        "tx_errors:txError,rx_errors:rxError,disk_util:disk,"
        "cpu:CPU_Usage,txDropped:tx_dropped,rxDropped:rx_dropped",
        parsers.renames,
        "new names for fields of a record; the settings below use the new names",
    )
    tag_fields: tuple[str, ...] = option(
        "ip,deviceId", parsers.tag_names, "fields of a record that become tags"
    )
    number_fields: tuple[str, ...] = option(
        "memory,tx,rx,CPU_Usage,tx_dropped,rx_dropped,rxError,txError,disk",
        parsers.names,
        "fields that hold numbers, even if sent as text; a value that is not a number is omitted",
    )
    time_fields: tuple[str, ...] = option(
        "timestamp,time",
        parsers.names,
        "fields that may hold the record's time; the first one with a readable time is used",
    )
    time_window_s: int = option(
        "86400",
        parsers.whole(1, 10**9),
        "largest difference in seconds between the record's and Kafka's time; beyond it, Kafka's time "
        "is used",
    )
    limits: Limits = field(metadata={})
