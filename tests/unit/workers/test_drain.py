"""The time to finish is limited, and a second signal ends it at once."""

import threading

import pytest

from tests.support.fakes import FakeClock
from workers.drain import Drain, LastResort
from workers.errors import DrainExpired

BUDGET_S = 10.0


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


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
        drain.stop()
        clock.now += BUDGET_S - 0.1

        assert (drain.stopping, drain.is_final) == (True, True)
        drain.check("in time")

    def test_the_end_of_the_budget_ends_the_next_wait(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        drain.stop()
        clock.now += BUDGET_S

        with pytest.raises(DrainExpired, match=r"^the 10 s of TOWER_DRAIN_S are over: no answer$"):
            drain.check("no answer")

    def test_the_second_ends_the_next_wait_and_raises_nothing_itself(self, clock: FakeClock) -> None:
        """It may arrive at any bytecode, and code between two waits must not be interrupted."""
        drain = Drain(BUDGET_S, clock)
        drain.stop()
        drain.stop()

        with pytest.raises(DrainExpired, match=r"^a second signal arrived: no answer$"):
            drain.check("no answer")

    def test_the_second_does_not_begin_the_budget_again(self, clock: FakeClock) -> None:
        begun: list[float] = []
        drain = Drain(BUDGET_S, clock, lambda: begun.append(clock.now))
        drain.stop()
        drain.stop()

        assert begun == [clock.now]

    def test_a_stop_does_not_outlast_its_budget_because_of_a_revocation(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        drain.stop()
        clock.now += BUDGET_S - 1
        with drain.revocation():
            drain.check("in time")
            clock.now += 1
            with pytest.raises(DrainExpired):
                drain.check("over")

    def test_after_the_end_nothing_is_interrupted(self, clock: FakeClock) -> None:
        drain = Drain(BUDGET_S, clock)
        drain.stop()
        drain.close()
        drain.stop()
        clock.now += 1e6

        drain.check("closed")


def test_a_client_that_hangs_does_not_keep_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    left = threading.Event()
    monkeypatch.setattr("workers.drain._exit", left.set)
    last_resort = LastResort(0.02)

    assert not left.wait(0.1)

    last_resort.begin()
    assert left.wait(30)
