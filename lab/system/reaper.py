"""Stops the servers of a temporary lab if the program that started them is killed.

`python -m lab.system.reaper FOLDER` reads its standard input, a pipe from that program. The pipe closes
when the program ends, however it ends: after SIGKILL, too, which no program can clean up after.
"""

import shutil
import subprocess
import sys
from pathlib import Path

from lab.system.server_process import RecordedProcess

#: The program writes this after it has cleaned up.
DONE = b"done"


class Reaper:
    """Kills the servers recorded under a folder when this program ends without `leave`.

    Args:
        folder: The servers' own folders are in it; it is removed with them.
    """

    def __init__(self, folder: Path) -> None:
        self._child = subprocess.Popen(
            [sys.executable, "-m", "lab.system.reaper", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=Path(__file__).resolve().parents[2],
            start_new_session=True,  # A Ctrl-C is for the program; this one must live on.
        )

    def leave(self) -> None:
        """End the reaper: the program has cleaned up."""
        self._child.communicate(DONE, timeout=30)


def kill_all(folder: Path) -> None:
    """Kill every server recorded under the folder and remove it."""
    for record in folder.glob("**/process.json"):
        RecordedProcess(record.parent.name, record.parent).kill()
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    if sys.stdin.buffer.read() != DONE:
        kill_all(Path(sys.argv[1]))
