"""The WSGI application: a closed list of paths, all of them read-only."""

import json
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from wsgiref.types import StartResponse, WSGIEnvironment

from workers.config.loopback import is_loopback

#: The page loads nothing from elsewhere, and nothing may embed it.
CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

#: Headers of every answer.
HEADERS = (
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
)

REASONS = {
    200: "OK",
    404: "Not Found",
    405: "Method Not Allowed",
    421: "Misdirected Request",
    500: "Internal Server Error",
    503: "Service Unavailable",
}


@dataclass(frozen=True)
class Page:
    """One answer: status, type and bytes of its content, further headers."""

    content: bytes
    kind: str = "text/plain; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = field(default=())


def as_json(content: Any, status: int = 200, *, indent: int | None = 1) -> Page:
    """Build an answer in JSON; `indent` is for people."""
    return Page(json.dumps(content, indent=indent).encode() + b"\n", "application/json", status)


#: Answers a request, given the value of its Accept header.
Route = Callable[[str], Page]


class Application:
    """Answers GET and HEAD for its routes, and nothing else.

    Args:
        routes: The routes by path.
        host: The host it is served on. On loopback, a request whose Host header has neither this name nor
            one of loopback is refused. A page of the web could otherwise read the answers, by a name of
            its own that resolves to this machine.
    """

    def __init__(self, routes: Mapping[str, Route], host: str) -> None:
        self._routes = routes
        self._host = host.lower()
        self._loopback_only = _leads_to_loopback(host)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request, as WSGI defines it."""
        page = self._answer(environ)
        headers = [("Content-Type", page.kind), ("Content-Length", str(len(page.content)))]
        start_response(f"{page.status} {REASONS[page.status]}", [*headers, *HEADERS, *page.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [page.content]

    def _answer(self, environ: WSGIEnvironment) -> Page:
        if self._loopback_only and not self._is_own(environ.get("HTTP_HOST", "localhost")):
            return Page(
                b"This address answers to localhost only. Set TOWER_SERVE_ADDRESS to this machine's own "
                b"address to serve other machines.\n",
                status=421,
            )
        if environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
            return Page(
                b"Only GET: nothing can be changed here.\n", status=405, headers=(("Allow", "GET"),)
            )
        route = self._routes.get(environ["PATH_INFO"])
        if route is None:
            return Page(f"There are: {' '.join(self._routes)}\n".encode(), status=404)
        try:
            return route(environ.get("HTTP_ACCEPT", ""))
        except Exception:
            # One request failed: the others must go on, and the log says what to report.
            logging.getLogger("tower.serve").exception("A request failed. Please report the lines below")
            return Page(b"This request failed; the log of `tower serve` says why.\n", status=500)

    def _is_own(self, host: str) -> bool:
        """Return whether a Host header names this machine as it is served."""
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        name = name.removeprefix("[").removesuffix("]").lower()
        return name == self._host or is_loopback(name)


def _leads_to_loopback(host: str) -> bool:
    """Return whether a host is loopback, or resolves to it, as a machine's own name does on Debian."""
    if is_loopback(host):
        return True
    try:
        addresses = [str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        # The server says why it cannot listen there.
        return False
    return all(map(is_loopback, addresses))
