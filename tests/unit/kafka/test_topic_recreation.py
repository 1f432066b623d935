"""When the topic's id is asked for, and what is not handed out because of it."""

from confluent_kafka import TopicPartition

from tests.support.fakes import FakeClock, partition
from workers.kafka.topic_recreation import ASK_EVERY_S, ID_PREFIX, TopicRecreation


class Kafka:
    """Tells the id a test has set, and counts how often it was asked."""

    def __init__(self, now: str | None = "old") -> None:
        self.now = now
        self.asked = 0

    def ask(self) -> str | None:
        self.asked += 1
        return self.now


def assigned(kafka: Kafka, clock: FakeClock, *metadata: str) -> TopicRecreation:
    """One with partitions from 0 on, whose offsets were committed with this metadata."""
    made = TopicRecreation(kafka.ask, clock)
    known = made.refresh()
    made.add([TopicPartition("resource", number, 7, told) for number, told in enumerate(metadata)], known)
    return made


def test_a_day_of_records_that_come_one_by_one_costs_a_question_every_five_minutes() -> None:
    """Each answer stays in memory for good: a question for each record would cost 18 MB a day."""
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    vouched = True
    for _ in range(86_400):
        clock.now += 1
        vouched &= topic.is_unchanged(True)

    assert vouched
    assert kafka.asked <= 86_400 / ASK_EVERY_S + 1


def test_once_the_client_reports_another_id_nothing_is_handed_out_and_nothing_asked() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "", "")
    topic.change("new")

    assert not topic.is_unchanged(True)
    assert topic.stale == {partition(0), partition(1)}
    # As long as they are not given up, whatever comes.
    assert not topic.is_unchanged(True)
    topic.remove({partition(0), partition(1)})
    assert topic.is_unchanged(True)
    assert kafka.asked == 1


def test_without_a_report_a_topic_made_anew_is_found_by_the_next_look() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = "new"
    until = clock.now + ASK_EVERY_S
    while topic.is_unchanged(True):
        clock.now += 1
        assert clock.now < until + 2, "a topic made anew is never noticed"

    assert clock.now > until
    assert topic.stale == {partition(0)}


def test_a_look_that_is_not_answered_holds_up_nothing_whose_topic_is_known() -> None:
    kafka, clock = Kafka(), FakeClock()
    topic = assigned(kafka, clock, "")
    kafka.now = None
    clock.now += ASK_EVERY_S + 1

    assert topic.is_unchanged(True)
    assert kafka.asked == 2


def test_an_offset_committed_in_an_earlier_topic_is_stale_at_once() -> None:
    made = assigned(
        Kafka("new"), FakeClock(), ID_PREFIX + "old", ID_PREFIX + "new", "another tool's words", ""
    )

    assert made.stale == {partition(0)}
    # And is told as what it is, should it be committed once more.
    assert made.metadata[partition(0)] == ID_PREFIX + "old"
    assert {made.metadata[partition(number)] for number in (1, 2, 3)} == {ID_PREFIX + "new"}


def test_a_group_without_an_offset_begins_in_the_topic_that_is_there() -> None:
    made = TopicRecreation(Kafka("new").ask, FakeClock())
    known = made.refresh()
    made.add([TopicPartition("resource", 0, -1001, ID_PREFIX + "old")], known)

    assert not made.stale
    assert made.metadata == {partition(0): ID_PREFIX + "new"}


def test_what_came_before_the_id_was_known_is_read_again_from_its_beginning() -> None:
    kafka, clock = Kafka(None), FakeClock()
    made = assigned(kafka, clock, "")
    before = made.metadata
    silent = made.is_unchanged(True)
    kafka.now = "new"
    first = made.is_unchanged(True)

    assert (before, silent, first) == ({}, False, False)
    assert not made.stale
    assert made.is_unchanged(True)
    assert made.metadata == {partition(0): ID_PREFIX + "new"}


def test_an_offset_of_an_earlier_topic_is_found_stale_also_where_kafka_answers_late() -> None:
    kafka = Kafka(None)
    made = assigned(kafka, FakeClock(), ID_PREFIX + "old")
    kafka.now = "new"

    assert not made.is_unchanged(True)
    assert made.stale == {partition(0)}


def test_partitions_that_come_one_by_one_show_that_the_others_are_stale() -> None:
    kafka, clock = Kafka(), FakeClock()
    made = assigned(kafka, clock, "")
    kafka.now = "new"
    known = made.refresh()
    made.add([TopicPartition("resource", 1, -1001)], known)

    assert made.stale == {partition(0)}


def test_brokers_that_give_topics_no_ids_hold_nothing_up() -> None:
    kafka, clock = Kafka(""), FakeClock()
    made = assigned(kafka, clock, "", ID_PREFIX + "old")
    clock.now += 2 * ASK_EVERY_S

    assert made.is_unchanged(True)
    assert not made.stale
    assert partition(0) not in made.metadata


def test_a_jump_that_nobody_saw_is_told_though_no_record_follows() -> None:
    kafka, clock = Kafka(), FakeClock()
    made = assigned(kafka, clock, "")
    kafka.now = "new"
    seen = made.is_unchanged(True)
    until = clock.now + ASK_EVERY_S + 1
    while made.is_unchanged(False):
        clock.now += 0.25
        assert clock.now < until, "nobody is ever told"

    assert seen
    assert made.stale == {partition(0)}


def test_a_worker_without_partitions_asks_nothing() -> None:
    kafka, clock = Kafka(), FakeClock()
    made = assigned(kafka, clock, "")
    made.remove({partition(0)})
    clock.now += 2 * ASK_EVERY_S

    assert made.is_unchanged(False)
    assert kafka.asked == 1
