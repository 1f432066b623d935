"""Real Kafka and real InfluxDB on this machine, without Docker."""
