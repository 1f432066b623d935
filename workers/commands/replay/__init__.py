"""`replay`: moves the group's offsets."""
