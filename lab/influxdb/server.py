"""The lab's InfluxDB as a running server, and queries over HTTP."""

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from lab.errors import LabError
from lab.system.server_process import Server, environment

#: Seconds an answer may take; a query over a million points is slow.
QUERY_S = 120.0


class InfluxdbServer(Server):
    """One influxd with its data in its own folder.

    Args:
        folder: Folder of its files.
        program: Returns the influxd to run; called only at a start.
        host: Name or address that it listens on.
        port: Its HTTP port.
    """

    def __init__(self, folder: Path, program: Callable[[], Path], host: str, port: int) -> None:
        super().__init__("InfluxDB", folder)
        self._program = program
        self.host = host
        self.port = port

    @property
    def url(self) -> str:
        """Where clients reach it."""
        return f"http://{self.host}:{self.port}"

    @property
    def ports(self) -> list[int]:
        """Its HTTP port."""
        return [self.port]

    def start(self) -> None:
        """Start it, unless it runs; does not wait until it serves."""
        if self.process() is not None:
            return
        options = {
            "--http-bind-address": f"{self.host}:{self.port}",
            "--bolt-path": str(self.folder / "influxd.bolt"),
            "--sqlite-path": str(self.folder / "influxd.sqlite"),
            "--engine-path": str(self.folder / "engine"),
            "--log-level": "warn",
        }
        flat = [word for pair in options.items() for word in pair]
        self.launch([str(self._program()), *flat, "--reporting-disabled"], environment())

    def health(self, timeout_s: float = 1.0) -> dict[str, Any] | None:
        """Return the answer of `/health`, with `status` and `version`; None if there is none."""
        try:
            with self._get("/health", {}, timeout_s) as response:
                health = json.loads(response.read())
        except (OSError, http.client.HTTPException, ValueError):
            return None
        return health if isinstance(health, dict) else None

    def serving(self, timeout_s: float = 1.0) -> bool:
        """Whether `/health` answers `pass`."""
        return (self.health(timeout_s) or {}).get("status") == "pass"

    def rows(self, influxql: str, database: str, user: str, password: str) -> Iterator[dict[str, Any]]:
        """Query the v1 endpoint, as the lab's dashboard does.

        Each row comes as a dict of its columns and its series' tags, with `_series` the name of
        the measurement.

        Raises:
            LabError: It refuses the question.
        """
        basic = base64.b64encode(f"{user}:{password}".encode()).decode()
        question = {"db": database, "q": influxql, "epoch": "ns", "chunked": "true"}
        headers = {"Authorization": f"Basic {basic}"}
        with self._get("/query?" + urlencode(question), headers, QUERY_S) as response:
            if response.status != 200:
                raise LabError(f"InfluxDB refused the query with {response.status}: {influxql}")
            for line in response:
                yield from _rows(json.loads(line), influxql)

    def flux_lines(self, flux: str, org: str, token: str) -> Iterator[str]:
        """Query in Flux and yield the answer's CSV lines without empty ones and comments.

        Raises:
            LabError: It refuses the question.
        """
        path = "/api/v2/query?" + urlencode({"org": org})
        headers = {
            "Authorization": f"Token {token}",
            "Accept": "application/csv",
            "Content-Type": "application/vnd.flux",
        }
        with self._ask("POST", path, headers, QUERY_S, flux.encode()) as response:
            if response.status != 200:
                raise LabError(f"InfluxDB refused the query with {response.status}: {flux}")
            for raw in response:
                line = raw.decode().rstrip("\r\n")
                if line and not line.startswith("#"):
                    yield line

    def _get(self, path: str, headers: dict[str, str], timeout_s: float) -> Any:
        return self._ask("GET", path, headers, timeout_s, None)

    @contextmanager
    def _ask(
        self, method: str, path: str, headers: dict[str, str], timeout_s: float, body: bytes | None
    ) -> Iterator[http.client.HTTPResponse]:
        split = urlsplit(self.url)
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=timeout_s)
        try:
            connection.request(method, path, body, headers)
            yield connection.getresponse()
        finally:
            connection.close()


def _rows(chunk: dict[str, Any], influxql: str) -> Iterator[dict[str, Any]]:
    for result in [chunk, *chunk.get("results", [])]:
        if "error" in result:
            raise LabError(f"InfluxDB refused the query: {result['error']}: {influxql}")
        for series in result.get("series", []):
            fixed = {"_series": series.get("name", "")} | series.get("tags", {})
            for values in series.get("values", []):
                yield fixed | dict(zip(series["columns"], values, strict=True))
