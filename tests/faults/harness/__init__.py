"""How a fault is done, watched and judged."""
