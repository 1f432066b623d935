"""A bucket for one run: when it is written to, how much, and its points."""

import http.client
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from lab.errors import LabError, SlowError
from lab.lab import Lab
from lab.provision import ORG
from lab.system.files import read_secret

#: Seconds for an answer; a query over millions of points is slow.
QUERY_S = 300.0
MEASUREMENT = "labs"


class Bucket:
    """A new bucket, mapped to a database of the same name.

    Args:
        lab: The lab with the InfluxDB.
        name: Name of bucket and database.
        retention_s: Seconds that it keeps points; 0: for ever.
        measurement: Measurement of the points that are looked up.

    Attributes:
        token: Token that may only write to the bucket.
        first: Epoch seconds of the first write, None before it.
        last: Epoch seconds of the last write so far, None before the first.
        written: (epoch seconds, bytes of the write-ahead log), in order of time.
    """

    def __init__(self, lab: Lab, name: str, retention_s: int = 0, measurement: str = MEASUREMENT) -> None:
        self.name = name
        self.measurement = measurement
        self.token = lab.create_bucket(name, retention_s)
        self.first: float | None = None
        self.last: float | None = None
        self.written: list[tuple[float, int]] = []
        self._sizes: dict[str, int] = {}
        self._lab = lab
        self._admin = read_secret(lab.secrets.admin_token) or ""
        with self._client() as client:
            self._id = str(client.buckets_api().find_bucket_by_name(name).id)
        self._log = lab.influxdb.folder / "engine" / "wal" / self._id

    def look(self, now: float = 0.0) -> None:
        """Update first and last write from the files of influxd's write-ahead log.

        This costs influxd nothing and is the same for every program that writes. A shard's folder changes
        when its first file is created, a file with each write.

        Args:
            now: Epoch seconds; if not 0, the bytes so far are added to `written` with this time.
        """
        try:
            shards = [shard for policy in self._log.iterdir() for shard in policy.iterdir()]
            for shard in shards:
                if self.first is None:
                    self.first = shard.stat().st_mtime
                for file in shard.iterdir():
                    seen = file.stat()
                    self.last = max(self.last or 0.0, seen.st_mtime)
                    self._sizes[str(file)] = max(self._sizes.get(str(file), 0), seen.st_size)
        except FileNotFoundError:
            # No file yet, or one was removed meanwhile: the next call sees the change.
            return
        if now:
            self.written.append((now, sum(self._sizes.values())))

    def wait_first(self, since: float, timeout_s: float = 60.0) -> float:
        """Wait for the first write after `since`; return its epoch seconds, exact to 5 ms.

        Raises:
            SlowError: Nothing was written in time.
        """
        while (self.last or 0.0) <= since:
            if time.time() - since > timeout_s:
                raise SlowError(f"nothing was written to {self.name} for {timeout_s:.0f} s")
            time.sleep(0.005)
            self.look()
        return self.last or 0.0

    def sequences(self, columns: str = '"seq"') -> Iterator[int]:
        """Yield the `seq` of every point."""
        for line in self.csv(f'SELECT {columns} FROM "{self.measurement}"'):  # noqa: S608 - names of our own
            value = line.rsplit(b",", 1)[1]
            if value:
                yield int(float(value))

    def count(self) -> int:
        """Return the number of points."""
        for line in self.csv(f'SELECT count("seq") FROM "{self.measurement}"'):  # noqa: S608 - names of our own
            return int(line.rsplit(b",", 1)[1])
        return 0

    def csv(self, influxql: str) -> Iterator[bytes]:
        """Yield the lines of a query's answer as they arrive, without the headers.

        Raises:
            LabError: InfluxDB rejects the query.
        """
        split = urlsplit(self._lab.influxdb.url)
        connection = http.client.HTTPConnection(split.hostname or "", split.port, timeout=QUERY_S)
        headers = {"Authorization": f"Token {self._admin}", "Accept": "application/csv"}
        words = {"db": self.name, "q": influxql, "epoch": "ns", "chunked": "true"}
        try:
            connection.request("GET", f"/query?{urlencode(words)}", headers=headers)
            answer = connection.getresponse()
            if answer.status != 200:
                raise LabError(f"InfluxDB answered {answer.status} to {influxql}")
            for raw in answer:
                line = raw.rstrip()
                if line and not line.startswith(b"name,"):
                    yield line
        finally:
            connection.close()

    def drop(self) -> None:
        """Delete the bucket, so that it does not slow the next run, and the file of its token."""
        with self._client() as client:
            client.buckets_api().delete_bucket(self._id)
        self._lab.secrets.worker_token(self.name).unlink(missing_ok=True)

    def _client(self) -> Any:
        import influxdb_client  # noqa: PLC0415 - slow to import

        library: Any = influxdb_client
        return library.InfluxDBClient(
            self._lab.influxdb.url, self._admin, org=ORG, timeout=int(QUERY_S * 1000)
        )
