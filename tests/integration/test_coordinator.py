"""The operator's commands while no broker can look after the group."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import startup
from lab.kafka import runtime
from lab.kafka.node import Node, NodeSpec, Role
from lab.kafka.topics import TopicAdmin
from lab.system import ports
from lab.system.progress import Progress

ROOT = Path(__file__).resolve().parents[2]

#: Seconds within which a command must have ended.
COMMAND_S = 90.0


@pytest.fixture
def bootstrap(tmp_path: Path) -> Iterator[str]:
    """One broker that cannot make the topic of committed offsets: it should have three copies."""
    quiet = Progress(quiet=True)
    java = runtime.java(quiet)
    broker, controller = ports.choose("localhost", 2)
    spec = NodeSpec(3, Role.COMBINED, broker, controller)
    node = Node(
        spec,
        [spec],
        tmp_path / "kafka",
        lambda: java,
        host="localhost",
        cluster="AAAAAAAAQACAAAAAAAAAAA",
        more={"offsets.topic.replication.factor": "3"},
    )
    startup.format_nodes([node], quiet)
    node.start()
    try:
        node.wait_serving()
        TopicAdmin(f"localhost:{broker}", 1).create("resource", 3)
        yield f"localhost:{broker}"
    finally:
        node.kill()


@pytest.mark.integration
def test_commands_end_and_say_that_the_group_has_no_coordinator(bootstrap: str, tmp_path: Path) -> None:
    """All three at once, since each waits for the coordinator as long as one may take."""
    commands = [("check", "--watch", "0"), ("status",), ("replay", "--from", "earliest")]
    environment = {
        "PATH": os.environ["PATH"],
        "TOWER_KAFKA_BOOTSTRAP_SERVERS": bootstrap,
        "TOWER_INFLUXDB_URL": "http://localhost:1",
        "TOWER_INFLUXDB_TOKEN": "x",
        "TOWER_RUN_DIR": str(tmp_path),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "workers", *words],
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for words in commands
    ]
    try:
        printed = [process.communicate(timeout=COMMAND_S)[0] for process in running]
    finally:
        for process in running:
            process.kill()

    for process, text in zip(running, printed, strict=True):
        assert process.returncode == 1, text
        assert "no broker is the coordinator of group tower" in text
        assert "__consumer_offsets" in text
