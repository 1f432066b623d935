"""What one function promises."""
