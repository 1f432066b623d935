"""`tower top`: the pool in a terminal, live."""
