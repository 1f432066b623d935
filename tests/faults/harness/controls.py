"""Six workers that are broken on purpose, each in a way a real system was: the checks must see all of them.

Run as `python -m tests.faults.harness.controls <kind>` with a worker's settings in the
environment. A control that no check reports is a bug of the checks.
"""

import json
import os
import sys
import time
from collections.abc import Callable
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

from confluent_kafka import Consumer
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.write_api import WriteOptions

#: Seconds between two tries of the controls that do try again.
RETRY_S = 0.2

#: Status and nothing else: what these workers look at.
Write = Callable[[list[str]], int]


def line(message: Any, clock: bool = False) -> str:
    """A record in line protocol, as Tower would write it, or at the time of the clock."""
    record = json.loads(message.value())
    values = {key: record[key] for key in ("part", "seq", "crc")}
    values |= {"memory": record["free_ram"], "tx": record["tx_bytes"], "rx": record["rx_bytes"]}
    numbers = ",".join(f"{key}={float(value)}" for key, value in values.items())
    tags = f"host=Labs,region=GIST,ip={record['ip']},deviceId={record['deviceId']}"
    # The same digits as the real worker's, in spirit: the offset below the record's second.
    at = (
        time.time_ns()
        if clock
        else int(datetime.fromisoformat(record["time"]).timestamp()) * 10**9
        + message.offset() * 16
        + message.partition()
    )
    return f"labs,{tags} {numbers} {at}"


def writer() -> Write:
    """Posts lines to InfluxDB; 0 where no answer came."""
    address = urlsplit(os.environ["TOWER_INFLUXDB_URL"]).netloc
    query = urlencode(
        {"org": os.environ["TOWER_INFLUXDB_ORG"], "bucket": os.environ["TOWER_INFLUXDB_BUCKET"]}
    )
    with open(os.environ["TOWER_INFLUXDB_TOKEN_FILE"], encoding="utf-8") as file:
        headers = {"Authorization": f"Token {file.read().strip()}"}

    def write(lines: list[str]) -> int:
        connection = HTTPConnection(address, timeout=10)
        try:
            connection.request("POST", f"/api/v2/write?{query}", "\n".join(lines).encode(), headers)
            return connection.getresponse().status
        except (OSError, HTTPException):
            return 0
        finally:
            connection.close()

    return write


def insist(write: Write, lines: Callable[[], list[str]]) -> None:
    """Write until InfluxDB answers 204, the lines made anew for every try."""
    while write(lines()) != 204:
        time.sleep(RETRY_S)


def consumer(auto_commit: bool = False) -> Consumer:
    """A member of the group."""
    new_consumer = Consumer(
        {
            "bootstrap.servers": os.environ["TOWER_KAFKA_BOOTSTRAP_SERVERS"],
            "group.id": os.environ["TOWER_KAFKA_GROUP_ID"],
            "enable.auto.commit": auto_commit,
            "auto.commit.interval.ms": 500,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6_000,
        }
    )
    new_consumer.subscribe([os.environ["TOWER_TOPIC"]])
    return new_consumer


def messages(source: Consumer) -> list[Any]:
    """What there is, without events."""
    return [message for message in source.consume(1_000, 0.1) if message.error() is None]


def commit_before_write() -> None:
    """Commits what it has read, then writes it: a crash in between loses a batch."""
    source, write = consumer(), writer()
    while True:
        if batch := messages(source):
            source.commit(asynchronous=False)
            insist(write, lambda batch=batch: [line(message) for message in batch])  # type: ignore[misc]


def auto_commit() -> None:
    """Leaves commits to the client's timer, which knows nothing of InfluxDB."""
    source, write = consumer(auto_commit=True), writer()
    held: list[str] = []
    while True:
        held += [line(message) for message in messages(source)]
        if held and write(held) == 204:
            held = []


def clear_on_error() -> None:
    """Empties its buffer whether the write worked or not (mre/kafka-influxdb, issue 57)."""
    source, write = consumer(), writer()
    while True:
        if batch := messages(source):
            write([line(message) for message in batch])
            source.commit(asynchronous=False)


def batching_write_api() -> None:
    """Hands lines to influxdb-client's batching WriteApi, which reports failures to nobody."""
    source = consumer()
    with open(os.environ["TOWER_INFLUXDB_TOKEN_FILE"], encoding="utf-8") as file:
        client = InfluxDBClient(
            os.environ["TOWER_INFLUXDB_URL"], file.read().strip(), org=os.environ["TOWER_INFLUXDB_ORG"]
        )
    api = client.write_api(write_options=WriteOptions(batch_size=500, flush_interval=200))
    while True:
        if batch := messages(source):
            api.write(os.environ["TOWER_INFLUXDB_BUCKET"], record=[line(message) for message in batch])
            source.commit(asynchronous=False)


def drop_on_401() -> None:
    """Takes a refused token for refused data (vectordotdev/vector, issue 24543)."""
    source, write = consumer(), writer()
    while True:
        if batch := messages(source):
            while write([line(message) for message in batch]) not in {204, 401, 403}:
                time.sleep(RETRY_S)
            source.commit(asynchronous=False)


def clock_timestamps() -> None:
    """Stamps points when it writes them: what is written twice is stored twice."""
    source, write = consumer(), writer()
    while True:
        if batch := messages(source):
            insist(write, lambda batch=batch: [line(message, clock=True) for message in batch])  # type: ignore[misc]
            source.commit(asynchronous=False)


KINDS: dict[str, Callable[[], None]] = {
    control.__name__: control
    for control in (
        commit_before_write,
        auto_commit,
        clear_on_error,
        batching_write_api,
        drop_on_401,
        clock_timestamps,
    )
}

if __name__ == "__main__":
    KINDS[sys.argv[1]]()
