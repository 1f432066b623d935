"""`check`: tries Kafka and InfluxDB, and says what to do next."""
