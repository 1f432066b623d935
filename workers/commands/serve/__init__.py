"""`python -m workers serve`: metrics, health and a page about the pool, over HTTP."""
