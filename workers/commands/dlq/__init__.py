"""`dlq`: lists dead letters and sends them back."""
