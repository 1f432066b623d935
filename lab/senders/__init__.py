"""What sends records to the lab, and what must become of each."""
