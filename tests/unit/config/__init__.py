"""Tests of `workers/config`."""
