"""When a client whose credentials Kafka rejected is replaced."""

from pathlib import Path

import pytest

from tests.support import fakes
from workers.kafka.credentials import CHECK_S, REJECTED_S, Credentials


class Files:
    """A password and an authority in files, and a client's credentials from them."""

    def __init__(self, folder: Path) -> None:
        self.clock = fakes.FakeClock()
        self.password = folder / "password"
        self.authority = folder / "ca.pem"
        self.password.write_text("old\n")
        self.authority.write_text("old")
        environ = {
            "TOWER_KAFKA_SASL_PASSWORD_FILE": str(self.password),
            "TOWER_KAFKA_SSL_CA_LOCATION": str(self.authority),
        }
        self.settings = fakes.settings(environ)
        self.credentials = Credentials(self.settings, self.clock)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.mark.parametrize("name", ["password", "authority"])
def test_credentials_have_changed_after_a_rejection_and_a_new_file(files: Files, name: str) -> None:
    """Neither alone is a reason to replace a client."""
    file: Path = getattr(files, name)
    file.write_text("new")
    assert not files.credentials.have_changed()

    files.credentials.reject()
    assert files.credentials.have_changed()

    fresh = Credentials(files.settings, files.clock)
    fresh.reject()
    assert not fresh.have_changed()


def test_an_old_rejection_does_not_count(files: Files) -> None:
    """One wrong answer of a broker is no reason to use a password that Kafka does not accept yet."""
    files.credentials.reject()
    files.clock.now += REJECTED_S + 1
    files.password.write_text("new")

    assert not files.credentials.have_changed()


def test_a_rejected_client_reads_its_files_seldom(files: Files) -> None:
    """Once a second, not at each of the many calls in between."""
    files.credentials.reject()
    assert not files.credentials.have_changed()
    files.password.write_text("new")
    assert not files.credentials.have_changed()

    files.clock.now += CHECK_S

    assert files.credentials.have_changed()


def test_a_password_file_that_is_empty_for_a_moment_is_no_other_password(files: Files) -> None:
    """It is being written."""
    files.credentials.reject()
    files.password.write_text("")

    assert not files.credentials.have_changed()
