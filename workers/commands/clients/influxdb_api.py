"""InfluxDB's API as the operator's commands need it: set-up, rights, mappings, small questions.

Writing points is the writer's work alone (see writer.py).
"""

import http.client
import json
import ssl
from base64 import b64encode
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from workers.commands.console import seen
from workers.errors import CommandError

#: Seconds one request may take.
REQUEST_S = 10.0

#: Bytes of an answer that are read.
ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """One answer: HTTP status, headers by lower-case name, and its JSON (or text) content."""

    status: int
    headers: dict[str, str]
    content: Any

    @property
    def message(self) -> str:
        """InfluxDB's own words about a refusal, on one line."""
        content = self.content
        if isinstance(content, dict):
            content = content.get("message") or content.get("error") or ""
        text = " ".join(str(content).split())[:300]
        return "".join(char if char.isprintable() else "." for char in text) or f"status {self.status}"


class InfluxdbApi:
    """Asks one InfluxDB.

    Args:
        url: Where it listens.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        parts = urlsplit(url)
        self._host, self._port, self._base = parts.hostname or "", parts.port, parts.path
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None

    def ask(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        authorization: str = "",
        body: Any = None,
    ) -> Answer:
        """One request.

        Args:
            method: GET, POST, …
            path: After the server's own address.
            query: Parameters of the address.
            authorization: Value of that header, from `token` or `basic`.
            body: Sent as JSON; None for an empty one.

        Raises:
            CommandError: No answer, with what to do.
        """
        headers = {"Authorization": authorization} if authorization else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection = self._connect()
        try:
            target = self._base + path + (f"?{urlencode(query, quote_via=quote)}" if query else "")
            with seen("InfluxDB's answer", REQUEST_S):
                connection.request(method, target, b"" if body is None else json.dumps(body), headers)
                response = connection.getresponse()
                raw = response.read(ANSWER_BYTES)
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, _content(raw))
        except ssl.SSLError as error:
            why = getattr(error, "verify_message", "") or error.reason or str(error)
            raise CommandError(
                f"InfluxDB at {self.url}: {why}",
                "check TOWER_INFLUXDB_URL and the server's certificate (SSL_CERT_FILE names further ones)",
            ) from None
        except TimeoutError:
            raise CommandError(
                f"InfluxDB at {self.url} gave no answer in {REQUEST_S:g} s",
                "see whether it is busy (its own log, its CPU), and try again",
            ) from None
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise CommandError(
                f"InfluxDB at {self.url} does not answer: {why}", "start it, or correct TOWER_INFLUXDB_URL"
            ) from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=REQUEST_S)
        return http.client.HTTPSConnection(self._host, self._port, timeout=REQUEST_S, context=self._tls)

    def may_write(self, org: str, bucket: str, authorization: str) -> Answer:
        """Write nothing to a bucket: 204 where the token might write, and no point is made.

        InfluxDB looks at token, organisation, bucket and right before it looks at the lines.
        """
        query = {"org": org, "bucket": bucket, "precision": "ns"}
        return self.ask("POST", "/api/v2/write", query, authorization)

    def may_write_v1(self, database: str, policy: str, authorization: str) -> Answer:
        """The same through the v1 endpoint: 404 where there is no mapping."""
        query = {"db": database, "rp": policy, "precision": "ns"}
        return self.ask("POST", "/write", query, authorization)

    def influxql(self, database: str, policy: str, question: str, authorization: str) -> Answer:
        """Ask as the dashboard asks. A refusal may come with 200 and `error` inside."""
        query = {"db": database, "rp": policy, "q": question, "epoch": "ns"}
        answer = self.ask("GET", "/query", query, authorization)
        content = answer.content
        if answer.status == 200 and isinstance(content, dict):
            errors = [result["error"] for result in content.get("results") or [] if "error" in result]
            if errors:
                return Answer(404, answer.headers, {"message": errors[0]})
        return answer


def series(answer: Answer) -> list[dict[str, Any]]:
    """Rows of an InfluxQL answer, each a dict of its columns."""
    found = []
    for result in answer.content.get("results", []) if isinstance(answer.content, dict) else []:
        for each in result.get("series", []):
            found += [dict(zip(each["columns"], values, strict=False)) for values in each.get("values", [])]
    return found


def quoted(name: str) -> str:
    """A name in InfluxQL."""
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def token(text: str) -> str:
    """The header for a 2.x token."""
    return f"Token {text}"


def basic(user: str, password: str) -> str:
    """The header for a v1 user: "Token user:password" would be taken for a 2.x token."""
    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def _content(raw: bytes) -> Any:
    text = raw.decode("utf-8", "replace")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
