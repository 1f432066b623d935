"""What the chain promises on real parts."""
