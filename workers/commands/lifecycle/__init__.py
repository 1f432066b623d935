"""`up`, `down` and `restart`: start and stop the pool, and wait until that is done."""
