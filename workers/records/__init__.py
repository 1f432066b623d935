"""Converts the bytes of Kafka messages to line protocol."""
