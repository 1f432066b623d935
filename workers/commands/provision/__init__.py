"""`provision`: makes what is missing in Kafka and InfluxDB."""
