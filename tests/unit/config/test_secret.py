"""A secret is shown to the one place that asks for it."""

import json
import logging
import traceback
from pathlib import Path

import pytest

from workers.config.secret import Secret, masked

CANARY = "CANARY-81d0"


def test_it_reveals_itself_on_demand() -> None:
    assert Secret(CANARY).reveal() == CANARY


@pytest.mark.parametrize(
    "shown", [repr, str, lambda it: f"{it}", lambda it: f"{it!r}", lambda it: " ".join(map(str, [it]))]
)
def test_no_format_shows_it(shown: object) -> None:
    assert callable(shown)
    assert shown(Secret(CANARY)) == "***"
    assert CANARY not in str(shown([Secret(CANARY)]))


def test_no_log_line_shows_it(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("tower").warning("token %s %r", Secret(CANARY), {"token": Secret(CANARY)})

    assert CANARY not in caplog.text
    assert "***" in caplog.text


def test_it_cannot_become_json() -> None:
    with pytest.raises(TypeError) as caught:
        json.dumps(Secret(CANARY))

    assert CANARY not in "".join(traceback.format_exception(caught.value))


def test_a_value_that_fits_in_no_header_is_refused_without_being_quoted() -> None:
    with pytest.raises(ValueError, match="line break") as caught:
        Secret(f"{CANARY}\r\nX-Other: 1")

    assert CANARY not in str(caught.value)


def test_none_given_is_false() -> None:
    assert [bool(Secret(None)), bool(Secret("")), bool(Secret("x"))] == [False, False, True]


def test_one_that_has_no_file_never_changes() -> None:
    assert not Secret(CANARY).reread()


def test_a_changed_file_is_taken_up(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old\n")
    secret = Secret(file=file)

    assert not secret.reread()
    file.write_text("new\n")

    assert secret.reread()
    assert secret.reveal() == "new"
    assert not secret.reread()


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff\xfe", b"half\x00written", b"two\nlines"])
def test_a_file_in_the_middle_of_a_rotation_changes_nothing(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    secret = Secret(file=file)
    file.unlink()
    if content is not None:
        file.write_bytes(content)

    assert not secret.reread()
    assert secret.reveal() == "old"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("no such bucket", "no such bucket", id="none"),
        pytest.param("Token CANARY-77 and CANARY-77", "Token *** and ***", id="twice"),
        pytest.param("Token CANARY-", "Token ***", id="its beginning at the end"),
        pytest.param("Token CAN", "Token CAN", id="too little of it at the end"),
        pytest.param("CANARY- is no secret", "CANARY- is no secret", id="its beginning in the middle"),
        pytest.param(json.dumps('tök"én'), '"***"', id="escaped as JSON does"),
        pytest.param(repr('tök"én'.encode()), "b'***'", id="escaped as Python does"),
        pytest.param("CANARY-77-and-more", "***", id="inside a longer one"),
        pytest.param("", "", id="no text"),
    ],
)
def test_a_secret_is_masked_in_a_foreign_text(text: str, shown: str) -> None:
    assert masked(text, "", "CANARY-77", 'tök"én', "CANARY-77-and-more") == shown
