"""How many workers the pool should have.

Apart from `pool_size`, which imports supervisor: that costs each program that needs only the number 4 MB.
"""

#: The lab's topic has three partitions.
DEFAULT_WORKERS = 3


def expected_workers(variable: str | None) -> int:
    """Parse TOWER_WORKERS as supervisord does; the default if it is not set."""
    return int(variable) if variable and variable.isdecimal() else DEFAULT_WORKERS
