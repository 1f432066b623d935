"""The bench: how fast Tower is, at what cost, and how that was measured."""
