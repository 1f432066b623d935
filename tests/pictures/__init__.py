"""`make pictures`: the pictures of the documents, from a real run."""
