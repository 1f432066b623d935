"""The machine on which figures were measured, and the versions of all programs."""

import os
import platform
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import confluent_kafka
import psutil

from lab.kafka.jars import KAFKA
from lab.lab import Lab

PACKAGES = ("tower", "confluent-kafka", "isal", "msgpack", "msgspec", "supervisor")


def machine() -> dict[str, Any]:
    """Return processor, memory and system of this machine; nothing that identifies it."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        # Without what a distribution or an owner adds to it.
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        # Load of other programs: with one or more, figures are provisional.
        "load_before": round(os.getloadavg()[0], 2),
    }


def versions(lab: Lab | None = None) -> dict[str, str]:
    """Return the version of each program and library on a record's path."""
    version_of = {name: metadata.version(name) for name in PACKAGES}
    version_of |= {
        "python": platform.python_version(),
        "librdkafka": str(confluent_kafka.libversion()[0]),
        "kernel": "native" if find_spec("workers._kernel") is not None else "python",
        "kafka": KAFKA,
    }
    if lab is not None:
        version_of["influxd"] = str((lab.influxdb.health() or {}).get("version", "")).lstrip("v")
    return version_of


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.machine()
