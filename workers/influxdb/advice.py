"""What an operator can do about an answer that is not InfluxDB's, or about no answer."""

from collections.abc import Mapping

USE_HTTPS = "This port expects TLS: begin TOWER_INFLUXDB_URL with https://"
USE_HTTP = (
    "This port may not expect TLS: if InfluxDB runs without it, begin TOWER_INFLUXDB_URL with http://"
)
NO_HTTP = (
    "The server on this port does not answer in HTTP: check the host and port in TOWER_INFLUXDB_URL. If "
    "the port expects TLS, begin it with https://"
)
SET_CA = (
    "The server's certificate cannot be verified: set TOWER_INFLUXDB_CA_FILE to the certificate of the "
    "authority that issued it, and check that the name in TOWER_INFLUXDB_URL is the certificate's"
)
SET_CERTIFICATE = (
    "The server asks for a client certificate: set TOWER_INFLUXDB_CERT_FILE and TOWER_INFLUXDB_KEY_FILE"
)
FOLLOW = (
    "The server redirects to another address, and Tower does not follow: set TOWER_INFLUXDB_URL to the "
    "address of InfluxDB itself"
)
NOT_INFLUXDB = (
    "The answer does not come from InfluxDB, so it says nothing about the records: check the host and "
    "port in TOWER_INFLUXDB_URL, and any proxy in between"
)
PROXY_LIMIT = (
    "A proxy or another server limits the size of requests, and one record is over its limit: raise the "
    "limit (nginx: client_max_body_size)"
)

#: What servers write if they receive plain HTTP on a port for TLS: Go, nginx, Apache, HAProxy and Envoy.
_EXPECT_TLS = (
    "HTTP request to an HTTPS server",
    "plain HTTP request was sent to HTTPS port",
    "speaking plain HTTP to an SSL-enabled server port",
)

#: Parts of OpenSSL's errors, with what they mean for the operator.
_TLS_ERRORS = {
    "CERTIFICATE_VERIFY_FAILED": SET_CA,
    "WRONG_VERSION_NUMBER": USE_HTTP,
    "RECORD_LAYER_FAILURE": USE_HTTP,
    "UNEXPECTED_EOF": USE_HTTP,
    "CERTIFICATE_REQUIRED": SET_CERTIFICATE,
    "HANDSHAKE_FAILURE": SET_CERTIFICATE,
}


def for_answer(status: int, text: str, headers: Mapping[bytes, bytes]) -> str:
    """Return the advice for an answer without InfluxDB's marks.

    Args:
        status: HTTP status.
        text: The answer's text.
        headers: The answer's headers, by name in lower case.
    """
    if any(part in text for part in _EXPECT_TLS):
        return USE_HTTPS
    if 300 <= status < 400:
        location = headers.get(b"location", b"").lower()
        return USE_HTTPS if location.startswith(b"https:") else FOLLOW
    return NOT_INFLUXDB


def for_no_answer(text: str, *, tls: bool) -> str:
    """Return the advice for an exchange without an answer; empty if only the usual is known.

    Args:
        text: The error's text.
        tls: Whether the connection was to use TLS.
    """
    if tls:
        upper = text.upper().replace(" ", "_")
        return next((advice for part, advice in _TLS_ERRORS.items() if part in upper), "")
    return NO_HTTP if text.startswith("RemoteProtocolError") else ""
