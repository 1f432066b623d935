"""Tests of `workers/influxdb`."""
