"""Whether a process of the pool still runs."""

import os
import subprocess
import sys

from workers.commands.clients.worker_states import is_alive


def test_a_process_runs_until_it_ends_although_its_parent_has_not_asked_for_it() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    before = is_alive(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    as_zombie = is_alive(process.pid)
    process.communicate()

    assert before
    assert not as_zombie
    assert not is_alive(process.pid)
