"""What is known about the pool besides its workers' state files."""

import os
from dataclasses import dataclass
from pathlib import Path

from workers.commands.clients import serve_probe
from workers.commands.clients.group_offsets import GroupOffsets, read_offsets
from workers.config.settings import Settings

#: What to do if another program has the address of `tower serve`.
SERVE_REMEDY = (
    "`ss -ltnp` shows which: end it; or set TOWER_SERVE_ADDRESS to another port, or to off, and restart "
    "the pool with `tower restart`"
)

#: Free bytes of the file system of TOWER_RUN_DIR below which state files cannot be relied on.
LEAST_FREE_BYTES = 64_000


@dataclass(frozen=True)
class PoolFacts:
    """What is known about the pool besides its workers' state files.

    Args:
        offsets: What Kafka says about the group and the topic.
        expected_workers: Number of workers that should run on this machine.
        run_dir: TOWER_RUN_DIR.
        run_dir_problem: Why no file can be written there; empty if one can.
        serve_problem: What is wrong with the address of `tower serve`; empty if nothing.
    """

    offsets: GroupOffsets
    expected_workers: int
    run_dir: str = "var"
    run_dir_problem: str = ""
    serve_problem: str = ""


def read_facts(settings: Settings, expected_workers: int) -> PoolFacts:
    """Ask Kafka and the file system; a Kafka that does not answer is a fact and no error."""
    return PoolFacts(
        offsets=read_offsets(settings),
        expected_workers=expected_workers,
        run_dir=str(settings.run_dir),
        run_dir_problem=run_dir_problem(settings.run_dir),
        serve_problem=serve_problem(settings),
    )


def serve_problem(settings: Settings) -> str:
    """Return why `tower serve` cannot listen on its address; empty if it can, or is off."""
    if settings.serve_address is None:
        return ""
    why = serve_probe.why_not_ours(settings.serve_address, settings.run_dir)
    return why and f"{settings.serve_address} (TOWER_SERVE_ADDRESS) {why}"


def run_dir_problem(run_dir: Path) -> str:
    """Return why no file can be written in a folder; empty if one can, or if there is no such folder."""
    try:
        file_system = os.statvfs(run_dir)
    except OSError:
        return ""
    if file_system.f_flag & os.ST_RDONLY:
        return "its file system is read-only"
    # Other users may only look; the folder is its owner's.
    if run_dir.stat().st_uid == os.geteuid() and not os.access(run_dir, os.W_OK | os.X_OK):
        return "this user may not write to it"
    free = file_system.f_bfree if os.geteuid() == 0 else file_system.f_bavail
    if file_system.f_blocks and free * file_system.f_frsize < LEAST_FREE_BYTES:
        return "its file system is full"
    if file_system.f_files and not file_system.f_ffree:
        return "its file system has no room for another file"
    return ""
