"""Asks supervisord whether it runs, over its socket."""

import http.client
import socket

#: Seconds for the whole answer.
ANSWER_S = 2.0

#: The variable in which supervisord gives its programs the address of its socket.
VARIABLE = "SUPERVISOR_SERVER_URL"

# By hand instead of xmlrpc.client, which costs 5 MB of memory.
_BODY = b"<?xml version='1.0'?><methodCall><methodName>supervisor.getState</methodName></methodCall>"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=ANSWER_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(ANSWER_S)
        self.sock.connect(self._path)


def why_silent(url: str) -> str:
    """Return why supervisord gives no good answer; empty if it answers that it runs.

    Args:
        url: Value of SUPERVISOR_SERVER_URL.
    """
    connection = _UnixConnection(url.removeprefix("unix://"))
    try:
        connection.request("POST", "/RPC2", _BODY, {"Content-Type": "text/xml"})
        response = connection.getresponse()
        body = response.read(65_536)
    except (OSError, http.client.HTTPException) as error:
        return f"supervisord does not answer: {getattr(error, 'strerror', None) or type(error).__name__}"
    finally:
        connection.close()
    if response.status != 200:
        return f"supervisord answers with status {response.status}"
    if b"<string>RUNNING</string>" not in body:
        return "supervisord is shutting down or restarting"
    return ""
