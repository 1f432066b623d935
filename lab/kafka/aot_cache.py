"""Kafka's classes loaded and linked ahead of time (Java's AOT cache, JEP 483 and 514).

A node then serves after 1.1 s instead of 2.1 s and spends 1 s of processor time on it instead of
3 s, which is what counts where six of them start on two cores. Java itself checks that the cache
fits its version and the jars, and does without it otherwise.
"""

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lab.errors import LabError
from lab.kafka.jars import Java
from lab.kafka.node import Node
from lab.system import ports
from lab.system.files import locked
from lab.system.progress import Progress
from lab.system.reaper import Reaper
from lab.system.server_process import uninterrupted, wait_until

#: Seconds for the run that is observed and for writing the cache, 6 s on a quick machine.
TRAINING_S = 120.0


def options(cache: Path) -> tuple[str, ...]:
    """What makes Java use the cache and be silent about single classes that are not in it."""
    return (f"-XX:AOTCache={cache}", "-Xlog:aot*=off", "-Xlog:cds*=off")


def place(plain: Java, folder: Path, release: str) -> Path:
    """Where the cache for this Java and these jars is kept, whether it is there or not.

    Args:
        plain: Java and the jars, without a cache.
        folder: Where caches are kept.
        release: Version of the Java runtime.
    """
    # Where Java and the jars are does not count: one cache serves every checkout.
    names = "\n".join([release, *(jar.name for jar in plain.jars)])
    return folder / f"java-{hashlib.sha256(names.encode()).hexdigest()[:16]}.aot"


def make(plain: Java, path: Path, progress: Progress) -> None:
    """Make the cache if it is not there; where it cannot be made, that is tried only once."""
    failed = path.with_suffix(".failed")
    if path.exists() or failed.exists():
        return
    with locked(path.parent / "lock", TRAINING_S, progress):
        if not path.exists():
            with progress.step("preparing Java for a quick start (once)"):
                if not _train(plain, path):
                    failed.touch()


def _train(plain: Java, path: Path) -> bool:
    """Run one node with its classes recorded; whether the cache came of it."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    work = Path(tempfile.mkdtemp(prefix="tower-java-"))
    reaper = Reaper(work)
    broker, controller = ports.choose("localhost", 2)
    node = Node.alone(work / "node", plain, host="localhost", port=broker, controller=controller)
    try:
        node.end_format(node.begin_format(), TRAINING_S)
        node.start(options=(f"-XX:AOTCacheOutput={part}",))
        wait_until(lambda: node.serving() or node.pid is None, TRAINING_S)
        node.stop(TRAINING_S)  # Java writes the cache on its way out.
        if not part.is_file():
            return False
        part.rename(path)
    except (LabError, OSError):
        return False
    finally:
        with uninterrupted():
            node.kill()
            for rest in (part, part.with_name(f"{part.name}.config")):
                rest.unlink(missing_ok=True)
            shutil.rmtree(work, ignore_errors=True)
            reaper.leave()
    return True
