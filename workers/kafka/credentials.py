"""Passwords, keys and certificates in files, which may change while a Kafka client runs."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workers.config.secret import Secret
from workers.config.settings import Settings

#: Seconds between two reads of the files after Kafka rejected the credentials.
CHECK_S = 1.0

#: Seconds for which a rejection counts. librdkafka may suppress a repeated error for 30 s.
REJECTED_S = 60.0


class Credentials:
    """The content of the credential files when a client was created.

    A client reads the files once. It may be replaced if Kafka rejected the credentials and the files have
    changed since. A client that works is not replaced: a new password is often in the file before Kafka
    accepts it.

    Args:
        settings: The Kafka properties.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._rejected_at = self._checked_at = float("-inf")
        self._digest = self._read()

    def reject(self) -> None:
        """Note that Kafka rejected the credentials, or the client the broker's certificate."""
        self._rejected_at = self._clock()

    def have_changed(self) -> bool:
        """Return whether they were rejected within `REJECTED_S` and the files have changed since."""
        now = self._clock()
        if now - self._rejected_at > REJECTED_S or now - self._checked_at < CHECK_S:
            return False
        self._checked_at = now
        return self._read() != self._digest

    def _read(self) -> bytes:
        digest = hashlib.sha256()
        for key, value in sorted(self._settings.kafka.items()):
            content = b""
            if isinstance(value, Secret):
                value.reread()
                content = value.reveal().encode()
            elif key.endswith(".location"):
                # A folder or a missing file: the client reports it.
                with suppress(OSError):
                    content = Path(value).read_bytes()
            digest.update(f"{key} {len(content)} ".encode() + content)
        return digest.digest()
