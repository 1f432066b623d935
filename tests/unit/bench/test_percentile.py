"""Percentiles are exact, and latencies have honest bounds."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.measure.latency import QuerySample, intended, latencies
from bench.report.percentile import histogram, percentile, summary
from lab.errors import LabError


def test_percentiles_of_a_hundred_values_are_the_values() -> None:
    values = [float(number) for number in range(1, 101)]

    assert [percentile(values, share) for share in (0, 1, 50, 99, 99.1, 100)] == [1, 1, 50, 99, 100, 100]


def test_one_value_is_every_percentile() -> None:
    assert summary([7.0]) == {"p50": 7, "p90": 7, "p99": 7, "p99.9": 7, "max": 7, "mean": 7}


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


@given(st.lists(st.floats(0, 1e6), min_size=1), st.floats(0, 100))
def test_a_percentile_is_a_value_with_its_share_at_or_below(values: list[float], share: float) -> None:
    ordered = sorted(values)
    value_at_share = percentile(ordered, share)

    assert value_at_share in ordered
    assert sum(value <= value_at_share for value in ordered) >= share / 100 * len(ordered) - 1e-9


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_a_histogram_has_every_value_once(values: list[float]) -> None:
    assert sum(count for _, count in histogram(values)) == len(values)


def test_a_latency_lies_between_the_question_that_missed_it_and_the_answer_that_had_it() -> None:
    samples = [QuerySample(0.0, 0.1, {0: -1}), QuerySample(1.0, 1.2, {0: 0}), QuerySample(2.0, 2.1, {0: 1})]

    assert latencies(samples, {0: 0.5, 1: 0.5}, 1) == [pytest.approx((0, 700)), pytest.approx((500, 1600))]


def test_partitions_are_seen_for_themselves() -> None:
    samples = [
        QuerySample(0.0, 0.1, {}),
        QuerySample(1.0, 1.0, {1: 3}),
        QuerySample(2.0, 2.0, {0: 2, 1: 3}),
    ]

    high = [round(most) for _, most in latencies(samples, dict.fromkeys(range(4), 0.0), 2)]

    assert high == [2000, 1000, 2000, 1000]


def test_a_producer_that_is_late_does_not_move_the_start() -> None:
    assert intended(10.0, 100, 2, 5) == pytest.approx({2: 10.02, 3: 10.03, 4: 10.04})


def test_a_record_that_was_never_seen_is_an_error() -> None:
    with pytest.raises(LabError, match="record 1 was never queryable"):
        latencies([QuerySample(0, 1, {0: 0})], {0: 0.0, 1: 0.0}, 1)
