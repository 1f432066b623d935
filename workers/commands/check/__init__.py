"""`check`: tests Kafka, InfluxDB and the newest records, and says what to do next."""
