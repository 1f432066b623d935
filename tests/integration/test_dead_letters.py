"""A dead letter against real Kafka: told, shown, sent back whole, and deleted."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.support.chain import Chain, record
from tests.support.raw_producer import produce_raw
from tests.support.shell import Operator

pytestmark = pytest.mark.integration

#: What a sender may put beside a record.
KEY = b"\0key \x1b[31m"
HEADERS: list[tuple[str, bytes | None]] = [("trace", b"1\xff"), ("tower.reason", b"mine"), ("trace", None)]


def test_it_is_told_shown_in_full_sent_back_whole_and_deleted(chain: Callable[..., Chain]) -> None:
    pipeline = chain()
    operator = Operator(pipeline)
    then = int(time.time() * 1000) - 60_000
    pipeline.pool.start()
    pipeline.produce([b'{"half\x1b]0;owned\x07'], partition=2, timestamp=then, key=KEY, headers=HEADERS)
    pipeline.drain()
    pipeline.pool.until(
        lambda: bool(operator.json("status")["recent"]["dead_letters"]), 20, "status to tell"
    )
    status = operator("status")
    shown = operator.json("dlq", "show", "0/0")
    text = operator("dlq", "show", "0/0")
    missing = operator("dlq", "show", "0/1")
    sent = operator.json("dlq", "replay", "0/0")
    pipeline.drain()
    back = read(pipeline, 2, 1)
    again = operator.json("dlq", "list", "--not-replayed")
    refused = operator("dlq", "purge", "--replayed")
    planned = operator.json("dlq", "purge", "--through", "0/0", "--dry-run")
    purged = operator.json("dlq", "purge", "--replayed", "--yes")

    assert status.returncode == 1  # all of the last minutes' records
    assert "1 of 1 records became dead letters" in status.stdout
    assert "tower dlq list --reason json" in status.stdout
    line = f"became a dead letter (reason json), the last one from {pipeline.name}[2]@0. `tower dlq show"
    assert line in logs(pipeline)
    assert shown["headers"] == [["trace", "1\\xff"], ["tower.reason", "mine"], ["trace", None]]
    assert shown["tower"]["reason"] == "json"
    assert shown["key"] == KEY.decode()
    assert "\x1b" not in text.stdout
    assert "\\x1b]0;owned\\x07" in text.stdout
    assert missing.returncode == 1
    assert "partition 0 has 0 to 0" in missing.stderr
    assert sent["sent"] == 1
    assert (back.key(), back.timestamp()[1]) == (KEY, then)
    assert back.headers() == [
        *HEADERS,
        ("tower.replayed", f"{pipeline.name}.dlq/0/0".encode()),
        ("tower.replays", b"1"),
    ]
    assert [(letter["letter"], letter["replays"]) for letter in again["letters"]] == [("0/1", 1)]
    assert refused.returncode == 1
    assert "1 messages are deleted for good, 0 of them were never replayed" in refused.stderr
    assert (planned["deleted"], planned["messages"]) == (False, 1)
    assert (purged["deleted"], purged["messages"]) == (True, 1)
    assert [letter["letter"] for letter in operator.json("dlq", "list")["letters"]] == ["0/1"]


def test_a_header_whose_name_is_no_text_stops_nothing(chain: Callable[..., Chain]) -> None:
    """Such a name makes the client's own `headers()` fail, and a dead letter needs the headers."""
    pipeline = chain()
    operator = Operator(pipeline)
    produce_raw(pipeline.lab.bootstrap_servers, pipeline.name, b"{", [(b"\xff\xfe", b"v"), (b"ok", b"1")])
    pipeline.produce((record(seq) for seq in range(10)), partition=0)
    pipeline.pool.start()
    pipeline.drain()
    # Somebody else's message in the dead-letter topic itself, with such a name too.
    produce_raw(pipeline.lab.bootstrap_servers, f"{pipeline.name}.dlq", b"foreign", [(b"\xff", b"v")])
    listed = operator.json("dlq", "list")
    shown = operator.json("dlq", "show", "0/0")
    replayed = operator("dlq", "replay")

    assert sorted(pipeline.sequences()) == list(range(10))
    assert [letter["reason"] for letter in listed["letters"]] == ["json"]
    assert listed["unknown"] == ["0/1"]
    assert shown["headers"] == [["ok", "1"]]
    assert shown["tower"]["unreadable_headers"] == "1"
    assert replayed.returncode == 1
    assert "Tower did not write them" in replayed.stdout


def logs(pipeline: Chain) -> str:
    """What all workers have logged."""
    return "".join(file.read_text() for file in sorted(pipeline.pool.var.glob("worker-*.log")))


def read(pipeline: Chain, partition: int, offset: int) -> Any:
    """One message of the chain's topic."""
    consumer = Consumer({"bootstrap.servers": pipeline.lab.bootstrap_servers, "group.id": "reader"})
    try:
        consumer.assign([TopicPartition(pipeline.name, partition, offset)])
        return consumer.poll(20)
    finally:
        consumer.close()
