"""Clients of the commands: Kafka, InfluxDB, and the workers' state files."""
