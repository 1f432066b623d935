"""Real InfluxDB: the program, and the running server."""
