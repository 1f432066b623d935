"""`map`: shows what a route makes of a sample, without Kafka and InfluxDB."""
