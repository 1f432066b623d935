"""An encoder for kafka-influxdb: the lab's JSON records as line protocol."""

from typing import Any

json: Any
try:
    json = __import__("ujson")
except ImportError:
    json = __import__("json")

NUMBERS = (
    *("memory", "tx", "rx", "CPU_Usage", "tx_dropped"),
    *("rx_dropped", "rxError", "txError", "disk", "seq"),
)


class Encoder:
    """What kafka-influxdb calls for each message."""

    def encode(self, msg: bytes) -> list[str]:
        """Lines of one message."""
        record = json.loads(msg)
        tags = "".join(f",{name}={record[name]}" for name in ("ip", "deviceId") if name in record)
        fields = ",".join(f"{name}={record[name]}" for name in NUMBERS)
        return [f"labs,host=Labs,region=GIST{tags} {fields} {record['timestamp']}"]
