"""Headers of a message are read whatever bytes a sender puts into their names."""

from tests.support import brokers
from tests.support.raw_producer import RawHeader, produce_raw
from workers.message_headers import read_headers


def test_a_name_that_is_not_utf_8_costs_that_header_alone_and_never_the_process() -> None:
    sent: list[RawHeader] = [(b"first", b"1"), (b"\xff\xfe", b"v"), (b"last", None), (b"first", b"\xff")]
    with brokers.running() as cluster:
        cluster.make_topic("resource")
        produce_raw(cluster.bootstrap, "resource", b"value", sent)
        (message,) = cluster.read("resource", 1)

        for _ in range(3):
            pairs, unreadable = read_headers(message)

            assert pairs == [("first", b"1"), ("last", None), ("first", b"\xff")]
            assert unreadable == 1
        assert message.value() == b"value"


def test_a_message_without_headers_has_none() -> None:
    with brokers.running() as cluster:
        cluster.produce("resource", [b"value"])
        (message,) = cluster.read("resource", 1)

        assert read_headers(message) == ([], 0)
