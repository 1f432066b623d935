"""Formatting, starting and stopping the lab's servers, all of them at once."""

import time
from collections.abc import Sequence

from lab.errors import BusyError, LabError, SlowError
from lab.influxdb.server import InfluxdbServer
from lab.kafka.node import Node, Role
from lab.system import ports
from lab.system.progress import Progress, Step
from lab.system.server_process import Server, uninterrupted

#: Seconds for all servers to serve. Six JVMs on two busy cores need 30.
SERVE_S = 120.0
#: Seconds for the formatting of the nodes' folders.
FORMAT_S = 120.0


def format_nodes(nodes: Sequence[Node], progress: Progress) -> None:
    """Format the data folders of the nodes that have none.

    Raises:
        LabError: One could not be made.
    """
    raw = [node for node in nodes if not node.formatted]
    if not raw:
        return
    with progress.step(f"formatting {counted(len(raw), 'Kafka node')}"):
        with uninterrupted():
            children = [(node, node.begin_format()) for node in raw]
        try:
            for node, child in children:
                node.end_format(child, FORMAT_S)
        finally:
            for _, child in children:
                if child.poll() is None:
                    child.kill()
                    child.wait()


def start(servers: Sequence[Server], host: str, started: list[Server], progress: Progress) -> None:
    """Start the servers that do not run and wait until all answer.

    Args:
        servers: All servers of the lab.
        host: Name or address that they listen on.
        started: The servers that this call starts are added, so that the caller can stop them.
        progress: Where the wait is shown.

    Raises:
        BusyError: A port is in use.
        LabError: A server ended, or did not serve in time.
    """
    still = [server for server in servers if server.process() is None]
    for server in still:
        for port in server.ports:
            if not ports.is_free(host, port):
                raise BusyError(
                    f"port {port}, wanted for {server.name}, is in use; see by whom with "
                    f"`ss -ltnp 'sport = :{port}'`, or choose other ports (0: any free one)"
                )
    with progress.step("starting Kafka and InfluxDB") as step:
        for server in still:
            started.append(server)
            server.start()
        _wait(servers, step)


def _wait(servers: Sequence[Server], step: Step) -> None:
    deadline = time.monotonic() + SERVE_S
    waiting = list(servers)
    while waiting := [server for server in waiting if not server.serving()]:
        for server in waiting:
            why = server.exited()
            if why is not None:
                raise LabError(why)
        names = ", ".join(server.name for server in waiting)
        if time.monotonic() > deadline:
            tails = "\n".join(f"{server.log}:\n{server.log_tail()}" for server in waiting)
            raise SlowError(f"not serving after {SERVE_S:.0f} s: {names}\n{tails}")
        far = f"{len(servers) - len(waiting)} of {len(servers)} serve"
        step.note(f"{far}, waiting for {names}" if len(waiting) < 3 else far)
        time.sleep(0.1)


def stop(influxdb: InfluxdbServer, nodes: Sequence[Node], progress: Progress, *, at_once: bool) -> None:
    """Stop all servers.

    Args:
        influxdb: Stopped with the brokers.
        nodes: Brokers hand their leaderships over on the way out, for which they need the
            controllers, so these come last.
        progress: Where the wait is shown.
        at_once: Kill them: their data is removed anyway.
    """
    brokers = [node for node in nodes if node.spec.role is not Role.CONTROLLER]
    controllers = [node for node in nodes if node.spec.role is Role.CONTROLLER]
    with progress.step("stopping Kafka and InfluxDB"):
        for group in ([influxdb, *brokers], controllers):
            for server in group:
                if at_once:
                    server.kill()
                else:
                    server.terminate()
            for server in group:
                server.stop()


def counted(number: int, noun: str) -> str:
    """`1 node`, `3 nodes`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
