"""Produces what confluent_kafka's own producer cannot: headers whose names are any bytes.

It calls the librdkafka that confluent_kafka brings along.
"""

import ctypes
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import confluent_kafka

#: A header's name and value.
RawHeader = tuple[bytes, bytes | None]

#: librdkafka's tags of arguments (rd_kafka_vtype_t), and the flag "copy the value".
END, TOPIC, PARTITION, VALUE, FLAGS, HEADER = 0, 1, 3, 4, 7, 9
COPY = 2
PRODUCER = 0

#: Milliseconds that Kafka has to take a record.
FLUSH_MS = 10_000


@cache
def _library() -> Any:
    (path,) = (Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs").glob("librdkafka*")
    library: Any = ctypes.CDLL(str(path))
    library.rd_kafka_conf_new.restype = ctypes.c_void_p
    library.rd_kafka_new.restype = ctypes.c_void_p
    return library


def produce_raw(bootstrap: str, topic: str, value: bytes, headers: Sequence[RawHeader]) -> None:
    """Send one record to partition 0 and wait until Kafka has it."""
    library = _library()
    conf = ctypes.c_void_p(library.rd_kafka_conf_new())
    why = ctypes.create_string_buffer(200)
    assert library.rd_kafka_conf_set(conf, b"bootstrap.servers", bootstrap.encode(), why, 200) == 0, (
        why.value
    )
    client = ctypes.c_void_p(library.rd_kafka_new(PRODUCER, conf, why, ctypes.c_size_t(200)))
    try:
        arguments: list[Any] = [TOPIC, topic.encode(), PARTITION, ctypes.c_int32(0), FLAGS, COPY]
        arguments += [VALUE, value, ctypes.c_size_t(len(value))]
        for name, content in headers:
            arguments += [HEADER, name, content, ctypes.c_ssize_t(len(content or b""))]
        assert library.rd_kafka_producev(client, *arguments, END) == 0
        assert library.rd_kafka_flush(client, FLUSH_MS) == 0
    finally:
        library.rd_kafka_destroy(client)
