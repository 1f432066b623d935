"""Every finish is bounded, and the second signal ends it at once."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fakes import FakeClock
from workers import drain
from workers.drain import Drain
from workers.errors import DrainExpired

BUDGET_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test's own process keeps its handlers, and is not left by the last resort."""
    monkeypatch.setattr(drain, "_leave", lambda: None)
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_without_a_stop_or_revocation_nothing_is_bounded(clock: FakeClock) -> None:
    made = Drain(BUDGET_S, clock)
    clock.now += 1e6

    made.check("never")
    assert made.left(30.0) == 30.0
    assert (made.stopping, made.revoking, made.last) == (False, False, False)


class TestRevocation:
    """Partitions are about to go, and the group waits."""

    def test_it_leaves_what_is_left_of_the_budget(self, clock: FakeClock) -> None:
        made = Drain(BUDGET_S, clock)
        with made.revocation():
            assert (made.revoking, made.last, made.left(30.0)) == (True, True, BUDGET_S)
            clock.now += 7
            assert (made.left(30.0), made.left(1.0)) == (3.0, 1.0)
            made.check("in time")
            clock.now += 3
            assert made.left(30.0) == 0.0
            with pytest.raises(DrainExpired):
                made.check("over")

    def test_after_it_nothing_is_bounded(self, clock: FakeClock) -> None:
        made = Drain(BUDGET_S, clock)
        with pytest.raises(DrainExpired), made.revocation():
            raise DrainExpired("over")
        clock.now += 1e6

        made.check("never")
        assert not made.last


class TestStop:
    """SIGTERM, and again."""

    def test_the_first_lets_the_batch_be_finished(self, clock: FakeClock) -> None:
        made = Drain(BUDGET_S, clock)
        made.stop(signal.SIGTERM, None)

        assert (made.stopping, made.last) == (True, True)
        made.check("in time")
        made.close()

    def test_the_second_ends_it_at_once(self, clock: FakeClock) -> None:
        made = Drain(BUDGET_S, clock)
        made.stop(signal.SIGTERM, None)

        with pytest.raises(DrainExpired):
            made.stop(signal.SIGTERM, None)
        with pytest.raises(DrainExpired):
            made.check("over")
        made.close()

    def test_the_budget_ends_whatever_is_being_done(self) -> None:
        made = Drain(0.05)
        made.stop(signal.SIGTERM, None)

        with pytest.raises(DrainExpired):
            time.sleep(5)
        made.close()

    def test_after_the_end_nothing_is_interrupted(self) -> None:
        made = Drain(0.05)
        made.stop(signal.SIGTERM, None)
        made.close()
        made.stop(signal.SIGTERM, None)

        time.sleep(0.1)

    def test_a_client_that_hangs_is_left_in_the_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        left = threading.Event()
        monkeypatch.setattr(drain, "_leave", left.set)
        monkeypatch.setattr(drain, "LEAVE_S", 0.02)
        made = Drain(1.0)
        made.stop(signal.SIGTERM, None)
        made.close()

        assert left.wait(30)
