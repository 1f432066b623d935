"""Which hosts are this machine alone, for the Host check of `tower serve` and the warning about http://."""

import pytest

from workers.config.loopback import is_loopback


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "tower.localhost",
        "127.0.0.1",
        "127.0.0.2",
        "127.255.255.254",
        "::1",
        "::ffff:127.0.0.1",
    ],
)
def test_a_loopback_address_is_this_machine_alone(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "::",
        "128.0.0.1",
        "192.168.0.7",
        "::2",
        "::ffff:10.0.0.1",
        "fe80::1%lo",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "notlocalhost",
    ],
)
def test_any_other_host_is_not(host: str) -> None:
    assert not is_loopback(host)
