"""The settings of a worker, their parsers, and secrets."""
