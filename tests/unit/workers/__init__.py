"""Tests of `workers/` itself: the loop and what is around it."""
