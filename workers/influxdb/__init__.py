"""Writes batches of lines to InfluxDB."""
