"""Errors of partitions are kept as long as they last."""

import pytest
from confluent_kafka import KafkaError

from tests.support.fakes import partition
from workers.kafka.read_errors import LASTS_S, ReadErrors


@pytest.mark.parametrize(
    ("code", "lasts"),
    [
        pytest.param(KafkaError._BAD_MSG, False, id="one that comes again and again while it lasts"),
        pytest.param(KafkaError.TOPIC_AUTHORIZATION_FAILED, True, id="one that the client reports once"),
    ],
)
def test_an_error_that_does_not_come_again_is_over_if_it_would_come_again(code: int, lasts: bool) -> None:
    now = 0.0
    errors = ReadErrors(lambda: now)
    errors.add({partition(0)}, KafkaError(code, "why"), "Do this")

    now = LASTS_S - 1

    assert errors.current() == {partition(0): "why. Do this"}

    now = LASTS_S

    assert bool(errors.current()) is lasts
