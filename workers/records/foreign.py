"""Says what a message that holds no record looks like, so that a person knows what to change.

It only describes. What it recognises is a dead letter all the same.
"""

import re

from workers.records.envelope import confluent_header

#: Bytes of a message that are looked at.
LOOKED_AT = 2_000

#: First bytes of binary formats.
_MAGIC = (
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"\x82SNAPPY\x00", "snappy"),
    (b"PK\x03\x04", "a zip file"),
    (b"Obj\x01", "an Avro file"),
    (b"\xc3\x01", "Avro in its single-object encoding"),
    (b"\xac\xed\x00\x05", "a serialised Java object"),
    (b"PAR1", "Parquet"),
    (b"\xd9\xd9\xf7", "CBOR"),
    (b"\x80\x03c", "a Python pickle"),
    (b"\x80\x04\x95", "a Python pickle"),
    (b"\x80\x05\x95", "a Python pickle"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)

#: Characters that no text has. Colours of a terminal begin with an escape character.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f]")

_CLOCK = r"\d{1,2}:\d\d(?::\d\d)?"
_DATE = r"(?:\d{4}[-/.]\d\d?[-/.]\d\d?|\d\d?[-/.][A-Za-z0-9]{2,3}[-/.]\d{2,4}|[A-Z][a-z]{2} [ \d]\d)"
_NAME = r"[A-Za-z_][\w.-]*+"

#: What text looks like, in the order in which it is tried. All patterns are linear.
_SHAPES = tuple(
    (re.compile(pattern, re.ASCII | re.MULTILINE), looks)
    for pattern, looks in (
        (r"<\?xml[\s?]", "XML"),
        (r"<!DOCTYPE html|<html", "HTML"),
        (r"<\d{1,3}>", "syslog"),
        (r"<[A-Za-z_!]", "XML"),
        (r"CEF:\d\|", "CEF"),
        (r"LEEF:\d", "LEEF"),
        (r"[\w./ -]++(?::[-+]?[\d.]++)++\|(?:c|g|ms|h|s|d|m|kv)\b", "StatsD"),
        (r"# (?:HELP|TYPE) ", "Prometheus text"),
        (r"[A-Za-z_:][\w:]*+\{[^}\n]*+\} [-+\dNI]", "Prometheus text"),
        (r"put [\w./-]++ \d{10,13} [-+]?[\d.]++", "OpenTSDB"),
        (
            r"[\w-]++(?:\.[\w-]++)++(?:;[\w=.;-]++)? [-+]?[\d.]++(?:[eE][-+]?\d++)? -?\d{1,13}\s*+$",
            "Graphite",
        ),
        (r"PUT(?:VAL|NOTIF) ", "collectd's plain text"),
        (r"\$[A-Z]{2}[A-Z0-9]{3},", "NMEA"),
        (rf"{_NAME}\s*+:[^\t\n]*+\t\s*+{_NAME}\s*+:", "LTSV"),
        (r"[^\t\n]++\t[^\t\n]++\t\{", "JSON behind a time and a tag (Fluentd's out_file)"),
        (r"\S++ \S++ \S++ \[[^\]\n]++\] \"", "a web server's log line"),
        (rf"\[?{_DATE}[T ,]\s*+{_CLOCK}", "a log line"),
        (rf"{_CLOCK}[.,:\s]", "a log line"),
        (r"\[?(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL|CRITICAL)\b", "a log line"),
        (r"[IWEF]\d{4} \d\d:\d\d:\d\d", "a log line"),
        (rf"{_NAME}=\"?[^\s&=]*+\"?(?:\s++{_NAME}=|\s*+$)", "logfmt (key=value)"),
        (rf"{_NAME}=[^\s&=]*+&{_NAME}=", "a form (key=value&key=value)"),
        (r"[^\s,=]++(?:,[^\s=]++=[^\s=]++)*+ [^\s=]++=", "line protocol"),
        (r"-?\d++(?:\.\d++)?(?:[eE][-+]?\d++)?\s*+$", "a single number"),
        (r"\"(?:[^\"\\]|\\.)*+\"\s*+$|null\s*+$|true\s*+$|false\s*+$", "a JSON value that is no object"),
        (rf"---|{_NAME}: [^\n]*+\n", "YAML"),
        (rf"Struct\{{{_NAME}=", "a printed Java map"),
        (r"[^,;:\t\n]*+(?:,(?! )[^,:\n]*+)++$", "CSV"),
        (r"[^,;:\t\n]*+(?:;(?! )[^;:\n]*+)++$", "CSV with semicolons"),
        (r"[^\t\n]*+(?:\t[^\t\n]*+)++$", "TSV"),
    )
)

#: What a message looks like that begins like JSON or msgpack and is none.
_BROKEN = tuple(
    (re.compile(pattern, re.ASCII), looks)
    for pattern, looks in (
        (
            rf"\[?{_DATE}[T ,]\s*+{_CLOCK}|\[(?:TRACE|DEBUG|INFO|NOTICE|WARN|WARNING|ERROR|FATAL)\b",
            "a log line",
        ),
        (r"\[?\s*+\{\s*+[:\"]?[\w@.-]*+\"?\s*+=>", "a printed Ruby hash"),
        (r"\[?\s*+\{\s*+u?'", "a printed Python dict"),
        (r"\[?\s*+\{\s*+[A-Za-z_][\w.-]*+=", "a printed Java map"),
        (r"\[?\s*+\{\s*+[A-Za-z_][\w.-]*+:", "JavaScript or YAML: names without quotes"),
        (r"\{\{|\{%", "a template"),
    )
)

_LTSV = re.compile(rf"(?<=[^\s,])\t(?=\s*+{_NAME}\s*+:)")

_PAIRS = re.compile(rf"{_NAME}\s*+:", re.ASCII)

UNKNOWN = "no known format"
#: Descriptions of what may be line protocol that is not valid.
MAY_BE_LINES = frozenset({UNKNOWN, "looks like line protocol"})
NOT_UTF_8 = "not UTF-8: binary data, or text in another encoding"
BINARY = "looks like Protobuf or other binary data"


def describe(payload: bytes) -> str:
    """Say what a message looks like, in words that quote nothing of it."""
    return _describe_binary(payload) or _describe_text(payload[:LOOKED_AT])


def describe_broken(payload: bytes) -> str:
    """Say what a message looks like that begins like JSON or msgpack and is none; empty if unknown."""
    text = payload[:LOOKED_AT].decode("utf-8", "replace").strip()
    shapes = (f"looks like {looks}" for pattern, looks in _BROKEN if pattern.match(text))
    return _describe_magic(payload) or next(shapes, "")


def is_ltsv(text: str) -> bool:
    """Return whether tabs stand between pairs of a name and a value, as in LTSV."""
    return _LTSV.search(text) is not None


def _describe_magic(payload: bytes) -> str:
    return next((f"looks like {looks}" for magic, looks in _MAGIC if payload.startswith(magic)), "")


def _describe_binary(payload: bytes) -> str:
    if looks := _describe_magic(payload):
        return looks
    start = payload[:LOOKED_AT]
    if _is_utf_16(start):
        return "looks like UTF-16"
    if header := confluent_header(payload):
        return f"looks like Avro or Protobuf behind {header}"
    if len(payload) >= 5 and payload[-1] == 0 and int.from_bytes(payload[:4], "little") == len(payload):
        return "looks like BSON"
    return BINARY if b"\x00" in start else ""


def _is_utf_16(start: bytes) -> bool:
    """Return whether every other byte is zero, as in UTF-16 of plain letters."""
    even, odd = start[::2], start[1::2]
    some, none = sorted((even.count(0), odd.count(0)), reverse=True)
    return len(start) >= 4 and some >= 0.9 * len(odd) and none <= 0.1 * len(odd)


def _describe_text(start: bytes) -> str:
    try:
        text = start.decode()
    except UnicodeDecodeError as error:
        if len(start) < LOOKED_AT or error.start < LOOKED_AT - 3:
            return NOT_UTF_8
        # The cut went through a character.
        text = start[: error.start].decode()
    text = text.strip()
    if not text:
        return "only white space"
    if _CONTROL.search(text):
        return BINARY
    for pattern, looks in _SHAPES:
        if pattern.match(text):
            return f"looks like {looks}"
    if _PAIRS.match(text):
        return (
            "looks like name:value, but is not the lab's text: it needs plain names, one line, and a "
            "number in a field of TOWER_NUMBER_FIELDS"
        )
    return UNKNOWN
