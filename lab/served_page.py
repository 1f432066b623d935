"""The page of `tower serve` of the demo's pool."""

import http.client
from dataclasses import dataclass
from typing import Self

from lab.system.ports import choose, is_free

#: `tower serve` listens there by default.
HOST, PORT = "127.0.0.1", 8787

#: Seconds that one answer may take.
ANSWER_S = 2.0


@dataclass(frozen=True)
class ServedPage:
    """Where the page is.

    Args:
        port: Port of `tower serve`.
    """

    port: int

    @classmethod
    def on_free_port(cls, *, prefer_default: bool) -> Self:
        """Choose a free port.

        Args:
            prefer_default: Take the port that the documents name if it is free.
        """
        if prefer_default and is_free(HOST, PORT):
            return cls(PORT)
        (port,) = choose(HOST, 1)
        return cls(port)

    @property
    def address(self) -> str:
        """TOWER_SERVE_ADDRESS of the pool."""
        return f"{HOST}:{self.port}"

    @property
    def url(self) -> str:
        """What to open in a browser."""
        return f"http://{self.address}/"

    def answers(self) -> bool:
        """Whether the page can be opened."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=ANSWER_S)
        try:
            connection.request("HEAD", "/")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
