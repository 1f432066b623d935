"""When Tower asks for the topic's id, and which messages it does not use because of the answer."""

from collections.abc import Collection

from confluent_kafka import TopicPartition

from tests.support.fakes import FakeClock, partition
from workers.kafka.topic_recreation import ASK_EVERY_S, ID_PREFIX, TopicRecreation


class Kafka:
    """Returns the id that a test has set, and counts the requests."""

    def __init__(self, now: str | None = "old") -> None:
        self.now = now
        self.asked = 0

    def ask(self, topics: Collection[str]) -> dict[str, str] | None:
        self.asked += 1
        return None if self.now is None else dict.fromkeys(topics, self.now)


def assigned(kafka: Kafka, clock: FakeClock, *metadata: str) -> TopicRecreation:
    """Returns one with partitions from 0 on, whose offsets were committed with this metadata."""
    topic = TopicRecreation(kafka.ask, clock)
    refreshed = topic.refresh({"resource"})
    topic.add(
        [TopicPartition("resource", number, 7, text) for number, text in enumerate(metadata)], refreshed
    )
    return topic


def test_a_day_of_records_that_come_one_by_one_costs_a_request_every_five_minutes() -> None:
    """Each answer stays in memory: a request for each record would cost 18 MB a day."""
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    unchanged = True
    for _ in range(86_400):
        clock.now += 1
        unchanged &= topic.is_unchanged(True)

    assert unchanged
    assert kafka.asked <= 86_400 / ASK_EVERY_S + 1


def test_after_the_client_reports_another_id_no_message_is_used_and_nothing_asked() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "", "")
    topic.change("resource", "new")

    assert not topic.is_unchanged(True)
    assert topic.stale == {partition(0), partition(1)}
    # As long as they are not given up, whatever comes.
    assert not topic.is_unchanged(True)
    topic.remove({partition(0), partition(1)})
    assert topic.is_unchanged(True)
    assert kafka.asked == 1


def test_without_a_report_a_recreated_topic_is_found_by_the_next_request() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = "new"
    until = clock.now + ASK_EVERY_S
    while topic.is_unchanged(True):
        clock.now += 1
        assert clock.now < until + 2, "the new topic is never noticed"

    assert clock.now > until
    assert topic.stale == {partition(0)}


def test_a_request_without_an_answer_holds_up_no_partition_whose_topic_is_known() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = None
    clock.now += ASK_EVERY_S + 1

    assert topic.is_unchanged(True)
    assert kafka.asked == 2


def test_an_offset_committed_in_an_earlier_topic_is_stale_at_once() -> None:
    topic = assigned(
        Kafka("new"), FakeClock(), ID_PREFIX + "old", ID_PREFIX + "new", "another tool's words", ""
    )

    assert topic.stale == {partition(0)}
    # If it is committed again, it keeps the id of the earlier topic.
    assert topic.metadata[partition(0)] == ID_PREFIX + "old"
    assert {topic.metadata[partition(number)] for number in (1, 2, 3)} == {ID_PREFIX + "new"}


def test_a_group_without_an_offset_begins_in_the_topic_that_is_there() -> None:
    topic = TopicRecreation(Kafka("new").ask, FakeClock())
    refreshed = topic.refresh({"resource"})
    topic.add([TopicPartition("resource", 0, -1001, ID_PREFIX + "old")], refreshed)

    assert not topic.stale
    assert topic.metadata == {partition(0): ID_PREFIX + "new"}


def test_what_came_before_the_id_was_known_is_read_again_from_its_beginning() -> None:
    kafka, clock = Kafka(None), FakeClock()
    topic = assigned(kafka, clock, "")
    before = topic.metadata
    silent = topic.is_unchanged(True)
    kafka.now = "new"
    first = topic.is_unchanged(True)

    assert (before, silent, first) == ({}, False, False)
    assert not topic.stale
    assert topic.is_unchanged(True)
    assert topic.metadata == {partition(0): ID_PREFIX + "new"}


def test_an_offset_of_an_earlier_topic_is_found_stale_also_if_kafka_answers_late() -> None:
    kafka = Kafka(None)
    topic = assigned(kafka, FakeClock(), ID_PREFIX + "old")
    kafka.now = "new"

    assert not topic.is_unchanged(True)
    assert topic.stale == {partition(0)}


def test_partitions_that_come_one_by_one_show_that_the_others_are_stale() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = "new"
    refreshed = topic.refresh({"resource"})
    topic.add([TopicPartition("resource", 1, -1001)], refreshed)

    assert topic.stale == {partition(0)}


def test_brokers_that_give_topics_no_ids_hold_nothing_up() -> None:
    kafka, clock = Kafka(""), FakeClock()
    topic = assigned(kafka, clock, "", ID_PREFIX + "old")
    clock.now += 2 * ASK_EVERY_S

    assert topic.is_unchanged(True)
    assert not topic.stale
    assert partition(0) not in topic.metadata


def test_a_change_that_was_not_reported_is_found_without_a_further_record() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = "new"
    seen = topic.is_unchanged(True)
    until = clock.now + ASK_EVERY_S + 1
    while topic.is_unchanged(False):
        clock.now += 0.25
        assert clock.now < until, "the new topic is never noticed"

    assert seen
    assert topic.stale == {partition(0)}


def test_a_worker_without_partitions_asks_nothing() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    topic.remove({partition(0)})
    clock.now += 2 * ASK_EVERY_S

    assert topic.is_unchanged(False)
    assert kafka.asked == 1
