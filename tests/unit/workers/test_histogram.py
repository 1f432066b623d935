"""A histogram's buckets and sum, as Prometheus defines them."""

import pytest

from workers.histogram import Histogram


@pytest.mark.parametrize(
    ("value", "bucket"),
    [
        pytest.param(0.0, 0, id="below the first bound"),
        pytest.param(1.0, 0, id="a bound belongs to its own bucket"),
        pytest.param(1.1, 1, id="between two bounds"),
        pytest.param(2.1, 2, id="above the last bound"),
    ],
)
def test_a_value_is_counted_in_one_bucket(value: float, bucket: int) -> None:
    histogram = Histogram((1, 2))

    histogram.observe(value)

    content = histogram.content()
    assert [place for place, count in enumerate(content["counts"]) if count] == [bucket]
    assert content["sum"] == value
    assert content["bounds"] == (1, 2)
