"""Kafka to InfluxDB as the examples of both clients show it: poll, Point, batching WriteApi."""
# mypy: ignore-errors
# As untyped as those.

import json
import os
import signal
import sys
from datetime import datetime

from confluent_kafka import Consumer
from influxdb_client import InfluxDBClient, Point, WriteOptions, WritePrecision

#: Fields of the points by those of the records.
NAMES = json.loads(os.environ["FIELDS"])

#: Precision of the points' times, and how many of its units a second has.
PRECISION, PARTS = {"ms": (WritePrecision.MS, 1000), "s": (WritePrecision.S, 1)}[os.environ["PRECISION"]]

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
consumer = Consumer(
    {
        "bootstrap.servers": os.environ["BOOTSTRAP_SERVERS"],
        "group.id": os.environ["GROUP"],
        "auto.offset.reset": "earliest",
    }
)
consumer.subscribe([os.environ["TOPIC"]])
client = InfluxDBClient(os.environ["INFLUXDB_URL"], os.environ["INFLUXDB_TOKEN"], org=os.environ["ORG"])
options = WriteOptions(batch_size=5_000, flush_interval=1_000)
with client, client.write_api(write_options=options) as writer:
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        record = json.loads(message.value())
        point = Point("labs").tag("host", "Labs").tag("region", "GIST")
        for name in ("ip", "deviceId"):
            if name in record:
                point.tag(name, record[name])
        for name, field in NAMES.items():
            point.field(field, float(record[name]))
        # A whole number: the client would cut one datetime in eight to the millisecond before.
        point.time(round(datetime.fromisoformat(record["time"]).timestamp() * PARTS), PRECISION)
        writer.write(os.environ["BUCKET"], record=point)
