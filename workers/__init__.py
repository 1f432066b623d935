"""Tower: one consumer process per partition, from Kafka to InfluxDB."""
