"""One write of line protocol to InfluxDB, and what its answer means."""

import http.client
import json
import ssl
import time
from base64 import b64encode
from collections.abc import Sequence
from typing import NoReturn
from urllib.parse import quote, urlencode, urlsplit

from isal import isal_zlib

from workers.errors import Misconfigured, Refused, TooLarge, Unavailable
from workers.retry import parse_retry_after
from workers.settings import Settings

#: ISA-L's level 1: a fourth of zlib's CPU time for a smaller body, as measured on lab records.
COMPRESSION = 1

#: zlib window bits that ask for a gzip header and checksum.
GZIP = 31

#: Seconds to wait for a connection; a server that is there accepts at once.
CONNECT_S = 5.0

#: Shortest time-out: 0 would make the socket one that never waits.
LEAST_S = 0.05

#: Seconds after which an idle connection is made anew before use. influxd closes one after 3 minutes
#: (its http-idle-timeout), and a request on a connection just being closed would be a needless retry.
IDLE_S = 60.0

#: Bytes of an answer that are read: enough for the list of a 400 on a full batch of long lines.
ANSWER_BYTES = 16 * 1024 * 1024

#: How a 400 begins that is about the whole body. Only the beginning is InfluxDB's own: what a sender wrote
#: may stand further on, and would keep a partition waiting for ever if it were believed.
BODY_DAMAGED = ("unable to read data: gzip:", "gzip:")

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
        self._host, self._port = parts.hostname or "", parts.port
        # A context of its own only where it is needed: it costs memory.
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._path = parts.path + self._target(settings)
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0
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

    def _headers(self) -> dict[str, str | bytes]:
        settings = self._settings
        if settings.influxdb_api == "v2":
            credentials = f"Token {settings.influxdb_token.reveal()}".encode()
        else:
            pair = f"{settings.influxdb_user}:{settings.influxdb_password.reveal()}"
            credentials = b"Basic " + b64encode(pair.encode())
        return {
            "Content-Type": "text/plain; charset=utf-8",
            "Content-Encoding": "gzip",
            # Bytes: http.client would encode text as Latin-1, or fail.
            "Authorization": credentials,
        }

    def write(self, lines: Sequence[bytes], timeout_s: float) -> None:
        """Store all of `lines`, or raise.

        Args:
            lines: Line protocol with nanosecond times, at least one line.
            timeout_s: Seconds for the whole exchange to make progress in.

        Raises:
            Unavailable: No answer, 408, 429, 5xx: try again.
            Misconfigured: 401, 403, 404: a person has to act.
            Refused: 400, 422: some lines are to blame.
            TooLarge: 413, or the time ran out: send less at once.
        """
        body = isal_zlib.compress(b"\n".join(lines), COMPRESSION, GZIP)
        status, answer, retry_after = self._exchange(body, timeout_s)
        self.sent_bytes += len(body)
        if status == 204:
            return
        self._refuse(status, answer, retry_after)

    @staticmethod
    def _refuse(status: int, answer: str, retry_after: str | None) -> NoReturn:
        """Raise what a status means; the classes are documented in the README."""
        if status == 400 and answer.startswith(BODY_DAMAGED):
            # Not the lines: the body was damaged on its way. No line may become a dead letter for that.
            raise Unavailable(status, answer)
        if status in {400, 422}:
            raise Refused(status, answer)
        if status in {401, 403, 404}:
            raise Misconfigured(status, answer)
        if status == 413:
            raise TooLarge(status, answer)
        # 408, 429 and 5xx; and whatever else is not 204, since only that is proof: keeping the data and
        # trying again is the one reaction that loses nothing.
        raise Unavailable(status, answer, parse_retry_after(retry_after))

    def _exchange(self, body: bytes, timeout_s: float) -> tuple[int, str, str | None]:
        """Status, text and Retry-After of one request; a connection gone stale is made anew once."""
        for fresh in (False, True):
            connection = self._connect(timeout_s, fresh)
            kept = self._used > 0
            try:
                connection.request("POST", self._path, body, self._headers())
                response = connection.getresponse()
                answer = response.read(ANSWER_BYTES)
                if response.read(1):
                    self.close()
            except TimeoutError as error:
                self.close()
                raise TooLarge(0, f"no answer within {timeout_s:g} s") from error
            except (OSError, http.client.HTTPException) as error:
                self.close()
                if kept and not fresh:
                    continue
                raise Unavailable(0, _summary(error)) from None
            except BaseException:
                # An exchange cut short leaves an answer on the wire that the next one would take for its
                # own: a 204 for lines it never sent.
                self.close()
                raise
            self._used = time.monotonic()
            retry_after = response.getheader("Retry-After")
            if response.will_close:
                self.close()
            return response.status, _text(answer), retry_after
        raise AssertionError("unreachable: the second try returns or raises")

    def _connect(self, timeout_s: float, fresh: bool) -> http.client.HTTPConnection:
        if fresh or (self._used and time.monotonic() - self._used > IDLE_S):
            self.close()
        if self._connection is None:
            if self._tls is None:
                made = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_S)
            else:
                made = http.client.HTTPSConnection(
                    self._host, self._port, timeout=CONNECT_S, context=self._tls
                )
            try:
                made.connect()
            except (OSError, http.client.HTTPException) as error:
                made.close()
                raise Unavailable(0, _summary(error)) from None
            self._connection, self._used = made, 0.0
        if self._connection.sock is not None:
            self._connection.sock.settimeout(max(timeout_s, LEAST_S))
        return self._connection

    def close(self) -> None:
        """Close the connection; the next write makes a new one."""
        if self._connection is not None:
            self._connection.close()
        self._connection, self._used = None, 0.0


def _text(answer: bytes) -> str:
    """The message of an answer: InfluxDB's JSON has it in `message` (v2) or `error` (v1)."""
    text = answer.decode("utf-8", "replace")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if isinstance(content, dict):
        return str(content.get("message") or content.get("error") or text)
    return text


def _summary(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
