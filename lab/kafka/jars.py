"""Kafka's jars, from Maven Central, and Java as the program that runs them.

`python -m lab.kafka.jars FOLDER` fetches the jars into FOLDER; the lab runs it as a child, so that a
download that hangs can be given up.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from lab.errors import LabError
from lab.system.files import cache_folder, locked
from lab.system.progress import Progress
from lab.system.server_process import environment

KAFKA = "4.2.0"
#: Seconds for 47 jars, 45 MB, over a slow line.
FETCH_S = 900.0
#: Jars fetched at a time.
FETCHES = 8


@dataclass(frozen=True)
class Java:
    """A Java runtime with Kafka's jars.

    Args:
        executable: The `java` program.
        jars: The class path, in a fixed order.
        options: Options that every command gets first.
    """

    executable: Path
    jars: tuple[Path, ...]
    options: tuple[str, ...] = ()

    def command(self, main: str, *args: str, options: tuple[str, ...] = ()) -> list[str]:
        """The argv that runs `main`. The class path goes by the environment, to keep `ps` short."""
        return [str(self.executable), *options, *self.options, main, *args]

    def environment(self) -> dict[str, str]:
        """The environment to run it in. Names of files are UTF-8, whatever the machine's locale is."""
        return environment(CLASSPATH=os.pathsep.join(map(str, self.jars)), LC_ALL="C.UTF-8")


def fetched(progress: Progress) -> Path:
    """The folder with Kafka's jars in the user's cache, fetched on first use.

    Args:
        progress: Where the wait is shown.

    Raises:
        LabError: The jars cannot be fetched, or are not the ones this version was tested with.
    """
    folder = cache_folder() / f"kafka-{KAFKA}"
    jars = folder / "jars"
    if not jars.is_dir():
        with locked(folder / "lock", FETCH_S, progress):
            if not jars.is_dir():
                with progress.step(f"fetching Kafka {KAFKA} (once, 45 MB)"):
                    _fetch(jars)
    return jars


def _fetch(jars: Path) -> None:
    # One name, since the lock is held: what a killed command has left goes away here.
    part = jars.with_name("jars.part")
    shutil.rmtree(part, ignore_errors=True)
    child = subprocess.Popen(
        [sys.executable, "-m", "lab.kafka.jars", str(part)],
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
        verify(part, lock())
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


def lock() -> dict[str, str]:
    """The jars this version of Tower was tested with: SHA-256 by `group:artifact:version`.

    They are what org.apache.kafka:kafka_2.13 and org.slf4j:slf4j-simple:1.7.36 need to run, and
    kafka-tools without what it needs for Connect.
    """
    text = resources.files("lab.kafka").joinpath("jars.lock").read_text()
    return {name: digest for digest, name in (line.split() for line in text.splitlines())}


def file_name(coordinate: str) -> str:
    """The jar's file name: `a-1.jar` for `g:a:1`."""
    _, artifact, release = coordinate.split(":")
    return f"{artifact}-{release}.jar"


def verify(folder: Path, wanted: Mapping[str, str]) -> None:
    """Check that exactly the wanted jars are there, byte for byte.

    Raises:
        LabError: Naming the first that differs.
    """
    digests = {file_name(coordinate): digest for coordinate, digest in wanted.items()}
    jars = {jar.name: jar for jar in folder.glob("*.jar")}
    for name in sorted(jars.keys() | digests.keys()):
        if name not in jars:
            raise LabError(f"{name} is missing from what was fetched; run the command again")
        if hashlib.sha256(jars[name].read_bytes()).hexdigest() != digests.get(name):
            raise LabError(
                f"{name} is not the file this version of Tower was tested with; if it stays so, "
                "something between here and Maven Central changes it"
            )


def _resolve(target: Path) -> None:
    from jgo.maven import MavenContext  # noqa: PLC0415 - slow to import, needed once

    repository = target / "maven"
    repository.mkdir(parents=True)
    maven = MavenContext(repo_cache=repository)

    def fetch(coordinate: str) -> None:
        group, name, release = coordinate.split(":")
        jar = maven.project(group, name).at_version(release).artifact().resolve()
        shutil.copyfile(jar, target / file_name(coordinate))
        # A quick start prepared for these jars stays good when they are fetched again.
        os.utime(target / file_name(coordinate), (0, 0))

    with ThreadPoolExecutor(FETCHES) as threads:
        for done in [threads.submit(fetch, coordinate) for coordinate in lock()]:
            done.result()
    shutil.rmtree(repository)


if __name__ == "__main__":
    _resolve(Path(sys.argv[1]))
