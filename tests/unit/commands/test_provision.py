"""Provisioning: the wait for the servers, the topics' settings, and the files of the secrets."""

import os
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from workers.commands import console
from workers.commands.console import ProgressWait
from workers.commands.dlq.dead_letter import OVERHEAD_BYTES
from workers.commands.main import tower
from workers.commands.provision import readiness
from workers.commands.provision.kafka import (
    DEAD_LETTER_BYTES,
    dead_letter_config,
    min_in_sync,
    repairs,
)
from workers.commands.provision.secret_file import read_secret, secret_draft
from workers.errors import CommandError
from workers.exit_codes import FAILED


class Server:
    """Fails a number of times, then answers."""

    def __init__(self, failures: int) -> None:
        self.failures = failures

    def answer(self) -> str:
        if self.failures:
            self.failures -= 1
            raise CommandError("no broker can be reached")
        return "ready"


def test_provisioning_waits_until_a_server_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "RETRY_S", 0.01)

    assert readiness.retried(Server(failures=3).answer, ProgressWait("Kafka", 60)) == "ready"


def test_without_a_wait_there_is_one_attempt() -> None:
    server = Server(failures=3)

    with pytest.raises(CommandError, match="no broker"):
        readiness.retried(server.answer, ProgressWait("Kafka", 0))
    assert server.failures == 2


def test_the_wait_ends_with_the_servers_own_error_and_says_what_it_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(console, "PROGRESS_S", 0.2)
    monkeypatch.setattr(readiness, "RETRY_S", 0.1)
    env = {"TOWER_KAFKA_BOOTSTRAP_SERVERS": "localhost:1"}
    before = time.monotonic()

    outcome = CliRunner().invoke(tower, ["provision", "--wait", "0.5"], env=env)

    assert outcome.exit_code == FAILED
    assert 0.5 <= time.monotonic() - before < 30
    assert "waiting for Kafka (" in outcome.stderr
    assert "no broker can be reached (localhost:1: Connection refused)" in outcome.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("largest_message", "largest_letter"),
    [
        pytest.param(1_048_588, DEAD_LETTER_BYTES, id="Kafka's default"),
        pytest.param(30_000_000, 30_000_000 + OVERHEAD_BYTES, id="larger records"),
    ],
)
def test_a_dead_letter_fits_where_its_record_did(largest_message: int, largest_letter: int) -> None:
    config = dead_letter_config(largest_message)

    assert config["max.message.bytes"] == str(largest_letter)
    assert config["cleanup.policy"] == "delete"


def test_settings_are_repaired_that_lose_records_and_leaves_what_a_person_chose() -> None:
    wanted = {
        "min.insync.replicas": "2",
        "cleanup.policy": "delete",
        "max.message.bytes": "100",
        "retention.ms": "7",
    }

    assert repairs(
        {"min.insync.replicas": "1", "cleanup.policy": "compact", "max.message.bytes": "99"}, wanted
    ) == {
        "min.insync.replicas": "2",
        "cleanup.policy": "delete",
        "max.message.bytes": "100",
    }
    assert not repairs(
        {
            "min.insync.replicas": "3",
            "cleanup.policy": "delete",
            "max.message.bytes": "101",
            "retention.ms": "1",
        },
        wanted,
    )
    assert [min_in_sync(copies) for copies in (1, 2, 3, 5)] == ["1", "1", "2", "2"]


def test_a_secret_is_saved_whole_for_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "secrets" / "token"
    with secret_draft(file) as draft:
        assert not file.exists()
        draft.save("canary")

    assert read_secret(file) == "canary"
    assert file.stat().st_mode & 0o777 == 0o600
    assert list(file.parent.iterdir()) == [file]


def test_a_draft_that_fails_leaves_nothing(tmp_path: Path) -> None:
    file = tmp_path / "token"
    with pytest.raises(ZeroDivisionError), secret_draft(file):
        _ = 1 / 0

    assert list(tmp_path.iterdir()) == []
    assert read_secret(file) == ""


def test_a_secret_that_cannot_be_saved_is_an_error_before_it_is_generated(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CommandError, match="cannot be written"), secret_draft(tmp_path / "file" / "token"):
        pytest.fail("the secret would have been made")


def test_a_group_may_read_the_secret_and_nobody_else(tmp_path: Path) -> None:
    """As root the group is one it is no member of, as in the container."""
    group = 10001 if os.geteuid() == 0 else os.getegid()
    file = tmp_path / "token"
    with secret_draft(file, group) as draft:
        draft.save("canary")

    assert file.stat().st_mode & 0o777 == 0o640
    assert (file.stat().st_uid, file.stat().st_gid) == (os.geteuid(), group)
