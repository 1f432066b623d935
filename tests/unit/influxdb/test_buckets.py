"""Each line goes to the bucket of its topic's route."""

import logging
from pathlib import Path

from tests.support import fakes
from tests.support.fakes import FakeClock, FakeMessage, FakeSink, FakeWait, limited
from tests.support.typed_influxdb import TypedInfluxdb
from workers.batch import Batch
from workers.errors import WriteError
from workers.influxdb.delivery import Delivery
from workers.log import ThrottledLogger
from workers.types import Message, partition_of

ROUTES = """
[[route]]
name = "a"
topics = ["a"]
[[route]]
name = "b"
topics = ["b", "c"]
measurement = "{topic}"
bucket = "Other"
"""


def batch_of(*topics: str) -> Batch:
    batch = Batch()
    for place, topic in enumerate(topics):
        message: Message = FakeMessage(b"{}", 0, place, topic)
        batch.lines.append(f"{topic} n={place} {place}".encode())
        batch.origins.append(message)
        batch.next_offsets[partition_of(message)] = place + 1
    return batch


def delivered(folder: Path, sink: FakeSink, *batches: Batch) -> Delivery:
    (folder / "routes.toml").write_text(ROUTES)
    settings = fakes.settings(routes=folder / "routes.toml")
    log = ThrottledLogger(logging.getLogger("tower.loop"), FakeClock())
    delivery = Delivery(settings, sink, FakeWait(), lambda: False, log)
    for batch in batches:
        delivery.deliver(batch, 30.0)
    return delivery


def test_a_batch_needs_one_request_for_each_bucket(tmp_path: Path) -> None:
    sink = FakeSink()
    delivery = delivered(tmp_path, sink, batch_of("a", "b", "a", "c"))

    assert dict(zip(sink.buckets, sink.writes, strict=True)) == {
        "Labs": [b"a n=0 0", b"a n=2 2"],
        "Other": [b"b n=1 1", b"c n=3 3"],
    }
    assert (delivery.writes, delivery.lines) == (2, 4)


def test_pieces_of_a_piece_stay_in_their_bucket(tmp_path: Path) -> None:
    sink = FakeSink(limited(10))
    delivered(tmp_path, sink, batch_of("a", "b", "a", "b"))

    requests = zip(sink.buckets, sink.writes, strict=True)
    assert {(bucket, line[:1]) for bucket, lines in requests for line in lines} == {
        ("Labs", b"a"), ("Other", b"b"),
    }  # fmt: skip
    assert sorted(sink.stored) == [b"a n=0 0", b"a n=2 2", b"b n=1 1", b"b n=3 3"]


def test_a_type_of_one_bucket_is_none_of_another(tmp_path: Path) -> None:
    databases = {"Labs": TypedInfluxdb(), "Other": TypedInfluxdb()}
    sink = FakeSink()

    def judge(lines: list[bytes]) -> WriteError | None:
        return databases[sink.buckets[-1]](lines)

    sink.judge = judge
    batches = [batch_of("a", "b") for _ in range(3)]
    batches[0].lines = [b"m v=1 1", b'm v="x" 2']
    batches[1].lines = [b'm v="n/a" 3', b'm v="y" 4']
    batches[2].lines = [b'm v="n/a" 5', b'm v="z" 6']
    delivery = delivered(tmp_path, sink, *batches)

    assert [len(batch.dead_letters) for batch in batches] == [0, 1, 1]
    assert sorted(sink.stored) == [b'm v="x" 2', b'm v="y" 4', b'm v="z" 6', b"m v=1 1"]
    # Known by then: the third batch has nothing to ask for.
    assert sink.writes[-1] == [b'm v="z" 6']
    assert [entry["bucket"] for entry in delivery.field_types()] == ["Labs"]
