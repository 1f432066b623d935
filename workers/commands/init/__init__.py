"""`init`: writes the files of a new pool."""
