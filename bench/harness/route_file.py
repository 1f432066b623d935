"""A route of the user, made to read the topic of one run."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError

_TOPICS = re.compile(r"^topics\s*=\s*\[[^\]]*\]", re.MULTILINE)
#: Written by the rig: a run has its own bucket.
_BUCKET = re.compile(r"^bucket\s*=.*\n?", re.MULTILINE)


@dataclass(frozen=True)
class BenchRoute:
    """One route, as text, and the measurement that its points are looked up in.

    Attributes:
        name: Name of the route.
        text: The route file.
        measurement: Measurement of the points.
    """

    name: str
    text: str
    measurement: str

    @classmethod
    def read(cls, path: Path) -> "BenchRoute":
        """Read a file of one route.

        Raises:
            LabError: The file cannot be used for a measurement. The text says why.
        """
        try:
            text = path.read_text()
            tables = tomllib.loads(text).get("route", [])
        except (OSError, ValueError) as error:
            raise LabError(f"{path} cannot be read: {error}") from None
        if len(tables) != 1 or not _TOPICS.search(text):
            raise LabError(f"{path} must have one [[route]] with a list of topics")
        measurement = str(tables[0].get("measurement", "{topic}"))
        if "{topic}" in measurement or "measurement_field" in tables[0]:
            raise LabError(f"the route of {path} needs a fixed measurement: its points are looked up there")
        if not {"seq"} <= set(tables[0].get("keep", ["seq"])) or "seq" in tables[0].get("drop", []):
            raise LabError(f"the route of {path} must keep the field seq: lost records are found by it")
        return cls(str(tables[0].get("name", "")), _BUCKET.sub("", text), measurement)

    def write(self, folder: Path, topic: str) -> Path:
        """Write the route for one topic; return the file."""
        file = folder / f"{topic}.routes.toml"
        file.write_text(_TOPICS.sub(lambda _: f'topics = ["{topic}"]', self.text, count=1))
        return file
