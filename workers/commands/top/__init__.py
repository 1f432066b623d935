"""`python -m workers top`: the pool in a terminal, live."""
