"""Real Kafka: its jars, its nodes, its topics."""
