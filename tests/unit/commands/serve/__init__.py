"""Tests of `tower serve`."""
