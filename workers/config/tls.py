"""How the connection to InfluxDB is protected: the authority to trust, and a client certificate."""

import ssl
from contextlib import suppress
from urllib.parse import urlsplit

from workers.config.loopback import is_loopback
from workers.config.settings import Settings
from workers.errors import SettingsError

#: What to do if a secret is sent in clear.
IN_CLEAR = (
    "everybody on the way can read the token or password. Use https:// in TOWER_INFLUXDB_URL, or a tunnel"
)


def context(settings: Settings) -> ssl.SSLContext | None:
    """Return how to verify InfluxDB; None for http://. The files are read now.

    Raises:
        SettingsError: A file cannot be used, or a file is named and the address is no https://.
    """
    files = {
        "TOWER_INFLUXDB_CA_FILE": settings.influxdb_ca_file,
        "TOWER_INFLUXDB_CERT_FILE": settings.influxdb_cert_file,
        "TOWER_INFLUXDB_KEY_FILE": settings.influxdb_key_file,
    }
    if not settings.influxdb_url.startswith("https:"):
        for option, file in files.items():
            if file is not None:
                raise SettingsError(
                    option, "is set, but TOWER_INFLUXDB_URL does not use TLS: begin it with https://"
                )
        return None
    try:
        # With a file, no authority of the system is trusted.
        tls = ssl.create_default_context(cafile=settings.influxdb_ca_file)
    except OSError as error:
        raise SettingsError("TOWER_INFLUXDB_CA_FILE", f"cannot be used: {_reason(error)}") from None
    if settings.influxdb_cert_file is None:
        if settings.influxdb_key_file is not None:
            raise SettingsError("TOWER_INFLUXDB_CERT_FILE", "is missing; TOWER_INFLUXDB_KEY_FILE needs it")
        return tls
    try:
        # With an empty password an encrypted key is an error. Without one, OpenSSL would ask for it.
        tls.load_cert_chain(settings.influxdb_cert_file, settings.influxdb_key_file, password="")
    except OSError as error:
        option = "TOWER_INFLUXDB_KEY_FILE" if settings.influxdb_key_file else "TOWER_INFLUXDB_CERT_FILE"
        raise SettingsError(
            option,
            f"cannot be used with TOWER_INFLUXDB_CERT_FILE: {_reason(error)}. Both must be PEM files, and "
            "the key must not be encrypted",
        ) from None
    return tls


def renewed(settings: Settings, before: ssl.SSLContext | None) -> ssl.SSLContext | None:
    """Return how to verify InfluxDB after a connection has failed: with the files as they are now.

    Args:
        settings: The names of the files.
        before: What was used so far. It is kept if there are no files, or if one is only half written.
    """
    if settings.influxdb_ca_file is None and settings.influxdb_cert_file is None:
        return before
    with suppress(SettingsError):
        return context(settings)
    return before


def is_in_clear(url: str) -> bool:
    """Return whether a request to this address crosses a network without TLS."""
    parts = urlsplit(url)
    return parts.scheme != "https" and not is_loopback(parts.hostname or "")


def _reason(error: OSError) -> str:
    return getattr(error, "reason", "") or error.strerror or str(error)
