"""The lab as it was: every node runs, every replica is in sync, InfluxDB serves."""

import time

from lab.kafka.topics import OFFSETS
from lab.lab import Lab

#: Seconds for nodes that were killed to serve again and to catch up.
REPAIR_S = 120.0


def repair(lab: Lab, timeout_s: float = REPAIR_S) -> float:
    """Start what does not run, wake what is paused, and wait until all of it serves.

    Returns:
        Seconds it took.

    Raises:
        TimeoutError: It does not; names the nodes.
    """
    begun = time.monotonic()
    servers = [*lab.nodes, lab.influxdb]
    for server in servers:
        if server.pid is None:
            server.start()
        else:
            server.resume()
    while True:
        silent = [server.name for server in servers if server.pid is None or not server.serving()]
        if not silent and lab.topics.all_in_sync(OFFSETS):
            return time.monotonic() - begun
        if time.monotonic() - begun > timeout_s:
            raise TimeoutError(
                f"after {timeout_s:g} s these do not serve: {silent or 'replicas of ' + OFFSETS}"
            )
        time.sleep(0.2)
