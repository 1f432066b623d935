"""Routes on real parts: several topics, a pattern, and a bucket of its own."""

import json
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.chain import Chain

pytestmark = pytest.mark.integration

#: Records of the two topics together.
RECORDS = 200_000
PARTITIONS = 3


def routed(chain: Callable[..., Chain], folder: Path, text: str, topics: Sequence[str]) -> Chain:
    """A chain whose workers read these topics by a file of routes."""
    file = folder / f"{uuid.uuid4().hex[:8]}.toml"
    file.write_text(text)
    pipeline = chain(environment={"TOWER_ROUTES": str(file)})
    del pipeline.pool.environment["TOWER_TOPIC"]
    pipeline.pool.partitions = PARTITIONS * len(topics)
    for topic in topics:
        pipeline.lab.topics.create(topic, PARTITIONS)
    return pipeline


def test_of_200_000_records_of_two_topics_none_meet(chain: Callable[..., Chain], tmp_path: Path) -> None:
    """Equal values, times, partitions and offsets: only the topic differs."""
    topics = [f"meet-{uuid.uuid4().hex[:8]}-{letter}" for letter in "ab"]
    text = f"[[route]]\nname = 'both'\ntopics = {topics}\nmeasurement = 'labs'\n"
    pipeline = routed(chain, tmp_path, text, topics)
    value = json.dumps({"v": 1, "time": int(time.time())}).encode()
    for topic in topics:
        for partition in range(PARTITIONS):
            count = RECORDS // 2 // PARTITIONS + (partition < RECORDS // 2 % PARTITIONS)
            pipeline.produce([value] * count, partition=partition, topic=topic)
    pipeline.pool.start()

    def stored() -> int:
        return sum(int(row["count"]) for row in pipeline.rows('COUNT("v") AS "count"'))

    pipeline.pool.until(lambda: stored() >= RECORDS, 180, f"{RECORDS} points")
    by_topic = [
        sum(
            int(row["count"])
            for row in pipeline.rows('COUNT("v") AS "count"', f"AND \"topic\" = '{topic}'")
        )
        for topic in topics
    ]

    assert by_topic == [RECORDS // 2] * 2

    def written() -> int:
        accounts = (account for state in pipeline.pool.states() for account in state["partitions"].values())
        return sum(account["written"] for account in accounts)

    pipeline.pool.until(lambda: written() == RECORDS, 20, "the state files to say so")
