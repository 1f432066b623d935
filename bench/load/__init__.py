"""Synthetic records, and what sends them."""
