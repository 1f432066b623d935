"""`tower serve`: metrics, health and a page about the pool, over HTTP."""
