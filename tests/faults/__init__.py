"""The fault suite: 42 faults done to real processes, and nine checks of what is left."""
