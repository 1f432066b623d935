"""How the records of some topics become points."""

import re
from dataclasses import dataclass, field, replace
from datetime import tzinfo

from workers.config import parsers
from workers.config.limits import Limits
from workers.config.options import file_key, option

#: Stands for the topic's name in a measurement.
TOPIC = "{topic}"


@dataclass(frozen=True, kw_only=True)
class Route:
    """All that says how a record of some topics becomes a line.

    The lab's route has a variable for each of these. The others come from a file of routes
    (`workers.config.routes_file`), which has a key for each.

    Attributes:
        topics: The topics whose records take this route: names, and patterns, which begin with `^`.
        limits: Limits on the size of a record.
    """

    name: str = file_key("", str, "name of the route, for errors and `tower map`")
    topics: tuple[str, ...] = option(
        "resource",
        lambda raw: (parsers.topic(raw),),
        "topic to read records from",
        name="topic",
        in_file="",
        key_text="topics to read records from: names, and patterns, which begin with `^`",
        key_parse=parsers.topics,
    )
    format: str = option(
        "auto",
        parsers.choice("auto", "json", "msgpack", "text", "line"),
        "format of the records: json, msgpack, line, text, or auto to detect it for each message",
    )
    array: tuple[str, ...] = file_key(
        "",
        parsers.path,
        "path of an array of objects, with a dot between names: each becomes a record of its own that "
        "has the fields around the array too",
    )
    measurement: str = option(
        "labs",
        parsers.measurement,
        "measurement of every point",
        in_file=TOPIC,
        key_text="measurement of every point; `{topic}` stands for the topic's name",
    )
    measurement_field: str = file_key(
        "", str, "field that holds the measurement; a record without it gets `measurement`"
    )
    tags: tuple[tuple[str, str], ...] = option(
        "host=Labs,region=GIST",
        parsers.tags,
        "tags of every point, but not of those sent as line protocol",
        in_file="",
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
        in_file="",
    )
    tag_fields: tuple[str, ...] = option(
        "ip,deviceId", parsers.tag_names, "fields of a record that become tags", in_file=""
    )
    topic_tag: str = file_key("", parsers.optional(parsers.tag_name), "tag that gets the topic's name")
    partition_tag: str = file_key(
        "", parsers.optional(parsers.tag_name), "tag that gets the partition's number"
    )
    key_tag: str = file_key("", parsers.optional(parsers.tag_name), "tag that gets the message's key")
    header_tags: tuple[tuple[str, str], ...] = file_key(
        "", parsers.renames, "headers of the message that become tags: header and tag"
    )
    number_fields: tuple[str, ...] = option(
        "memory,tx,rx,CPU_Usage,tx_dropped,rx_dropped,rxError,txError,disk",
        parsers.names,
        "fields that hold numbers, even if sent as text; a value that is not a number is omitted",
        in_file="",
    )
    integer_fields: tuple[str, ...] = file_key(
        "", parsers.names, "fields that hold whole numbers, stored as integers; any other value is omitted"
    )
    boolean_fields: tuple[str, ...] = file_key(
        "",
        parsers.names,
        "fields that hold true or false, also as text or 1 and 0; any other value is omitted",
    )
    text_fields: tuple[str, ...] = file_key(
        "", parsers.names, "fields stored as text, also if sent as numbers"
    )
    drop: tuple[str, ...] = file_key("", parsers.names, "fields that are not stored")
    keep: tuple[str, ...] = file_key("", parsers.names, "the only fields that are stored; empty for all")
    time_fields: tuple[str, ...] = option(
        "timestamp,time,@timestamp",
        parsers.names,
        "fields that may hold the record's time; the first one with a plausible time is used",
    )
    time_format: str = option(
        "", parsers.time_format, "format (Python's strptime) of times that Tower does not know itself"
    )
    time_zone: tzinfo = option("UTC", parsers.time_zone, "zone of a local time that names none")
    time_window_s: int = option(
        "86400",
        parsers.whole(0, 10**9),
        "largest difference in seconds between the record's and Kafka's time; beyond it, Kafka's time "
        "is used; 0: no limit, for old records",
    )
    identity: str = option(
        "auto",
        parsers.choice("auto", "kafka", "record"),
        "digits of a point's time below the record's: kafka fills them from partition and offset, record "
        "leaves the time as it is, auto leaves a time with digits below the millisecond as it is",
    )
    bucket: str = file_key(
        "", str, "bucket (v2) or database (v1); empty for TOWER_INFLUXDB_BUCKET or TOWER_INFLUXDB_DATABASE"
    )
    limits: Limits = field(metadata={})

    @property
    def label(self) -> str:
        """How an error names the route."""
        return f"route {self.name}" if self.name else "the route of the environment"

    @property
    def message_tags(self) -> tuple[str, ...]:
        """Tags whose values come from the message and not from its value."""
        return tuple(filter(None, (self.key_tag, *(tag for _, tag in self.header_tags))))

    @property
    def fixed_tags(self) -> tuple[str, ...]:
        """Names of the tags that all points of a partition have with one value."""
        own = tuple(filter(None, (self.topic_tag, self.partition_tag)))
        return tuple(name for name, _ in self.tags) + own

    def old_name(self) -> tuple[str, str, str] | None:
        """Find a name that no record has, because it is renamed: its key, the name, and the new name."""
        new_names = dict(self.rename)
        for key in (
            "tag_fields",
            "number_fields",
            "integer_fields",
            "boolean_fields",
            "text_fields",
            "time_fields",
            "drop",
            "keep",
        ):
            for name in getattr(self, key):
                if name in new_names and name not in new_names.values():
                    return key, name, new_names[name]
        return None

    def matches(self, topic: str) -> bool:
        """Return whether records of a topic take this route."""
        return any(
            re.search(name, topic) if name.startswith("^") else name == topic for name in self.topics
        )

    def for_partition(self, topic: str, number: int) -> "Route":
        """Return the same route with all that is fixed for one partition: measurement and tags."""
        fixed = {self.topic_tag: topic, self.partition_tag: str(number)}
        fixed.pop("", None)
        return replace(
            self,
            topics=(topic,),
            measurement=self.measurement.replace(TOPIC, topic),
            tags=(*self.tags, *fixed.items()),
            line_tags=(*self.line_tags, *fixed.items()),
            topic_tag="",
            partition_tag="",
            tag_fields=tuple(dict.fromkeys((*self.tag_fields, *self.message_tags))),
        )
