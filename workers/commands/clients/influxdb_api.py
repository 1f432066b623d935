"""InfluxDB's HTTP API for the operator's commands: set-up, rights, mappings, short queries.

Records are written by the writer alone (see workers/influxdb/writer.py), which an answer can never confuse.
"""

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from workers.commands.console import show_wait
from workers.config.influxdb_credentials import basic_pair
from workers.errors import CommandError

#: Seconds one request may take.
REQUEST_S = 10.0

#: Most bytes of an answer that are read.
ANSWER_BYTES = 4 * 1024 * 1024

#: What to do if TLS fails, for no reason that is known.
CHECK_CERTIFICATE = "check TOWER_INFLUXDB_URL and the server's certificate (TOWER_INFLUXDB_CA_FILE)"

TRUST = "set TOWER_INFLUXDB_CA_FILE to the certificate of the authority that issued the server's"
USE_ITS_NAME = "use a name or address in TOWER_INFLUXDB_URL that is in the server's certificate"

#: What to do about a certificate, by OpenSSL's code (X509_V_ERR_…) of what is wrong with it.
CERTIFICATE_REMEDIES = {
    9: "set this machine's clock: the certificate is not valid yet",
    10: "renew the server's certificate, or set this machine's clock",
    18: TRUST,
    19: TRUST,
    20: TRUST,
    21: TRUST,
    62: USE_ITS_NAME,
    64: USE_ITS_NAME,
}


@dataclass(frozen=True)
class ApiResponse:
    """One answer: HTTP status, headers by lower-case name, and its JSON (or text) content."""

    status: int
    headers: dict[str, str]
    content: Any

    @property
    def message(self) -> str:
        """InfluxDB's own error text, on one line."""
        content = self.content
        if isinstance(content, dict):
            content = content.get("message") or content.get("error") or ""
        text = " ".join(str(content).split())[:300]
        return "".join(char if char.isprintable() else "." for char in text) or f"status {self.status}"


class InfluxdbApi:
    """Client of one InfluxDB.

    Args:
        url: Its base URL.
        timeout_s: Seconds one request may take.
        tls: How to verify an https:// server; None for the system's authorities.

    Attributes:
        tls: The same, None for an http:// server. The next request uses what it is then.
    """

    def __init__(self, url: str, timeout_s: float = REQUEST_S, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._timeout_s = timeout_s
        parts = urlsplit(url)
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path
        self.tls = (tls or ssl.create_default_context()) if parts.scheme == "https" else None

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        authorization: str = "",
        body: Any = None,
    ) -> ApiResponse:
        """Send one request.

        Args:
            method: GET, POST, …
            path: Path after the base URL.
            query: Query parameters.
            authorization: Value of that header, from `token` or `basic`.
            body: Sent as JSON; bytes as they are; None for an empty body.

        Raises:
            CommandError: InfluxDB does not answer.
        """
        headers = {"Authorization": authorization} if authorization else {}
        if isinstance(body, bytes):
            content = body
        else:
            content = b"" if body is None else json.dumps(body).encode()
            if content:
                headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            target = self._base + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
            with show_wait("InfluxDB's answer", self._timeout_s):
                connection.request(method, target, content, headers)
                response = connection.getresponse()
                raw = response.read(ANSWER_BYTES)
            answer_headers = {name.lower(): value for name, value in response.getheaders()}
            return ApiResponse(response.status, answer_headers, _content(raw))
        except ssl.SSLError as error:
            if error.reason == "WRONG_VERSION_NUMBER":
                raise CommandError(
                    f"the server at {self.url} does not use TLS", "use http:// in TOWER_INFLUXDB_URL"
                ) from None
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            code = getattr(error, "verify_code", 0)
            raise CommandError(
                f"InfluxDB at {self.url}: {why}", CERTIFICATE_REMEDIES.get(code, CHECK_CERTIFICATE)
            ) from None
        except TimeoutError:
            raise CommandError(
                f"InfluxDB at {self.url} gave no answer in {self._timeout_s:g} s",
                "check whether it is overloaded (its log, its CPU) and try again",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandError(
                f"InfluxDB at {self.url} does not answer: {why}", "start it, or correct TOWER_INFLUXDB_URL"
            ) from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=self._timeout_s)
        return http.client.HTTPSConnection(
            self._host, self._port, timeout=self._timeout_s, context=self.tls
        )

    def may_write(self, org: str, bucket: str, authorization: str) -> ApiResponse:
        """Write zero lines to a bucket: 204 if the token may write to it. No point is created.

        InfluxDB checks token, organisation, bucket and permission before it parses the lines.
        """
        return self.write(org, bucket, b"", authorization)

    def write(self, org: str, bucket: str, lines: bytes, authorization: str) -> ApiResponse:
        """Write lines with nanosecond times: 204 if InfluxDB has stored all of them."""
        query = {"org": org, "bucket": bucket, "precision": "ns"}
        return self.ask("POST", "/api/v2/write", query, authorization, lines)

    def may_write_v1(self, database: str, policy: str, authorization: str) -> ApiResponse:
        """Do the same through the v1 endpoint: 404 if there is no mapping."""
        return self.write_v1(database, policy, b"", authorization)

    def write_v1(self, database: str, policy: str, lines: bytes, authorization: str) -> ApiResponse:
        """Write lines through the v1 endpoint."""
        query = {"db": database, "rp": policy, "precision": "ns"}
        return self.ask("POST", "/write", query, authorization, lines)

    def influxql(self, database: str, policy: str, statement: str, authorization: str) -> ApiResponse:
        """Query as the dashboard does. An error that comes with status 200 is turned into a 404."""
        query = {"db": database, "rp": policy, "q": statement, "epoch": "ns"}
        answer = self.ask("GET", "/query", query, authorization)
        content = answer.content
        if answer.status == 200 and isinstance(content, dict):
            errors = [result["error"] for result in content.get("results") or [] if "error" in result]
            if errors:
                return ApiResponse(404, answer.headers, {"message": errors[0]})
        return answer


def result_rows(answer: ApiResponse) -> list[dict[str, Any]]:
    """Read the rows of an InfluxQL answer, each a dict by column."""
    rows = []
    for result in answer.content.get("results", []) if isinstance(answer.content, dict) else []:
        for table in result.get("series", []):
            columns = table["columns"]
            rows += [dict(zip(columns, values, strict=False)) for values in table.get("values", [])]
    return rows


def quoted(name: str) -> str:
    """Quote a name for InfluxQL."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def token(text: str) -> str:
    """Build the Authorization header for a 2.x token."""
    return f"Token {text}"


def basic(user: str, password: str) -> str:
    """Build the Authorization header for a v1 user.

    InfluxDB would read "Token user:password" as a 2.x token.
    """
    return f"Basic {basic_pair(user, password)}"


def _content(raw: bytes) -> Any:
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
