"""The results of a run as a page, plots, tables and goals."""
