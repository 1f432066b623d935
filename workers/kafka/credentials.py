"""Passwords, keys and certificates in files, which may be others than a client of Kafka once read there."""

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from workers.config.secret import Secret
from workers.config.settings import Settings

#: Seconds between two looks at the files while Kafka refuses what they held.
CHECK_S = 1.0

#: Seconds for which an error counts as a refusal: librdkafka may keep the same one to itself for 30 s.
REJECTED_S = 60.0


class Credentials:
    """What the files that Kafka's properties name held when a client was made.

    A client reads them once. One that was refused may be replaced where they are others now; one that was
    not is left in peace, since a new password often is in the file before Kafka knows it.

    Args:
        settings: The properties.
        clock: Monotonic seconds.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._refused_at = self._looked_at = float("-inf")
        self._digest = self._read()

    def reject(self) -> None:
        """Kafka does not take them, or the client not the certificate of Kafka."""
        self._refused_at = self._clock()

    def have_changed(self) -> bool:
        """Whether they were refused of late and their files hold something else now."""
        now = self._clock()
        if now - self._refused_at > REJECTED_S or now - self._looked_at < CHECK_S:
            return False
        self._looked_at = now
        return self._read() != self._digest

    def _read(self) -> bytes:
        digest = hashlib.sha256()
        for key, value in sorted(self._settings.kafka.items()):
            content = b""
            if isinstance(value, Secret):
                value.reread()
                content = value.reveal().encode()
            elif key.endswith(".location"):
                with suppress(OSError):  # a folder, or missing: the client says what it thinks of that
                    content = Path(value).read_bytes()
            digest.update(f"{key} {len(content)} ".encode() + content)
        return digest.digest()
