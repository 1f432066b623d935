"""One run's own bucket: what is written to it, when, and what it holds in the end."""

import http.client
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from lab.errors import LabError, SlowError
from lab.lab import Lab
from lab.provision import ORG
from lab.system.files import read_secret

#: Seconds for an answer; a query over millions of points takes a while.
QUERY_S = 300.0
MEASUREMENT = "labs"


class Bucket:
    """A fresh bucket, mapped to a database of the same name.

    Args:
        lab: Whose InfluxDB.
        name: Of the bucket.

    Attributes:
        token: May only write to it.
        first: Epoch seconds of the first write, None while there was none.
        last: Epoch seconds of the last write seen.
        written: Bytes of the write-ahead log over time: how far whatever writes has come.
    """

    def __init__(self, lab: Lab, name: str) -> None:
        self.name = name
        self.token = lab.create_bucket(name)
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
        """Note when and how much was written to it, by the files of influxd's write-ahead log.

        This costs influxd nothing and is the same for whatever writes. A shard's folder changes when the
        first file is made in it, a file with each write.

        Args:
            now: Epoch seconds; where given, the bytes written so far are noted for this moment.
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
            # None yet, or a file that went away while we looked: the next look will tell.
            return
        if now:
            self.written.append((now, sum(self._sizes.values())))

    def wait_first(self, since: float, timeout_s: float = 60.0) -> float:
        """Wait for the first write after a moment, to 5 ms; when it was.

        Raises:
            SlowError: There was none in time.
        """
        while (self.last or 0.0) <= since:
            if time.time() - since > timeout_s:
                raise SlowError(f"nothing was written to {self.name} for {timeout_s:.0f} s")
            time.sleep(0.005)
            self.look()
        return self.last or 0.0

    def sequences(self, columns: str = '"seq"') -> Iterator[int]:
        """`seq` of every point."""
        for line in self.csv(f'SELECT {columns} FROM "{MEASUREMENT}"'):  # noqa: S608 - names of our own
            value = line.rsplit(b",", 1)[1]
            if value:
                yield int(float(value))

    def count(self) -> int:
        """Number of points."""
        for line in self.csv(f'SELECT count("seq") FROM "{MEASUREMENT}"'):  # noqa: S608 - names of our own
            return int(line.rsplit(b",", 1)[1])
        return 0

    def csv(self, influxql: str) -> Iterator[bytes]:
        """Lines of a query's answer as they come, without the headers.

        Raises:
            LabError: InfluxDB refuses the query.
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
        """Remove it, so that the next run does not pay for it."""
        with self._client() as client:
            client.buckets_api().delete_bucket(self._id)

    def _client(self) -> Any:
        import influxdb_client  # noqa: PLC0415 - slow to import

        library: Any = influxdb_client
        return library.InfluxDBClient(
            self._lab.influxdb.url, self._admin, org=ORG, timeout=int(QUERY_S * 1000)
        )
