"""The samples behind the plots of the page."""

import threading
from dataclasses import replace
from pathlib import Path

from tests.support.observed import NOW, observation, state
from workers.commands.serve.history import EVERY_S, KEPT, NEWEST, History, PartitionHistory
from workers.commands.serve.observation import Observation


def test_the_rate_is_what_was_stored_between_two_samples() -> None:
    history = PartitionHistory()

    for at, stored in ((10.0, 100), (12.0, 150), (14.0, 150)):
        history.add(at, stored, 3)

    assert list(history.rates) == [None, 25.0, 0.0]
    assert list(history.lags) == [3, 3, 3]


def test_a_worker_that_was_started_again_is_a_gap_and_no_spike() -> None:
    history = PartitionHistory()

    # Two workers have had the partition: 1,000,000 records and 500. The second one starts again.
    for at, stored in ((10.0, 1_000_500), (12.0, 1_000_040), (14.0, 1_000_080)):
        history.add(at, stored, 0)

    assert list(history.rates) == [None, None, 20.0]


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


def test_what_a_page_shows_is_the_sample_once_in_an_interval(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0))
    history = History(lambda: seen)

    for seconds in (0.0, 0.0, EVERY_S / 2, EVERY_S, EVERY_S * 1.5, EVERY_S * 2):
        history.offer(replace(seen, at=NOW + seconds))

    assert history.content()["samples"] == 3


def test_a_clock_that_was_set_back_does_not_stop_the_samples(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0))
    history = History(lambda: seen)

    history.offer(seen)
    history.offer(replace(seen, at=NOW - 3_600))

    assert history.content()["samples"] == 2


def test_the_thread_takes_the_samples_while_no_page_is_open(tmp_path: Path) -> None:
    asked = threading.Event()
    seen = observation(tmp_path, state(0))

    def observe() -> Observation:
        asked.set()
        return seen

    history = History(observe)
    history.start()
    try:
        assert asked.wait(10 * EVERY_S)
    finally:
        history.stop()


def test_a_page_gets_the_newest_samples_and_how_many_there_were(tmp_path: Path) -> None:
    seen = observation(tmp_path, state(0))
    history = History(lambda: seen)

    for sample in range(NEWEST + 3):
        history.sample(replace(seen, at=NOW + sample * EVERY_S))

    newest, everything = history.content(NEWEST), history.content()
    assert newest["samples"] == everything["samples"] == NEWEST + 3
    assert newest["begun"] == everything["begun"]
    for name in ("rates", "lags"):
        assert len(everything["partitions"][0][name]) == NEWEST + 3
        assert newest["partitions"][0][name] == everything["partitions"][0][name][-NEWEST:]
