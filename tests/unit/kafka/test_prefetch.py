"""Messages are taken completely and in order, and the wait ends in time."""

import time

from workers.kafka.prefetch import IDLE_POLL_S, POLL_S, Prefetch

NEVER_S = 60.0


class Client:
    """Returns the next of some lists at each poll, at most as many messages as asked for."""

    def __init__(self, *looks: list[bytes]) -> None:
        self.looks = list(looks)
        self.looked = 0

    def consume(self, most: int, timeout_s: float) -> list[bytes]:
        assert timeout_s == 0, "the client's own wait goes by the wall clock"
        self.looked += 1
        if not self.looks:
            return []
        messages = self.looks.pop(0)
        if messages[most:]:
            self.looks.insert(0, messages[most:])
        return messages[:most]


def take(
    client: Client, enough: int, max_messages: int, timeout_s: float = NEVER_S, max_bytes: int = 1_000
) -> list[bytes]:
    return Prefetch(max_bytes).take(client, enough, max_messages, timeout_s, lambda: False)


def test_one_poll_is_enough_if_it_finds_enough() -> None:
    client = Client([b"a", b"b"])
    assert take(client, 1, 10) == [b"a", b"b"]
    assert client.looked == 1


def test_more_is_gathered_in_order_until_there_is_enough_and_never_more_than_most() -> None:
    client = Client([b"a"], [], [b"b", b"c", b"d"])
    assert take(client, 3, 3) == [b"a", b"b", b"c"]
    assert take(client, 1, 3) == [b"d"]


def test_large_messages_are_enough_before_they_are_many() -> None:
    client = Client([b"x" * 400], [b"x" * 700], [b"never"])
    assert len(take(client, 5, 5)) == 2


def test_the_wait_ends_in_time_with_what_there_is() -> None:
    began = time.monotonic()
    assert take(Client([b"a"]), 5, 5, 0.2) == [b"a"]
    assert 0.2 <= time.monotonic() - began < 2


def test_an_idle_queue_is_polled_less_and_less_often() -> None:
    client = Client()
    assert take(client, 1, 5, 0.5) == []
    assert client.looked <= 0.5 / IDLE_POLL_S + 6 < 0.5 / POLL_S


def test_the_wait_ends_if_the_client_has_failed() -> None:
    client = Client([])
    assert Prefetch(1_000).take(client, 1, 5, NEVER_S, lambda: "fenced") == []
    assert client.looked == 1
