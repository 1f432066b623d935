"""Which signals a process has handlers of its own for, as the kernel tells."""

from pathlib import Path


def catches(pid: int, number: int) -> bool:
    """Whether a process hears of a signal by a handler of its own; False where it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    mask = next((line.split()[1] for line in lines if line.startswith("SigCgt:")), "0")
    return bool(int(mask, 16) & 1 << (number - 1))
