"""What one member of the group returns, holds back and commits, with librdkafka's mock brokers."""

import logging
import socketserver
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import certifi
import pytest

from tests.support import brokers, fakes
from tests.support.brokers import PARTITIONS, Brokers
from workers.kafka import credentials, membership
from workers.kafka.consumer import GroupConsumer
from workers.kafka.topic_id import ClientLog
from workers.types import Message, Partition

DEADLINE_S = 20.0

#: Seconds of a call that waits for nothing; one that waits for a request to Kafka takes over 5.
SHORT_S = 3.0

#: Seconds between two looks at the credentials' files, and the longest pause before a client is replaced.
CHECK_S = 0.1

#: Records of a topic, a quarter in each partition.
RECORDS = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Brokers]:
    """Mock brokers for all tests of this module; each has its own topic and group."""
    with brokers.running() as running:
        yield running


class Member:
    """A member under test, with the partitions it gave up.

    Attributes:
        topic_id: What Kafka answers when asked for the topic's id. The mock cannot delete a topic.
    """

    def __init__(
        self, cluster: Brokers, topic: str, environ: Mapping[str, str] | None = None, /, **options: object
    ) -> None:
        self.revoked: list[tuple[set[Partition], bool]] = []
        self.topic_id: str | None = "first"
        named = {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap,
            "TOWER_KAFKA_GROUP_ID": topic,
            "TOWER_KAFKA_GROUP_PROTOCOL": "consumer",
            "TOWER_TOPIC": topic,
        }
        self.consumer = GroupConsumer(
            fakes.settings(named | dict(environ or {}), **brokers.QUICK, **options),
            lambda partitions, lost: self.revoked.append((partitions, lost)),
            topic_ids=self._topic_ids,
        )

    def _topic_ids(self, topics: Collection[str]) -> dict[str, str] | None:
        return None if self.topic_id is None else dict.fromkeys(topics, self.topic_id)

    def read(self, count: int, most: int = 1_000) -> list[Message]:
        """So many messages, in the order they were handed out."""
        messages: list[Message] = []

        def enough() -> bool:
            messages.extend(self.consumer.consume(min(most, count - len(messages)), 0.05))
            return len(messages) >= count

        until(enough)
        return messages

    def owns(self, count: int) -> bool:
        """True once it owns so many partitions; waits a moment for them, paused."""
        self.consumer.poll_paused(0.05)
        return len(self.consumer.owned) == count


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, with a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "this never came to be"


@pytest.fixture
def join(cluster: Brokers) -> Iterator[Callable[..., Member]]:
    """Makes members, all closed at the end."""
    with ExitStack() as closing:

        def make(topic: str, environ: Mapping[str, str] | None = None, /, **options: object) -> Member:
            member = Member(cluster, topic, environ, **options)
            closing.callback(member.consumer.close)
            return member

        yield make


def numbered(messages: list[Message]) -> dict[int, list[int]]:
    """The offsets of messages by partition, in the order they came."""
    offsets = defaultdict(list)
    for message in messages:
        offsets[message.partition()].append(message.offset())
    return dict(offsets)


EVERYTHING = {number: list(range(RECORDS // PARTITIONS)) for number in range(PARTITIONS)}


def fill(cluster: Brokers, topic: str) -> None:
    cluster.produce(topic, [b'{"memory":%d}' % number for number in range(RECORDS)])


def test_large_records_are_returned_a_few_at_a_time(cluster: Brokers, join: Callable[..., Member]) -> None:
    """It returns as soon as it has a batch's bytes, although more arrive before the time-out."""
    large, count = 100_000, 100
    cluster.produce("large", [bytes(large)] * count)
    member = join("large", batch_bytes=large)
    counts: list[int] = []

    def enough() -> bool:
        counts.append(len(member.consumer.consume(1_000, 5.0)))
        return sum(counts) >= count

    until(enough)

    # At one look it may find what the client holds: its queue of 1 MiB, and the fetch that overflowed it.
    assert max(counts) <= 40


def test_the_first_messages_are_returned_as_soon_as_they_arrive(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    """It does not wait for the time-out. More are gathered only with `gather`."""
    cluster.make_topic("first")
    # A client that resumes while it asks for the first offset asks again only after 0.5 s.
    cluster.commit("first", "first", [0] * PARTITIONS)
    member = join("first")
    until(lambda: member.owns(PARTITIONS))
    member.consumer.resume()
    cluster.produce("first", [b"{}"] * 3)
    begun = time.monotonic()

    messages: list[Message] = []
    while not messages and time.monotonic() - begun < DEADLINE_S:
        # The end of a partition ends a call too, and has no message.
        messages = member.consumer.consume(1_000, DEADLINE_S, gather=False)

    assert 1 <= len(messages) <= 3
    assert time.monotonic() - begun < DEADLINE_S / 2


@pytest.mark.parametrize("protocol", ["consumer", "classic"])
def test_a_member_that_is_being_assigned_partitions_leaves_at_once(
    cluster: Brokers, join: Callable[..., Member], protocol: str
) -> None:
    """A stop may come at any moment, also between an assignment's arrival and the next `consume`."""
    cluster.make_topic("leaving")
    for moment in (0, 25, 50, 75, 100, 200, 400):
        name = {
            "TOWER_KAFKA_GROUP_PROTOCOL": protocol,
            "TOWER_KAFKA_GROUP_ID": f"leaving-{protocol}-{moment}",
        }
        member = join("leaving", name)
        time.sleep(moment / 1000)
        begun = time.monotonic()

        member.consumer.close()

        assert time.monotonic() - begun < SHORT_S


def test_a_new_group_starts_at_the_beginning_and_an_old_one_at_its_commits(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    fill(cluster, "begin")
    first = join("begin")
    messages = first.read(RECORDS)
    owned = set(first.consumer.owned)
    first.consumer.commit({Partition("begin", number): 40 for number in range(3)}, blocking=True)
    committed = dict(first.consumer.committed)
    lags = {key.number: first.consumer.lag(key) for key in owned}
    first.consumer.close()

    second = join("begin")
    rest = numbered(second.read(30 + 50))

    assert numbered(messages) == EVERYTHING
    assert owned == {Partition("begin", number) for number in range(PARTITIONS)}
    assert committed == {Partition("begin", number): 40 for number in range(3)}
    assert lags == {0: 10, 1: 10, 2: 10, 3: None}
    assert first.revoked == [(owned, False)]
    assert rest == {number: list(range(40, 50)) for number in range(3)} | {3: list(range(50))}


def test_a_pause_holds_everything_back_and_loses_nothing(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    fill(cluster, "pause")
    member = join("pause")
    messages = member.read(30, most=10)
    for _ in range(5):
        member.consumer.poll_paused(0.05)
    while_paused = member.consumer.consume(100, 0.2)
    positions = {key.number: member.consumer.position(key) for key in member.consumer.owned}
    member.consumer.resume()
    messages += member.read(RECORDS - 30)

    assert while_paused == []
    assert sum(position or 0 for position in positions.values()) == 30
    assert numbered(messages) == EVERYTHING


def test_a_pause_outlives_a_rebalance(cluster: Brokers, join: Callable[..., Member]) -> None:
    fill(cluster, "paused")
    member = join("paused")
    member.consumer.poll_paused(0.0)
    until(lambda: member.owns(PARTITIONS))
    for _ in range(6):
        member.consumer.poll_paused(0.05)

    assert member.consumer.consume(100, 0.2) == []
    member.consumer.resume()
    assert numbered(member.read(RECORDS)) == EVERYTHING


def test_a_rebalance_reports_what_goes_and_neither_loses_nor_reorders_records(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    fill(cluster, "rebalance")
    first = join("rebalance")
    messages = {1: first.read(RECORDS), 2: []}
    first.consumer.commit(dict.fromkeys(first.consumer.owned, 50), blocking=True)
    second = join("rebalance")

    def shared() -> bool:
        messages[1] += first.consumer.consume(100, 0.02)
        messages[2] += second.consumer.consume(100, 0.02)
        return (
            bool(second.consumer.owned) and len(first.consumer.owned | second.consumer.owned) == PARTITIONS
        )

    until(shared)
    fill(cluster, "rebalance")
    until(lambda: shared() and len(messages[1]) + len(messages[2]) >= 2 * RECORDS)

    assert not first.consumer.owned & second.consumer.owned
    assert first.revoked == [(second.consumer.owned, False)]
    assert first.consumer.committed.keys() == first.consumer.owned
    both = numbered(messages[1] + messages[2])
    assert both == {number: list(range(100)) for number in range(PARTITIONS)}


def test_an_offset_that_no_longer_exists_stops_its_partition_with_an_error_and_no_other(
    cluster: Brokers, join: Callable[..., Member], caplog: pytest.LogCaptureFixture
) -> None:
    fill(cluster, "gone")
    cluster.commit("gone", "gone", [10, 20, 9_999, 40])
    member = join("gone")
    messages = member.read(40 + 30 + 10)
    until(lambda: member.consumer.consume(1, 0.05) or member.consumer.stopped)

    assert numbered(messages) == {0: list(range(10, 50)), 1: list(range(20, 50)), 3: list(range(40, 50))}
    assert member.consumer.stopped.keys() == {Partition("gone", 2)}
    assert "9999" in member.consumer.stopped[Partition("gone", 2)]
    (record,) = [log_record for log_record in caplog.records if log_record.levelname == "ERROR"]
    assert "replay" in record.getMessage()

    member.consumer.poll_paused(0.0)
    member.consumer.resume()
    fill(cluster, "gone")
    assert 2 not in numbered(member.read(150))

    # Nor committed: a topic created again under its name would get the old topic's offset.
    member.consumer.commit({Partition("gone", 2): 60, Partition("gone", 3): 60}, blocking=True)
    committed = {key.number: offset for key, offset in member.consumer.committed.items()}
    assert (committed[2], committed[3]) == (9_999, 60)


def test_a_commit_covers_owned_partitions_only(cluster: Brokers, join: Callable[..., Member]) -> None:
    cluster.make_topic("foreign")
    member = join("foreign")
    member.consumer.commit({Partition("foreign", 0): 5}, blocking=True)
    before = dict(member.consumer.committed)
    until(lambda: member.consumer.consume(1, 0.05) or member.consumer.owned)
    member.consumer.commit({Partition("foreign", 0): 0, Partition("foreign", 99): 5}, blocking=True)

    assert before == {}
    assert member.consumer.committed == {Partition("foreign", 0): 0}
    assert member.consumer.commit_failures == 0


def test_a_topic_that_is_created_again_is_not_read_at_the_old_position(
    cluster: Brokers,
    join: Callable[..., Member],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The report is called here: the mock cannot delete a topic. `tests/integration` deletes a real one."""
    report: list[Callable[[str, str], None]] = []

    def keep(logger: logging.Logger, changed: Callable[[str, str], None]) -> ClientLog:
        report.append(changed)
        return ClientLog(logger, changed)

    monkeypatch.setattr("workers.kafka.membership.ClientLog", keep)
    fill(cluster, "recreated")
    member = join("recreated")
    member.read(RECORDS)
    owned = set(member.consumer.owned)
    fill(cluster, "recreated")
    report[0]("recreated", "second")
    until(lambda: member.consumer.consume(1_000, 0.05) or member.consumer.stopped)
    # What is in hand is written, and then not committed.
    member.consumer.commit(dict.fromkeys(owned, 50), blocking=True)

    assert member.consumer.stopped.keys() == owned
    assert {member.consumer.position(key) for key in owned} == {50}
    assert member.consumer.committed == {}
    errors = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(errors) == PARTITIONS
    assert all("offset 50 no longer exists" in text and "replay" in text for text in errors)
    assert all("deleted and created again" in text for text in [*errors, *member.consumer.stopped.values()])


def test_an_offset_committed_in_an_earlier_topic_stops_its_partition_with_an_error(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    fill(cluster, "earlier")
    first = join("earlier")
    first.read(RECORDS)
    first.consumer.commit({Partition("earlier", number): 40 for number in range(2)}, blocking=True)
    first.consumer.close()
    second = join("earlier")
    second.topic_id = "second"
    messages = second.read(2 * RECORDS // PARTITIONS)
    stopped = dict(second.consumer.stopped)
    second.consumer.close()

    assert numbered(messages) == {2: list(range(50)), 3: list(range(50))}
    assert stopped.keys() == {Partition("earlier", 0), Partition("earlier", 1)}
    assert all("offset 40" in why for why in stopped.values())


def test_nothing_is_returned_or_lost_until_kafka_returns_the_topics_id(
    cluster: Brokers, join: Callable[..., Member]
) -> None:
    fill(cluster, "unsaid")
    member = join("unsaid")
    member.topic_id = None
    until(lambda: member.consumer.consume(100, 0.05) or len(member.consumer.owned) == PARTITIONS)
    held = [message for _ in range(5) for message in member.consumer.consume(100, 0.2)]
    member.topic_id = "first"

    assert held == []
    assert numbered(member.read(RECORDS)) == EVERYTHING
    assert not member.consumer.stopped


class Plain(socketserver.BaseRequestHandler):
    """A server without TLS. A client treats it like an expired certificate."""

    def handle(self) -> None:
        self.request.sendall(b"who is there?")


def test_a_client_with_rejected_credentials_is_replaced_once_its_files_have_changed(
    join: Callable[..., Member],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not before, and not with files that no client can be created from. The worker does not stop."""
    monkeypatch.setattr(credentials, "CHECK_S", CHECK_S)
    monkeypatch.setattr(membership, "RENEW_S", CHECK_S)
    trusted = tmp_path / "ca.pem"
    certificates = Path(certifi.where()).read_text()
    trusted.write_text(certificates)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Plain) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        environ = {
            "TOWER_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{server.server_address[1]}",
            "TOWER_KAFKA_SECURITY_PROTOCOL": "ssl",
            "TOWER_KAFKA_SSL_CA_LOCATION": str(trusted),
        }
        consumer = join("refused", environ).consumer

        def consume_until_looked(text: str) -> None:
            until(lambda: consumer.consume(1, 0.05) or text in caplog.text)
            end = time.monotonic() + 1.5 * CHECK_S
            until(lambda: consumer.consume(1, 0.05) or time.monotonic() > end)

        consume_until_looked("TOWER_KAFKA_SSL_CA_LOCATION")
        assert consumer.renewals == 0

        trusted.write_text("-----BEGIN CERTIFICATE-----")
        consume_until_looked("cannot create a new client")
        assert consumer.renewals == 0

        trusted.write_text(certificates + "# another one")
        until(lambda: consumer.consume(1, 0.05) or consumer.renewals == 1)
        server.shutdown()

    (message,) = [text for text in caplog.messages if text.endswith("reconnecting with the new ones")]
    assert "files have changed" in message
    assert "the client failed" not in caplog.text
