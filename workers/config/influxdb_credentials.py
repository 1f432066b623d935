"""The credentials that are sent to InfluxDB, and their masks in what it answers."""

from base64 import b64encode

from workers.config.secret import masked
from workers.config.settings import Settings


def basic_pair(user: str, password: str) -> str:
    """Return user and password as HTTP's Basic scheme sends them."""
    return b64encode(f"{user}:{password}".encode()).decode()


def masked_answer(text: str, settings: Settings) -> str:
    """Return a server's text without the secrets that were sent to it: as they are, and in Basic's form.

    Args:
        text: What the server sent, or an error that quotes it.
        settings: The settings with the credentials.
    """
    token, password = settings.influxdb_token.reveal(), settings.influxdb_password.reveal()
    pair = basic_pair(settings.influxdb_user, password) if password else ""
    return masked(text, token.strip(), password, pair)
