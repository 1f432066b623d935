"""Builds the kernel with sanitizers in a copy of the checkout."""

import os
import shutil
import subprocess
import sysconfig
from pathlib import Path

from tests.support.checkout import ROOT, copy_checkout, kernel_file

SANITIZERS = "address,undefined"

FLAGS = [
    "-O1",
    "-g",
    "-fPIC",
    "-fno-omit-frame-pointer",
    f"-fsanitize={SANITIZERS}",
    "-fno-sanitize-recover=undefined",
]


class SanitizerError(Exception):
    """The kernel cannot be built with sanitizers, and what to do."""


def build(folder: Path, source: Path = ROOT) -> dict[str, str]:
    """Copy the checkout to a folder, with a kernel that is checked.

    Args:
        folder: Where the copy goes.
        source: What is copied.

    Returns:
        The environment for Python programs in the copy.

    Raises:
        SanitizerError: The compiler or its sanitizers are missing, or it rejects the kernel.
    """
    compiler = shutil.which("gcc")
    if compiler is None:
        raise SanitizerError("gcc is missing; install it, with its sanitizers (libasan, libubsan)")
    copy_checkout(folder, source)
    include = f"-I{sysconfig.get_paths()['include']}"
    guide, kernel = folder / "guide.o", folder / "kernel.o"
    coverage = "-fsanitize-coverage=trace-pc"
    for command in (
        [*FLAGS, include, "-c", "tests/sanitize/guide.c", "-o", str(guide)],
        [*FLAGS, coverage, include, "-c", "workers/native/kernel.c", "-o", str(kernel)],
        ["-shared", f"-fsanitize={SANITIZERS}", str(guide), str(kernel), "-o", str(kernel_file(folder))],
    ):
        done = subprocess.run([compiler, *command], cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SanitizerError(f"gcc cannot build the kernel with sanitizers:\n{done.stderr}")
    # Python itself is not checked, so the library must be loaded before it.
    runtimes = [_runtime(compiler, name) for name in ("libasan.so", "libubsan.so")]
    return {
        **os.environ,
        "LD_PRELOAD": " ".join(runtimes),
        # Python keeps memory to the end, so every leak would be its own.
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1:allocator_may_return_null=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
        # Python's own allocator would hide a read past the end of a small block.
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def _runtime(compiler: str, name: str) -> str:
    printed = subprocess.run(
        [compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True
    ).stdout.strip()
    if not Path(printed).is_absolute():
        raise SanitizerError(f"{name} is missing; install gcc's sanitizers")
    return printed
