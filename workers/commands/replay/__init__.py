"""`replay`: resets the group's committed offsets."""
