"""The peers' settings and the small programs that run them."""
