"""`tower serve` of a pool under test, asked over HTTP."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families

#: Seconds for one answer.
ANSWER_S = 10.0


class Served:
    """Asks one `tower serve`.

    Args:
        port: Its port on loopback.
    """

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> tuple[int, bytes]:
        """The status and content of one path; status 0 if nothing answers."""
        try:
            with urlopen(self.url + path, timeout=ANSWER_S) as answer:  # noqa: S310 - http, on loopback
                return answer.status, answer.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()
        except (URLError, ConnectionError):
            return 0, b""

    def json(self, path: str) -> Any:
        """The JSON of one path, whatever its status; None if nothing answers."""
        content = self.get(path)[1]
        return json.loads(content) if content else None

    def sums(self, name: str, *by: str) -> dict[tuple[str, ...], float]:
        """The samples of one metric, added up by these labels."""
        sums: dict[tuple[str, ...], float] = {}
        for family in text_string_to_metric_families(self.get("/metrics")[1].decode()):
            for sample in family.samples:
                if sample.name == name:
                    key = tuple(sample.labels[label] for label in by)
                    sums[key] = sums.get(key, 0.0) + sample.value
        return sums


def until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Wait for a condition.

    Raises:
        TimeoutError: It did not come.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout_s:g} s for {what}")
        time.sleep(0.1)
