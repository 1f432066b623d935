"""Small bugs that the unit tests must notice: `make mutants`."""
