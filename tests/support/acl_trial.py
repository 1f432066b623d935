"""Tower's commands as users that have the rights of a row of docs/settings.md, or lack one of them."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka import Producer

from lab.lab import Lab
from lab.system import ports
from tests.pictures.terminal import Terminal
from tests.support.acl_kafka import AclKafka, Right
from tests.support.chain import record
from tests.support.pool import ROOT
from tests.support.served import until

#: What a user has who lacks a right: the weaker one that it includes.
WEAKER = {
    **dict.fromkeys(("READ", "WRITE", "DELETE"), "DESCRIBE"),
    "ALTER_CONFIGS": "DESCRIBE_CONFIGS",
}

#: Commands that end by themselves.
COMMANDS = {
    "status": ("status", "--json"),
    "check": ("check", "--watch", "0", "--json"),
    "dlq list": ("dlq", "list", "--json"),
    "dlq show": ("dlq", "show", "0/0"),
    "dlq replay": ("dlq", "replay"),
    "dlq purge": ("dlq", "purge", "--all", "--yes"),
    "replay": ("replay", "--from", "earliest"),
    "provision": ("provision",),
}

#: Seconds until a worker or a page has done its work, or says which right is missing.
WORK_S = 40.0

HEADERS = {"tower.reason": "json", "tower.partition": "0", "tower.offset": "0"}


@dataclass(frozen=True)
class Trial:
    """One command by a user with the rights of its row, or with all of them but one."""

    command: str
    rights: tuple[Right, ...]
    missing: Right | None = None
    protocol: str = "classic"

    def __str__(self) -> str:
        by = f"{self.command} ({self.protocol})" if self.command == "workers" else self.command
        return f"{by} without {self.missing}".format("tower") if self.missing else by

    def given(self, name: str) -> set[Right]:
        rights = {right for right in self.rights if right != self.missing}
        if self.missing and self.missing.operation in WEAKER:
            rights.add(Right(WEAKER[self.missing.operation], self.missing.resource))
        return {Right(right.operation, right.resource.format(name)) for right in rights}


class Tower:
    """Tower as the user of one trial, with a record and a dead letter to work on."""

    def __init__(self, kafka: AclKafka, lab: Lab, folder: Path, name: str, trial: Trial) -> None:
        self.trial, self.name, self.kafka, self.lab = trial, name, kafka, lab
        (self.port,) = ports.choose("127.0.0.1", 1)
        self.environment = lab.worker_environment() | {
            "TOWER_TOPIC": self.name,
            "TOWER_DEAD_LETTER_TOPIC": f"{self.name}.dlq",
            "TOWER_KAFKA_GROUP_ID": self.name,
            "TOWER_KAFKA_GROUP_PROTOCOL": self.trial.protocol,
            "TOWER_MEASUREMENT": self.name,
            "TOWER_WORKER": "0",
            "TOWER_WORKERS": "1",
            "TOWER_DRAIN_S": "1",
            "TOWER_RUN_DIR": str(folder / self.name),
            "TOWER_SERVE_ADDRESS": f"127.0.0.1:{self.port}",
            **kafka.user(self.trial.given(self.name)),
        }
        (folder / self.name).mkdir()
        self.log = folder / f"{self.name}.log"

    def prepare(self) -> None:
        for topic in (self.name, f"{self.name}.dlq"):
            self.kafka.topics.create(topic, 1)
        if self.trial.command == "provision":
            # Wrong, so that it is changed.
            self.kafka.topics.configure(f"{self.name}.dlq", {"cleanup.policy": "compact"})
        headers = {**HEADERS, "tower.topic": self.name}
        producer = Producer({"bootstrap.servers": self.kafka.plain, "log_level": 0})
        producer.produce(self.name, record(1))
        producer.produce(f"{self.name}.dlq", b"{", headers=list(headers.items()))
        if self.trial.command == "workers":
            producer.produce(self.name, b"{")
        assert producer.flush(10) == 0

    def run(self) -> tuple[int, str]:
        """Run the command that ends by itself; its exit code and what it printed."""
        words = [sys.executable, "-m", "workers", *COMMANDS[self.trial.command]]
        done = subprocess.run(
            words, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
        )
        return done.returncode, done.stdout + done.stderr

    def stay(self, over: Callable[[str], object]) -> str:
        """Run the command that stays until its work is over; what it logged or showed."""
        command = {"workers": "run"}.get(self.trial.command, self.trial.command)
        words = [sys.executable, "-m", "workers", command]
        if command == "top":
            with Terminal(words, 200, 30, ROOT, self.environment) as terminal:
                terminal.until(lambda lines: bool(over("\n".join(lines))), WORK_S)
                return "\n".join(terminal.lines)
        with (
            self.log.open("wb") as log,
            subprocess.Popen(words, env=self.environment, cwd=ROOT, stdout=log, stderr=log) as process,
        ):
            try:
                until(lambda: bool(over(self.log.read_text())), WORK_S, str(self.trial))
            except TimeoutError as error:
                raise TimeoutError(f"{error}\n{self.log.read_text()}") from None
            finally:
                process.terminate()
        return self.log.read_text()
