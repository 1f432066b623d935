"""A client that fails is replaced, and what pushed it out is known."""

import logging
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.support import fakes
from workers.errors import DrainExpired, LacksResources
from workers.kafka import membership
from workers.kafka.membership import ConsumerCallbacks, Membership
from workers.log import ThrottledLogger

#: What the client reported in fault 38, where another pool had the same names.
FENCED = (
    "Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id: "
    "OffsetCommit failed: Broker: Static consumer fenced by other consumer with same group.instance.id"
)


class FakeClient:
    """A client of no broker."""

    def __init__(self, _: dict[str, Any]) -> None:
        pass

    def subscribe(self, *_: Any, **__: Any) -> None:
        """No topic."""

    def close(self) -> None:
        """Nothing."""


@pytest.fixture
def member(monkeypatch: pytest.MonkeyPatch) -> Membership:
    """A membership whose clients do nothing, and whose pauses take no time."""
    monkeypatch.setattr(membership, "Consumer", FakeClient)
    # A pause is drawn from a span that ends here.
    monkeypatch.setattr(membership, "RENEW_S", 0.01)

    def ignore(*_: object) -> None:
        """Called by no fake."""

    callbacks = ConsumerCallbacks(ignore, ignore, ignore, ignore)
    log = ThrottledLogger(logging.getLogger("tower.consumer"))
    return Membership(fakes.settings(), callbacks, log, ignore)


def test_a_client_that_another_one_pushed_out_is_counted_as_such_and_logged_once(
    member: Membership, caplog: pytest.LogCaptureFixture
) -> None:
    client = member.join()
    for _ in range(5):
        member.on_error(KafkaError(KafkaError._FATAL, FENCED, True))
        client = member.renew(client)

    assert (member.renewals, member.fenced) == (5, 5)
    assert member.renewal == FENCED
    (line,) = [record.getMessage() for record in caplog.records]
    assert "another pool runs on a host of this name: stop one of them" in line


def test_a_member_of_kip_848_without_the_right_on_the_group_is_told_so(
    member: Membership, caplog: pytest.LogCaptureFixture
) -> None:
    text = "Fatal error: Broker: Group authorization failed: ConsumerGroupHeartbeat fatal error"
    client = member.join()
    member.on_error(KafkaError(KafkaError._FATAL, text, True))
    member.renew(client)

    assert f"({text}; give this user the right READ on group tower)" in caplog.text


def test_a_client_that_failed_otherwise_is_not(
    member: Membership, caplog: pytest.LogCaptureFixture
) -> None:
    client = member.join()
    member.on_error(KafkaError(KafkaError._FATAL, "Fatal error: something else", True))
    member.renew(client)

    assert (member.renewals, member.fenced) == (1, 0)
    assert "the client failed (Fatal error: something else)" in caplog.text


def lack_threads(_: dict[str, Any]) -> None:
    """What `rd_kafka_new` of librdkafka says if it cannot create its main thread."""
    raise KafkaException(KafkaError(KafkaError._CRIT_SYS_RESOURCE, "Failed to create thread"))


def test_a_lack_of_threads_is_no_wrong_setting(member: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that ends because of a setting is not started again."""
    monkeypatch.setattr(membership, "Consumer", lack_threads)

    with pytest.raises(LacksResources, match=r"Failed to create thread.*ulimit"):
        member.join()


def test_a_lack_of_threads_leaves_the_old_client_until_it_has_passed(
    member: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = member.join()
    member.on_error(KafkaError(KafkaError._FATAL, "Fatal error: something else", True))
    monkeypatch.setattr(membership, "Consumer", lack_threads)

    assert member.renew(client) is client
    assert member.renewals == 0

    monkeypatch.setattr(membership, "Consumer", FakeClient)

    assert member.renew(client) is not client
    assert member.renewals == 1


def test_a_worker_without_supervisord_ends_only_if_another_one_has_its_place(
    member: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = member.join()
    monkeypatch.setattr("workers.kafka.membership.os.getppid", lambda: 1)
    member.on_error(KafkaError(KafkaError._FATAL, "Fatal error: something else", True))

    client = member.renew(client)

    assert member.renewals == 1

    member.on_error(KafkaError(KafkaError._FATAL, FENCED, True))

    with pytest.raises(DrainExpired, match="another worker has replaced this one"):
        member.renew(client)
