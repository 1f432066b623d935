"""One write of line protocol to InfluxDB, and what its answer means."""

import json
import ssl
from base64 import b64encode
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

from isal import isal_zlib

from workers.config.secret import masked
from workers.config.settings import Settings
from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable
from workers.influxdb.connection import Answer, Connection, NoAnswer
from workers.influxdb.transport import DeadlineExceeded
from workers.retry import parse_retry_after

#: ISA-L's level 1: a fourth of zlib's CPU time for a smaller body, as measured on lab records.
COMPRESSION = 1

#: zlib window bits that ask for a gzip header and checksum.
GZIP = 31

#: How a 400 begins that is about the whole body. Only the beginning is InfluxDB's own: what a sender wrote
#: may stand further on, and would keep a partition waiting for ever if it were believed.
BODY_DAMAGED = ("unable to read data: gzip:", "gzip:")

#: Statuses a server may answer with before it has read the whole body: they say nothing about its lines.
EARLY = frozenset({401, 403, 404, 413})

ADVICE = {
    401: "check TOWER_INFLUXDB_TOKEN (or USER and PASSWORD); it is read again before each try",
    403: "the token may not write to this bucket; give it write permission",
    404: "organisation, bucket or database is missing; create it or correct the setting",
}


class Writer:
    """Writes lines over one kept-alive connection, gzipped.

    `write` returns after a 204 and at no other answer, so whatever follows it in the code may rely on all
    of the lines being stored. A caller may not assume that nothing was stored when it raises.

    Args:
        settings: Address, credentials and time-out. Through `/api/v2/write` and a token, or through the
            v1 `/write` with user and password: the same lines and answers.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        parts = urlsplit(settings.influxdb_url)
        # A context of its own only where it is needed: it costs memory.
        tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._connection = Connection(parts.hostname or "", parts.port, tls)
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
            # A space at the end of a token is no part of a header.
            (b"Authorization", credentials.strip()),
        ]

    def _pair(self) -> bytes:
        """User and password as HTTP's Basic scheme sends them."""
        pair = f"{self._settings.influxdb_user}:{self._settings.influxdb_password.reveal()}"
        return b64encode(pair.encode())

    def write(self, lines: Sequence[bytes], timeout_s: float) -> None:
        """Store all of `lines`, or raise.

        Args:
            lines: Line protocol with nanosecond times, at least one line.
            timeout_s: Seconds for the whole exchange, connecting included.

        Raises:
            Unavailable: No answer, 408, 429, 5xx: try again.
            Misconfigured: 401, 403, 404: a person has to act.
            Rejected: 400, 422: some lines are to blame.
            TooLarge: 413, or the time ran out: send less at once.
        """
        body = isal_zlib.compress(b"\n".join(lines), COMPRESSION, GZIP)
        try:
            answer = self._connection.post(self._path, self._headers(), body, timeout_s)
        except DeadlineExceeded:
            raise TooLarge(0, f"no answer within {timeout_s:g} s") from None
        except NoAnswer as error:
            raise Unavailable(0, self._masked(str(error))) from None
        self.sent_bytes += len(body)
        if answer.status == 204 and not answer.early:
            return
        self._refuse(answer, self._masked(_text(answer.body)))

    @staticmethod
    def _refuse(answer: Answer, text: str) -> NoReturn:
        """Raise what an answer means; docs/delivery.md says what follows."""
        status, retry_after = answer.status, parse_retry_after(answer.retry_after)
        if answer.early and status not in EARLY:
            raise Unavailable(status, f"answered before the lines were sent: {text}", retry_after)
        if status == 400 and text.startswith(BODY_DAMAGED):
            # Not the lines: the body was damaged on its way. No line may become a dead letter for that.
            raise Unavailable(status, text)
        if status in {400, 422}:
            raise Rejected(status, text)
        if status in {401, 403, 404}:
            raise Misconfigured(status, text)
        if status == 413:
            raise TooLarge(status, text)
        # 408, 429 and 5xx; and whatever else is not 204, since only that is proof: keeping the data and
        # trying again is the one reaction that loses nothing.
        raise Unavailable(status, text, retry_after)

    def _masked(self, text: str) -> str:
        """A server's text without the secrets that were sent to it.

        If a line holds one of them, the list of a 400 no longer matches it, and it is found by halving.
        """
        settings = self._settings
        token, password = settings.influxdb_token.reveal(), settings.influxdb_password.reveal()
        return masked(text, token.strip(), password, self._pair().decode() if password else "")

    def close(self) -> None:
        """Close the connection; the next write makes a new one."""
        self._connection.close()


def _text(body: bytes) -> str:
    """The message of an answer: InfluxDB's JSON has it in `message` (v2) or `error` (v1)."""
    text = body.decode("utf-8", "replace")
    try:
        content = json.loads(text)
        if isinstance(content, dict):
            return str(content.get("message") or content.get("error") or text)
    except (ValueError, RecursionError):
        return text
    return text
