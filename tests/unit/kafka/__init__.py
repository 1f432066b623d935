"""Tests of `workers/kafka`."""
