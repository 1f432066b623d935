"""Copies of the checkout, for tests that change its code."""

import shutil
import subprocess
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def copy_checkout(folder: Path, source: Path = ROOT) -> None:
    """Copy all files that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=source,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    for name in listed:
        if (source / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source / name, folder / name)
    # Some tests ask git.
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)


def kernel_file(folder: Path) -> Path:
    """Return where the built kernel is in a checkout."""
    return folder / "workers" / f"_kernel{sysconfig.get_config_var('EXT_SUFFIX')}"
