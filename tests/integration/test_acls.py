"""The table of rights in docs/settings.md on a Kafka with ACLs: a row is enough, and all of it is needed.

Each trial has a topic, a topic of dead letters, a group and a user of its own, so all run at the same time.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from lab.lab import Lab
from tests.support.acl_kafka import PASSWORD, AclKafka, Right
from tests.support.acl_trial import COMMANDS, Tower, Trial
from tests.support.pool import ROOT
from tests.support.served import Served

pytestmark = pytest.mark.integration

#: The columns of the table, for a group of that name.
RESOURCES = ("topic {0}", "topic {0}.dlq", "group {0}", "group {0}-dlq-replay", "the cluster")

#: Of a topic of records, `provision` changes only min.insync.replicas, and only if there are three brokers.
NEEDS_THREE_BROKERS = ("provision", Right("ALTER_CONFIGS", RESOURCES[0]))


def trials() -> Iterator[Trial]:
    section = (ROOT / "docs" / "settings.md").read_text().partition("\n## Kafka's ACLs\n")[2]
    lines = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    for first, *cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in lines[1:]):
        rights = tuple(
            Right(operation, resource)
            for cell, resource in zip(cells, RESOURCES, strict=True)
            for operation in filter(None, cell.split(", "))
        )
        for command in re.findall(r"`([\w ]+)`", first) or [first]:
            for protocol in ("classic", "consumer") if command == "workers" else ("classic",):
                for missing in (None, *rights):
                    if (command, missing) != NEEDS_THREE_BROKERS:
                        yield Trial(command, rights, missing, protocol)


TRIALS = list(trials())


def has_stored(tower: Tower, _: str) -> bool:
    topics, dead_letters = tower.kafka.topics, f"{tower.name}.dlq"
    rows = tower.lab.query_rows(f'SELECT "seq" FROM "{tower.name}"')  # noqa: S608 - the test's own name
    both = topics.committed(tower.name, tower.name) == {0: 2} and topics.log_ends(dead_letters) == {0: 2}
    return both and [row["seq"] for row in rows] == [1]


def has_page(tower: Tower, _: str) -> bool:
    served = Served(tower.port)
    dead_letters = (served.json("/api/page") or {}).get("dead_letters", [])
    ages = served.sums("tower_partition_lag_seconds", "partition")
    return bool(ages) and any(dead_letter["example"] for dead_letter in dead_letters)


def has_replayed(tower: Tower, _: str) -> bool:
    topics, dead_letters = tower.kafka.topics, f"{tower.name}.dlq"
    progress = topics.committed(f"{tower.name}-dlq-replay", dead_letters)
    return topics.log_ends(tower.name) == {0: 2} and progress == {0: 1}


def content(text: str) -> Any:
    """The JSON at the beginning of what a command printed."""
    return json.JSONDecoder().raw_decode(text)[0]


#: Whether a command has done its work.
STAYING: Mapping[str, Callable[[Tower, str], bool]] = {
    "workers": has_stored,
    "serve": has_page,
    "top": lambda _, shown: re.search(r"no owner .* 1 .* [1-9]\d* s ", shown) is not None,
}
DONE: Mapping[str, Callable[[Tower, str], bool]] = {
    "status": lambda _, text: content(text)["lag"] == 1,
    "check": lambda _, text: content(text)["ok"],
    "dlq list": lambda _, text: len(content(text)["letters"]) == 1,
    "dlq show": lambda _, text: "reason       json" in text,
    "dlq replay": has_replayed,
    "dlq purge": lambda tower, _: tower.kafka.topics.log_starts(f"{tower.name}.dlq") == {0: 1},
    "replay": lambda tower, _: tower.kafka.topics.committed(tower.name, tower.name) == {0: 0},
    "provision": lambda tower, _: (
        tower.kafka.topics.config(f"{tower.name}.dlq")["cleanup.policy"] == "delete"
    ),
}


def outcome(tower: Tower) -> str:
    """Run one trial; what the command printed."""
    trial, missing = tower.trial, f"the right {tower.trial.missing}".format(tower.name)
    if trial.command == "provision" and trial.missing is None:
        assert tower.run()[0] == 0
        assert {tower.name, f"{tower.name}.dlq"} <= tower.kafka.topics.names()
    tower.prepare()
    if trial.command in STAYING:
        done = STAYING[trial.command]
        text = tower.stay(lambda text: done(tower, text) or (trial.missing and missing in text))
        assert not trial.missing or missing in text, text
        return text
    code, text = tower.run()
    # No worker runs, which `status` calls a problem.
    assert code == (1 if trial.missing or trial.command == "status" else 0), text
    assert missing in text if trial.missing else DONE[trial.command](tower, text), text
    return text


@pytest.fixture(scope="module")
def outcomes(lab: Lab) -> Iterator[list[Future[str]]]:
    with (
        tempfile.TemporaryDirectory(prefix="tower-acl-") as folder,
        AclKafka(Path(folder) / "kafka") as kafka,
        ThreadPoolExecutor(4) as pool,
    ):
        towers = [
            Tower(kafka, lab, Path(folder), f"acl-{number}", trial) for number, trial in enumerate(TRIALS)
        ]
        yield [pool.submit(outcome, tower) for tower in towers]


def test_each_command_has_a_row() -> None:
    assert {trial.command for trial in TRIALS} == {*COMMANDS, *STAYING}


@pytest.mark.parametrize("number", range(len(TRIALS)), ids=map(str, TRIALS))
def test_a_command_works_with_its_rights_and_names_the_one_that_is_missing(
    outcomes: list[Future[str]], number: int
) -> None:
    assert PASSWORD not in outcomes[number].result(120)
