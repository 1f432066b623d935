"""Writes line protocol to InfluxDB and turns its answer into an error or success."""

import logging
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote, urlencode, urlsplit

from isal import isal_zlib

from workers.config import tls
from workers.config.influxdb_credentials import basic_pair, masked_answer
from workers.config.settings import Settings
from workers.errors import TooLarge, Unavailable
from workers.influxdb import advice
from workers.influxdb.answer import error_of, is_marked, text_of
from workers.influxdb.connection import Connection, DeadlineExceeded, NoAnswer
from workers.influxdb.write_figures import WriteFigures

#: ISA-L's level 1: a fourth of zlib's CPU time for a smaller body, as measured on lab records.
COMPRESSION = 1

#: zlib window bits that ask for a gzip header and checksum.
GZIP = 31


class Writer:
    """Writes lines over one kept-alive connection, gzipped.

    `write` returns only after a 204, so all of the lines are stored then. If it raises, a part of them may
    be stored too.

    Args:
        settings: Address and credentials. It writes through `/api/v2/write` with a token, or through the v1
            endpoint `/write` with user and password. Lines and answers are the same.
        check: Called while the writer waits; an exception from it ends the write.
        clock: Monotonic seconds.

    Raises:
        SettingsError: A file of a certificate is not usable.

    Attributes:
        sent_bytes: Bytes of all request bodies, compressed.
        figures: Latency and size of the requests that were answered 204.
    """

    def __init__(
        self,
        settings: Settings,
        check: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        parts = urlsplit(settings.influxdb_url)
        # Created only for https, because it costs memory.
        context = tls.context(settings)
        self._tls = context is not None
        self._connection = Connection(parts.hostname or "", parts.port, context, check)
        if tls.is_in_clear(settings.influxdb_url):
            logging.getLogger("tower.influxdb").warning(
                "TOWER_INFLUXDB_URL is %s, so %s", settings.influxdb_url, tls.IN_CLEAR
            )
        self._base_path = parts.path
        #: The path of each bucket.
        self._paths: dict[str, str] = {}
        self.sent_bytes = 0
        self.figures = WriteFigures()
        self._clock = clock

    def _path(self, bucket: str) -> str:
        """Return the path of a bucket (v2) or database (v1), with its query."""
        settings = self._settings
        if settings.influxdb_api == "v1":
            query = {
                "db": bucket or settings.influxdb_database,
                "rp": settings.influxdb_retention_policy,
                "precision": "ns",
            }
            return f"{self._base_path}/write?{urlencode(query, quote_via=quote)}"
        query = {
            "org": settings.influxdb_org,
            "bucket": bucket or settings.influxdb_bucket,
            "precision": "ns",
        }
        return f"{self._base_path}/api/v2/write?{urlencode(query, quote_via=quote)}"

    def _headers(self) -> list[tuple[bytes, bytes]]:
        settings = self._settings
        if settings.influxdb_api == "v2":
            credentials = f"Token {settings.influxdb_token.reveal()}".encode()
        else:
            pair = basic_pair(settings.influxdb_user, settings.influxdb_password.reveal())
            credentials = f"Basic {pair}".encode()
        return [
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Encoding", b"gzip"),
            # A header must not end with a space, and a token read from a file may.
            (b"Authorization", credentials.strip()),
        ]

    def write(self, lines: Sequence[bytes], timeout_s: float, bucket: str = "") -> None:
        """Store all of `lines`, or raise.

        Args:
            lines: Line protocol with nanosecond times, at least one line.
            timeout_s: Seconds for the whole request, including the connection.
            bucket: Bucket (v2) or database (v1); empty for that of the settings.

        Raises:
            Unavailable: No answer, 408, 429, 5xx, or an answer that is not InfluxDB's. Try again.
            Misconfigured: 401, 403 or 404. An operator has to act.
            Rejected: 400 or 422. InfluxDB rejects some of the lines.
            TooLarge: 413, or the time-out. Send fewer lines.
        """
        path = self._paths.get(bucket)
        if path is None:
            path = self._paths[bucket] = self._path(bucket)
        body = isal_zlib.compress(b"\n".join(lines), COMPRESSION, GZIP)
        begun = self._clock()
        try:
            answer = self._connection.post(path, self._headers(), body, timeout_s)
        except DeadlineExceeded:
            raise TooLarge(0, f"did not answer within {timeout_s:g} s") from None
        except NoAnswer as error:
            text = masked_answer(str(error), self._settings)
            self._connection.tls = tls.renewed(self._settings, self._connection.tls)
            raise Unavailable(0, text, advice=advice.for_no_answer(text, tls=self._tls)) from None
        self.sent_bytes += len(body)
        if answer.status != 204 or answer.before_body_sent:
            # A line that contains a secret no longer matches the list of a 400 and is found by halving.
            raise error_of(answer, masked_answer(text_of(answer.body), self._settings))
        self.figures.stored(lines, self._clock() - begun)
        if not is_marked(answer):
            self._warn_of_unmarked()

    def _warn_of_unmarked(self) -> None:
        """Count a 204 that may come from another server, and log the first one."""
        if not self.figures.unmarked:
            logging.getLogger("tower.influxdb").warning(
                "%s answers 204, but without InfluxDB's headers. The records count as stored. If it is not "
                "InfluxDB, correct TOWER_INFLUXDB_URL; `tower status` says more",
                self._settings.influxdb_url,
            )
        self.figures.unmarked += 1

    def close(self) -> None:
        """Close the connection. The next write opens a new one."""
        self._connection.close()
