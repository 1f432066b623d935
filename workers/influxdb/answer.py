"""Turns an answer of a server into the error that it means.

Only InfluxDB can reject lines. An answer of a proxy, of another server or of a wrong port says nothing
about them: it is a reason to wait.
"""

import json

from workers.errors import Misconfigured, Rejected, TooLarge, Unavailable, WriteError
from workers.influxdb import advice
from workers.influxdb.connection import HttpResponse
from workers.retry import parse_retry_after

#: Beginnings of a 400 about the whole body. Only the beginning is matched: the rest may quote a record, and
#: a record with this text would then keep its partition waiting for ever.
BODY_DAMAGED = ("unable to read data: gzip:", "gzip:")

#: Statuses that a server may send before it has read the whole body. They do not judge the lines.
EARLY = frozenset({401, 403, 404, 413})

#: Headers that InfluxDB 1.x and 2.x send with every answer. InfluxDB 3 sends them with that of /ping alone.
MARKS = (b"x-influxdb-version", b"x-influxdb-build")

#: Beginnings of InfluxDB's errors. An answer that breaks off, or is over the limit, has no more than that.
FORMS = (b'{"code":"', b'{"error":"')

#: Characters kept of a text that does not list lines: a worker keeps it while it waits.
TEXT_CHARACTERS = 1_000

ADVICE = {
    401: "Check TOWER_INFLUXDB_TOKEN (v1: TOWER_INFLUXDB_USER and TOWER_INFLUXDB_PASSWORD). Files of "
    "secrets are read again before each try",
    403: "Give the token write permission for this bucket",
    404: "Create the organisation, bucket or database, or correct the setting",
}


def error_of(response: HttpResponse, text: str) -> WriteError:
    """Return the error that belongs to an answer (see the table in docs/delivery.md).

    Args:
        response: Any answer but a 204 to the whole request.
        text: Its text, as `text_of` returns it, without secrets.
    """
    status = response.status
    by_influxdb = is_influxdbs(response)
    # If the body was damaged on the network, no line may become a dead letter because of that.
    is_damaged = status == 400 and text.startswith(BODY_DAMAGED)
    early = response.before_body_sent and status not in EARLY
    if status in {400, 422} and by_influxdb and not early and not is_damaged:
        return Rejected(status, text)
    text = text[:TEXT_CHARACTERS]
    retry_after = parse_retry_after(response.headers.get(b"retry-after", b"").decode("latin-1") or None)
    hint = "" if by_influxdb else advice.for_answer(status, text, response.headers)
    if early:
        return Unavailable(status, f"answered before the lines were sent: {text}", retry_after)
    if status == 413:
        return TooLarge(status, text, "" if by_influxdb else advice.PROXY_LIMIT, by_influxdb=by_influxdb)
    if status in {401, 403} or (status == 404 and by_influxdb):
        return Misconfigured(status, text, ADVICE[status] if by_influxdb else f"{ADVICE[status]}. {hint}")
    # 408, 429, 5xx and all other statuses: only a 204 proves that the lines are stored, and a retry loses
    # nothing. Proxies answer 408, 429 and 5xx for InfluxDB, so these say nothing about the address.
    return Unavailable(status, text, retry_after, "" if status in {408, 429} or status >= 500 else hint)


def is_influxdbs(response: HttpResponse) -> bool:
    """Return whether an error has InfluxDB's marks: its header, and a body in its form."""
    if not is_marked(response):
        return False
    content = _content(response.body.decode("utf-8", "replace"))
    is_v2 = isinstance(content.get("code"), str) and isinstance(content.get("message"), str)
    is_v1 = isinstance(content.get("error"), str)
    return is_v1 or is_v2 or (not content and response.body.startswith(FORMS))


def is_marked(response: HttpResponse) -> bool:
    """Return whether an answer has one of InfluxDB's headers."""
    return any(mark in response.headers for mark in MARKS)


def text_of(body: bytes) -> str:
    """Return the text of an error. InfluxDB's JSON has it in `message` (v2) or `error` (v1)."""
    text = body.decode("utf-8", "replace")
    content = _content(text)
    return str(content.get("message") or content.get("error") or text)


def _content(text: str) -> dict[str, object]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
