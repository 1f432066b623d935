"""Leaves behind why a worker ended for good, for `status`."""

import json
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from workers.config import settings_file
from workers.errors import SettingsError
from workers.state import WorkerState

#: Folder of the state files unless TOWER_RUN_DIR is set, as in `workers.config.settings`.
RUN_DIR = "var"


def leave_behind(environ: Mapping[str, str], why: str) -> None:
    """Write a state file that says which setting has to be changed.

    The settings may be unreadable, so this reads only where the file belongs. If it cannot be written, the
    log alone has the reason.

    Args:
        environ: The environment, names to values.
        why: The setting and what is wrong with it.
    """
    given = dict(environ)
    with suppress(SettingsError):
        if environ.get("TOWER_CONFIG"):
            given = {**settings_file.read(environ["TOWER_CONFIG"]), **environ}
    number = given.get("TOWER_WORKER", "0")
    if not number.isdecimal():
        return
    file = Path(given.get("TOWER_RUN_DIR", RUN_DIR)) / f"worker-{int(number)}.json"
    state = {
        "worker": int(number),
        "pid": os.getpid(),
        "state": WorkerState.STOPPED,
        "why": why,
        "heartbeat": time.time(),
        "ended": why,
    }
    with suppress(OSError):
        if not _belongs_to_another(file):
            draft = file.with_suffix(".tmp")
            draft.write_text(json.dumps(state))
            draft.replace(file)


def _belongs_to_another(file: Path) -> bool:
    """Whether a worker that still runs writes this file: this one was started beside it by hand."""
    try:
        state = json.loads(file.read_text())
        if state["state"] == WorkerState.STOPPED or state["pid"] == os.getpid():
            return False
        os.kill(int(state["pid"]), 0)
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return True
