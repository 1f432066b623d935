"""Writes line protocol to InfluxDB and turns its answer into an error or success."""

import json
import ssl
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

from isal import isal_zlib

from workers.config.secret import masked
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable
from workers.influxdb.connection import Connection, DeadlineExceeded, HttpResponse, NoAnswer
from workers.retry import parse_retry_after

#: ISA-L's level 1: a fourth of zlib's CPU time for a smaller body, as measured on lab records.
COMPRESSION = 1

#: zlib window bits that ask for a gzip header and checksum.
GZIP = 31

#: Beginnings of a 400 about the whole body. Only the beginning is matched: the rest may quote a record, and
#: a record with this text would then keep its partition waiting for ever.
BODY_DAMAGED = ("unable to read data: gzip:", "gzip:")

#: Statuses that a server may send before it has read the whole body. They do not judge the lines.
EARLY = frozenset({401, 403, 404, 413})

ADVICE = {
    401: "Check TOWER_INFLUXDB_TOKEN (v1: TOWER_INFLUXDB_USER and TOWER_INFLUXDB_PASSWORD). Files of "
    "secrets are read again before each try",
    403: "Give the token write permission for this bucket",
    404: "Create the organisation, bucket or database, or correct the setting",
}


class Writer:
    """Writes lines over one kept-alive connection, gzipped.

    `write` returns only after a 204, so all of the lines are stored then. If it raises, a part of them may
    be stored too.

    Args:
        settings: Address and credentials. It writes through `/api/v2/write` with a token, or through the v1
            endpoint `/write` with user and password. Lines and answers are the same.
        check: Called while the writer waits; an exception from it ends the write.

    Attributes:
        sent_bytes: Bytes of all request bodies, compressed.
    """

    def __init__(self, settings: Settings, check: Callable[[], None] = lambda: None) -> None:
        self._settings = settings
        parts = urlsplit(settings.influxdb_url)
        # Created only for https, because it costs memory.
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection = Connection(parts.hostname or "", parts.port, tls, check)
        self._path = parts.path + self._target(settings)
        self.sent_bytes = 0

    @staticmethod
    def _target(settings: Settings) -> str:
        if settings.influxdb_api == "v1":
            query = {
                "db": settings.influxdb_database,
                "rp": settings.influxdb_retention_policy,
                "precision": "ns",
            }
            return f"/write?{urlencode(query, quote_via=quote)}"
        query = {
            "org": settings.influxdb_org,
            "bucket": settings.influxdb_bucket,
            "precision": "ns",
        }
        return f"/api/v2/write?{urlencode(query, quote_via=quote)}"

    def _headers(self) -> list[tuple[bytes, bytes]]:
        settings = self._settings
        if settings.influxdb_api == "v2":
            credentials = f"Token {settings.influxdb_token.reveal()}".encode()
        else:
            credentials = b"Basic " + self._pair()
        return [
            (b"Accept-Encoding", b"identity"),
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Encoding", b"gzip"),
            # A header must not end with a space, and a token read from a file may.
            (b"Authorization", credentials.strip()),
        ]

    def _pair(self) -> bytes:
        """Return user and password as HTTP's Basic scheme sends them."""
        pair = f"{self._settings.influxdb_user}:{self._settings.influxdb_password.reveal()}"
        return b64encode(pair.encode())

    def write(self, lines: Sequence[bytes], timeout_s: float) -> None:
        """Store all of `lines`, or raise.

        Args:
            lines: Line protocol with nanosecond times, at least one line.
            timeout_s: Seconds for the whole request, including the connection.

        Raises:
            Unavailable: No answer, 408, 429 or 5xx. Try again.
            Misconfigured: 401, 403 or 404. An operator has to act.
            Rejected: 400 or 422. InfluxDB rejects some of the lines.
            TooLarge: 413, or the time-out. Send fewer lines.
        """
        body = isal_zlib.compress(b"\n".join(lines), COMPRESSION, GZIP)
        try:
            answer = self._connection.post(self._path, self._headers(), body, timeout_s)
        except DeadlineExceeded:
            raise TooLarge(0, f"did not answer within {timeout_s:g} s") from None
        except NoAnswer as error:
            raise Unavailable(0, self._masked(str(error))) from None
        self.sent_bytes += len(body)
        if answer.status == 204 and not answer.before_body_sent:
            return
        self._raise_for(answer, self._masked(_text(answer.body)))

    @staticmethod
    def _raise_for(answer: HttpResponse, text: str) -> NoReturn:
        """Raise the error that belongs to an answer (see the table in docs/delivery.md)."""
        status, retry_after = answer.status, parse_retry_after(answer.retry_after)
        if answer.before_body_sent and status not in EARLY:
            raise Unavailable(status, f"answered before the lines were sent: {text}", retry_after)
        if status == 400 and text.startswith(BODY_DAMAGED):
            # The body was damaged on the network. No line may become a dead letter because of that.
            raise Unavailable(status, text)
        if status in {400, 422}:
            raise Rejected(status, text)
        if status in {401, 403, 404}:
            raise Misconfigured(status, text)
        if status == 413:
            raise TooLarge(status, text)
        # 408, 429, 5xx and all other statuses: only a 204 proves that the lines are stored, and a retry
        # loses nothing.
        raise Unavailable(status, text, retry_after)

    def _masked(self, text: str) -> str:
        """Return a server's text without the secrets that were sent to it.

        If a line contains one of them, it no longer matches the list of a 400 and is found by halving.
        """
        settings = self._settings
        token, password = settings.influxdb_token.reveal(), settings.influxdb_password.reveal()
        return masked(text, token.strip(), password, self._pair().decode() if password else "")

    def close(self) -> None:
        """Close the connection. The next write opens a new one."""
        self._connection.close()


def _text(body: bytes) -> str:
    """Return the message of an answer. InfluxDB's JSON has it in `message` (v2) or `error` (v1)."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            return str(content.get("message") or content.get("error") or text)
    except (ValueError, RecursionError):
        return text
    return text
