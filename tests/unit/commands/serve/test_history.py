"""The samples behind the plots of the page."""

from workers.commands.serve.history import KEPT, PartitionHistory


def test_the_rate_is_what_was_stored_between_two_samples() -> None:
    history = PartitionHistory()

    for at, stored in ((10.0, 100), (12.0, 150), (14.0, 150)):
        history.add(at, stored, 3)

    assert list(history.rates) == [None, 25.0, 0.0]
    assert list(history.lags) == [3, 3, 3]


def test_a_worker_that_was_started_again_counts_from_zero() -> None:
    history = PartitionHistory()

    history.add(10.0, 1_000, 0)
    history.add(12.0, 40, 0)

    assert history.rates[-1] == 20.0


def test_two_samples_of_one_moment_have_no_rate() -> None:
    history = PartitionHistory()

    history.add(10.0, 1, None)
    history.add(10.0, 2, None)

    assert history.rates[-1] is None


def test_old_samples_are_forgotten() -> None:
    history = PartitionHistory()

    for second in range(2 * KEPT):
        history.add(float(second), second, 0)

    assert len(history.rates) == len(history.lags) == KEPT
