"""What the kernel says of a process and a signal."""

from pathlib import Path


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler of its own for a signal; False if there is no such process."""
    return _is_in("SigCgt", pid, number)


def is_pending(pid: int, number: int) -> bool:
    """Whether a signal was sent to a process and has not arrived; False if there is no such process."""
    return _is_in("ShdPnd", pid, number)


def _is_in(mask: str, pid: int, number: int) -> bool:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return False
    bits = next((line.split()[1] for line in lines if line.startswith(f"{mask}:")), "0")
    return bool(int(bits, 16) & 1 << (number - 1))
