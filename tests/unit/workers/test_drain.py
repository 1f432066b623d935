"""The time to finish is limited, and a second signal ends it at once."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest

from tests.support.fakes import FakeClock
from workers.drain import Drain
from workers.errors import DrainExpired

BUDGET_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(autouse=True)
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keeps the test process's signal handlers, and does not let it exit."""
    monkeypatch.setattr("workers.drain._exit", lambda: None)
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def test_without_a_stop_or_revocation_nothing_is_bounded(clock: FakeClock) -> None:
    drain = Drain(BUDGET_S, clock)
    clock.now += 1e6

    drain.check("never")
    assert drain.remaining(30.0) == 30.0
    assert (drain.stopping, drain.revoking, drain.is_final) == (False, False, False)


class TestRevocation:
    """Partitions are being revoked, and the group waits."""

    def test_it_leaves_the_rest_of_the_budget(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        with drain.revocation():
            assert (drain.revoking, drain.is_final, drain.remaining(30.0)) == (True, True, BUDGET_S)
            clock.now += 7
            assert (drain.remaining(30.0), drain.remaining(1.0)) == (3.0, 1.0)
            drain.check("in time")
            clock.now += 3
            assert drain.remaining(30.0) == 0.0
            with pytest.raises(DrainExpired):
                drain.check("over")

    def test_after_it_nothing_is_bounded(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        with pytest.raises(DrainExpired), drain.revocation():
            raise DrainExpired("over")
        clock.now += 1e6

        drain.check("never")
        assert not drain.is_final


class TestStop:
    """SIGTERM, and again."""

    def test_the_first_lets_the_batch_be_finished(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        drain.stop(signal.SIGTERM, None)

        assert (drain.stopping, drain.is_final) == (True, True)
        drain.check("in time")
        drain.close()

    def test_the_second_ends_it_at_once(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        drain.stop(signal.SIGTERM, None)

        with pytest.raises(DrainExpired):
            drain.stop(signal.SIGTERM, None)
        with pytest.raises(DrainExpired):
            drain.check("over")
        drain.close()

    def test_the_end_of_the_budget_interrupts_any_work(self) -> None:
        drain = Drain(0.05)
        drain.stop(signal.SIGTERM, None)

        with pytest.raises(DrainExpired):
            time.sleep(5)
        drain.close()

    def test_after_the_end_nothing_is_interrupted(self) -> None:
        drain = Drain(0.05)
        drain.stop(signal.SIGTERM, None)
        drain.close()
        drain.stop(signal.SIGTERM, None)

        time.sleep(0.1)

    def test_a_client_that_hangs_does_not_keep_the_process(self, monkeypatch: pytest.MonkeyPatch) -> None:
        left = threading.Event()
        monkeypatch.setattr("workers.drain._exit", left.set)
        monkeypatch.setattr("workers.drain.LEAVE_S", 0.02)
        drain = Drain(1.0)
        drain.stop(signal.SIGTERM, None)
        drain.close()

        assert left.wait(30)
