"""The consumer, its group and its offsets, and the topic of dead letters."""
