"""`provision`: creates what is missing in Kafka and InfluxDB."""
