"""An encoder for kafka-influxdb: the lab's JSON records as line protocol."""

import os
from datetime import datetime
from typing import Any

json: Any
try:
    json = __import__("ujson")
except ImportError:
    json = __import__("json")

#: Fields of the points by those of the records.
NAMES = json.loads(os.environ["FIELDS"])
#: Units of the points' times in a second.
PARTS = {"s": 1, "ms": 1000}[os.environ["PRECISION"]]


class Encoder:
    """What kafka-influxdb calls for each message."""

    def encode(self, msg: bytes) -> list[str]:
        """Lines of one message."""
        record = json.loads(msg)
        tags = "".join(f",{name}={record[name]}" for name in ("ip", "deviceId") if name in record)
        fields = ",".join(f"{point}={record[name]}" for name, point in NAMES.items())
        moment = round(datetime.fromisoformat(record["time"]).timestamp() * PARTS)
        return [f"labs,host=Labs,region=GIST{tags} {fields} {moment}"]
