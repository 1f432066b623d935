"""The pool as the operator sees it: its partitions, and what is wrong with it."""
