"""Tests of `workers/records` and of the kernel."""
