"""Tower: one consumer process per partition, from Kafka to InfluxDB."""

__version__ = "0.2.0"
