"""What the commands ask Kafka, InfluxDB and the workers."""
