"""From the bytes of a Kafka message to lines of line protocol."""
