"""Dead letters are stored when Kafka has confirmed them, and not before."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.support import brokers, fakes
from tests.support.brokers import Brokers
from tests.support.fakes import FakeClock, FakeMessage, FakeWait
from workers.errors import DrainExpired, SettingsError
from workers.kafka import credentials, dead_letters
from workers.kafka.dead_letters import DeadLetterProducer, headers
from workers.log import REPEAT_S
from workers.types import DeadLetter, Origin, Reason


def letter(value: bytes | None = b"poison", offset: int = 0, detail: str = "why") -> DeadLetter:
    return DeadLetter(fakes.origin(2, offset, value, element=3), Reason.JSON, detail)


def levels(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The level of each line that was logged."""
    return [record.levelname for record in caplog.records]


class FakeProducer:
    """A producer without Kafka.

    Attributes:
        sent: Values in the order they were produced.
        verdicts: For each letter to come: None to confirm it, an error to report, or one to raise at once.
        password: The one Kafka takes; while the producer has another, letters wait. None: any.
        fatal: The client's next fatal error: the next `flush` raises it, and what waits fails after it.
    """

    def __init__(self) -> None:
        self.sent: list[bytes | None] = []
        self.verdicts: list[KafkaError | Exception | None] = []
        self.created = 0
        self.password: str | None = None
        self.fatal: KafkaError | None = None
        self.pending: list[Callable[[], None]] = []
        self.reports: list[Callable[[Any, Any], None]] = []

    def make(self, properties: dict[str, Any]) -> "FakeProducer":
        self.created += 1
        self.properties = properties
        return self

    def produce(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: object,
        on_delivery: Callable[[Any, Any], None],
    ) -> None:
        assert key is None
        verdict = self.verdicts.pop(0) if self.verdicts else None
        if isinstance(verdict, Exception):
            raise verdict
        assert (topic, bool(headers)) == ("resource.dlq", True)
        self.sent.append(value)
        self.reports.append(on_delivery)
        self.pending.append(lambda: on_delivery(verdict, FakeMessage(place=len(self.sent))))

    def list_topics(self, topic: str, timeout_s: float) -> None:
        """No broker is connected yet."""
        assert (topic, timeout_s > 0) == ("resource.dlq", True)
        raise KafkaException(failed(KafkaError._TRANSPORT))

    def flush(self, timeout_s: float) -> int:
        assert timeout_s
        if self.fatal is not None:
            error, self.fatal = self.fatal, None
            self.pending = [
                lambda report=report: report(failed(KafkaError._PURGE_QUEUE), None)  # type: ignore[misc]
                for report in self.reports
            ]
            raise KafkaException(error)
        if self.password not in {None, self.properties.get("sasl.password")}:
            self.properties["error_cb"](failed(KafkaError._AUTHENTICATION))
        elif self.pending:
            self.pending.pop(0)()
        return 1

    def purge(self, in_flight: bool) -> None:
        """What waits fails at once."""
        assert not in_flight
        for report in self.reports:
            report(failed(KafkaError._PURGE_QUEUE), None)
        self.pending.clear()


@pytest.fixture
def kafka(monkeypatch: pytest.MonkeyPatch) -> FakeProducer:
    """The producer every dead letter goes through."""
    fake = FakeProducer()
    monkeypatch.setattr(dead_letters, "Producer", fake.make)
    return fake


@pytest.fixture(scope="module")
def cluster() -> Iterator[Brokers]:
    """Mock brokers."""
    with brokers.running() as running:
        yield running


def failed(code: int = KafkaError._MSG_TIMED_OUT, fatal: bool = False) -> KafkaError:
    return KafkaError(code, "no", fatal)


def test_without_a_letter_there_is_no_producer(kafka: FakeProducer) -> None:
    DeadLetterProducer(fakes.settings(), FakeWait()).store([])

    assert kafka.created == 0


def test_a_letter_has_its_own_element_of_an_array(kafka: FakeProducer) -> None:
    message = FakeMessage(b'[{"memory":1},{}]')
    store = DeadLetterProducer(fakes.settings(), FakeWait())

    store.store([DeadLetter(Origin(message, 1, b"{}"), Reason.NO_FIELDS, "")])

    assert kafka.sent == [b"{}"]


def test_every_letter_is_confirmed_before_it_returns(kafka: FakeProducer) -> None:
    store = DeadLetterProducer(fakes.settings(), FakeWait())

    store.store([letter(b"a"), letter(None), letter(b"c")])

    assert kafka.sent == [b"a", None, b"c"]
    assert kafka.pending == []
    assert store.reasons == {"json": 3}


def test_what_is_not_confirmed_is_sent_again_and_only_that(
    kafka: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    kafka.verdicts = [None, failed(), None, BufferError("full"), KafkaException(failed()), failed()]
    wait = FakeWait()
    store = DeadLetterProducer(fakes.settings(), wait)

    store.store([letter(b"a"), letter(b"b"), letter(b"c"), letter(b"d"), letter(b"e")])

    assert kafka.sent == [b"a", b"b", b"c", b"d", b"e", b"b", b"d"]
    assert store.reasons == {"json": 5}
    assert len(wait.pauses) == 2
    assert "resource.dlq" in caplog.text
    assert levels(caplog) == ["WARNING", "ERROR", "ERROR"]  # one for the reason, one for each cause


def test_the_membership_is_kept_while_reports_are_awaited(kafka: FakeProducer) -> None:
    wait = FakeWait()

    DeadLetterProducer(fakes.settings(), wait).store([letter(), letter()])

    assert [seconds for seconds, _ in wait.asked] == [0, 0]
    assert kafka.created == 1


def test_the_reason_is_shown_during_the_next_try(
    kafka: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    large = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE, "too large")
    kafka.verdicts = [failed(), large, large]
    wait = FakeWait()

    DeadLetterProducer(fakes.settings(), wait).store([letter(b"x" * 70, detail="")])

    first, *later = [why for _, why in wait.asked]
    assert first == "dead letters are not confirmed yet by resource.dlq"
    assert all(why.startswith("dead letters cannot be written to resource.dlq: ") for why in later)
    # Each cause once, however soon it follows another, and what to do about it.
    assert levels(caplog) == ["ERROR", "ERROR", "WARNING"]
    assert int(caplog.text.partition("allows messages of ")[2].split()[0]) in range(170, 300)


@pytest.mark.usefixtures("kafka")
def test_a_warning_is_logged_before_kafkas_client_gives_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()

    def pass_by() -> None:
        clock.now += dead_letters.SLOW_S + 1

    DeadLetterProducer(fakes.settings(), FakeWait(then=pass_by), clock).store([letter()])

    assert levels(caplog) == ["WARNING", "WARNING"]
    assert "not confirmed yet by resource.dlq" in caplog.text


def test_a_record_of_any_size_is_handed_to_the_topic_which_decides(cluster: Brokers) -> None:
    cluster.make_topic("large.dlq")
    named = {"TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap, "TOWER_DEAD_LETTER_TOPIC": "large.dlq"}
    store = DeadLetterProducer(fakes.settings(named), FakeWait())

    store.store([letter(bytes(48_000_000))])

    assert store.reasons == {"json": 1}


def test_a_drain_that_expires_ends_it_unconfirmed(kafka: FakeProducer) -> None:
    kafka.verdicts = [failed()] * 10

    def expire() -> None:
        raise DrainExpired("over")

    store = DeadLetterProducer(fakes.settings(), FakeWait(then=expire))

    with pytest.raises(DrainExpired):
        store.store([letter()])
    assert store.reasons == {}


@pytest.mark.parametrize(
    "verdict", [failed(fatal=True), failed(KafkaError._FATAL), KafkaException(failed(KafkaError._FATAL))]
)
def test_a_producer_with_a_fatal_error_is_replaced(
    kafka: FakeProducer, verdict: KafkaError | KafkaException
) -> None:
    kafka.verdicts = [verdict]

    DeadLetterProducer(fakes.settings(), FakeWait()).store([letter()])

    assert kafka.created == 2


def test_a_user_who_may_write_nowhere_is_told_the_right_and_the_worker_waits(
    kafka: FakeProducer, caplog: pytest.LogCaptureFixture
) -> None:
    """Kafka gives such a producer no id, which the client raises as a fatal error. It ended the worker."""
    kafka.fatal = failed(KafkaError.CLUSTER_AUTHORIZATION_FAILED, fatal=True)
    store = DeadLetterProducer(fakes.settings(), FakeWait())

    store.store([letter()])

    assert store.reasons == {"json": 1}
    assert kafka.created == 2
    assert "no; give this user the right WRITE on topic resource.dlq" in caplog.text


def test_dead_letters_that_wait_with_an_old_password_are_sent_with_the_new_one(
    kafka: FakeProducer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "CHECK_S", 0.05)
    file = tmp_path / "password"
    file.write_text("old")
    kafka.password = "new"
    store = DeadLetterProducer(
        fakes.settings({"TOWER_KAFKA_SASL_PASSWORD_FILE": str(file)}), lambda *_: rotate(file, "new")
    )

    store.store([letter()])

    assert (kafka.created, store.reasons.total()) == (2, 1)


def rotate(file: Path, password: str) -> None:
    file.write_text(password)


def test_one_producer_serves_all_batches(kafka: FakeProducer) -> None:
    store = DeadLetterProducer(fakes.settings(), FakeWait())

    store.store([letter()])
    store.store([letter()])

    assert kafka.created == 1


def test_a_lack_of_threads_for_the_first_producer_is_waited_out(
    kafka: FakeProducer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`rd_kafka_new` of librdkafka fails so if it cannot create its main thread."""

    def lack_threads(_: dict[str, Any]) -> None:
        raise KafkaException(failed(KafkaError._CRIT_SYS_RESOURCE))

    def wait(_: float, why: str) -> None:
        assert "dead letters cannot be written" in why
        monkeypatch.setattr(dead_letters, "Producer", kafka.make)

    monkeypatch.setattr(dead_letters, "Producer", lack_threads)
    store = DeadLetterProducer(fakes.settings(), wait)

    store.store([letter()])

    assert (kafka.created, store.reasons.total()) == (1, 1)


def test_a_property_the_producer_rejects_is_a_wrong_setting() -> None:
    store = DeadLetterProducer(fakes.settings(kafka_client_dns_lookup="somehow"), FakeWait())

    with pytest.raises(SettingsError) as caught:
        store.store([letter()])

    assert caught.value.option == "TOWER_KAFKA_CLIENT_DNS_LOOKUP"


def own(dead_letter: DeadLetter) -> dict[str, Any]:
    """Tower's own headers of a dead letter: the last of each name."""
    return dict(headers(dead_letter))


class TestHeaders:
    """The headers of a dead letter."""

    def test_they_say_why_and_where_it_stood(self) -> None:
        assert own(letter(offset=17)) == {
            "tower.reason": "json",
            "tower.error": "why",
            "tower.topic": "resource",
            "tower.partition": "2",
            "tower.offset": "17",
            "tower.index": "3",
            "tower.timestamp": str(fakes.KAFKA_MS),
            "tower.headers": "0",
        }

    def test_a_message_without_a_time_has_an_empty_one(self) -> None:
        message = FakeMessage(milliseconds=None)

        assert own(DeadLetter(Origin(message, 0, None), Reason.EMPTY, ""))["tower.timestamp"] == ""

    def test_the_messages_own_headers_come_first_and_cannot_pass_for_towers(self) -> None:
        sent = (("trace", b"1"), ("tower.reason", b"mine"), ("trace", None), ("tower.headers", b"9"))
        message = FakeMessage(head=sent)

        pairs = headers(DeadLetter(Origin(message, 0, None), Reason.EMPTY, ""))

        assert tuple(pairs[:4]) == sent
        assert dict(pairs)["tower.reason"] == "empty"
        assert pairs[-1] == ("tower.headers", "4")

    @pytest.mark.parametrize("detail", ["a\nb\0c\x1b[31m", "\ud800", "x" * 100_000, "\u2028"])
    def test_what_a_sender_wrote_is_one_short_printable_line(self, detail: str) -> None:
        error = str(own(letter(detail=detail))["tower.error"])

        assert error.isprintable()
        assert len(error.encode()) <= 1_200


@pytest.mark.usefixtures("kafka")
def test_a_flood_of_dead_letters_is_one_log_line_per_reason_with_an_example(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    store = DeadLetterProducer(fakes.settings(), FakeWait(), clock)
    for _ in range(100):
        store.store([letter(offset=7), letter(offset=8)])
    clock.now += REPEAT_S
    store.write_log()
    store.write_log()

    first, last = (record.getMessage() for record in caplog.records)
    assert first.startswith("2 records became dead letters (reason json), the last one from resource[2]@8")
    assert "`tower dlq show 0/2` shows why" in first
    assert last.startswith("198 records became dead letters")
    assert "tower dlq show 0/200" in last
    assert "why`" not in first + last  # what the record holds is not logged


def test_the_first_dead_letter_does_not_wait_for_the_timer_of_kafkas_client(cluster: Brokers) -> None:
    cluster.make_topic("first.dlq")
    named = {"TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap, "TOWER_DEAD_LETTER_TOPIC": "first.dlq"}
    settings = fakes.settings(named)

    def first_s() -> float:
        began = time.monotonic()
        DeadLetterProducer(settings, FakeWait()).store([letter()])
        return time.monotonic() - began

    # The timer takes 0.5 s each time; a busy machine is slow once or twice.
    assert min(first_s() for _ in range(4)) < 0.4


def test_kafka_keeps_the_original_bytes_and_the_headers(cluster: Brokers) -> None:
    cluster.make_topic("resource.dlq")
    letters = [letter(b"\xff\0 poison", 5), letter(None, 6), letter(b"", 7), letter(b"x" * 1_000_000, 8)]
    settings = fakes.settings({"TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap})

    DeadLetterProducer(settings, FakeWait()).store(letters)

    values = {
        dict(message.headers())["tower.offset"]: message.value()
        for message in cluster.read("resource.dlq", len(letters))
    }
    assert values == {b"5": b"\xff\0 poison", b"6": None, b"7": b"", b"8": b"x" * 1_000_000}


def test_kafka_keeps_the_key_and_the_headers_of_the_message(cluster: Brokers) -> None:
    cluster.make_topic("resource.dlq.whole")
    sent = (("trace", b"\xff1"), ("empty", None), ("trace", b"2"))
    message = FakeMessage(b"poison", 1, 5, named=b"\0key\xff", head=sent)
    settings = fakes.settings(
        {"TOWER_KAFKA_BOOTSTRAP_SERVERS": cluster.bootstrap}, dead_letter_topic="resource.dlq.whole"
    )

    DeadLetterProducer(settings, FakeWait()).store([DeadLetter(Origin(message, 0, b"poison"), "json", "")])

    (stored,) = cluster.read("resource.dlq.whole", 1)
    assert stored.key() == b"\0key\xff"
    assert tuple(stored.headers()[:3]) == sent
