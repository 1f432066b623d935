"""The fault suite: 31 faults done to real processes, and eight checks of what is left."""
