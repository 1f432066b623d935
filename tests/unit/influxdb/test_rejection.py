"""The causes that influxd names are read from its own texts, and from nothing else."""

import pytest

from workers.influxdb.rejection import OutsideRetention, TypeConflict, cause_of, is_no_fault_of_lines

#: Answers of influxd 2.7.12 to real writes.
BEGIN = "failure writing points to database: partial write: "
CONFLICT = (
    BEGIN
    + 'field type conflict: input field "uid" on measurement "labs" is type string, already exists as '
    "type float dropped=1666"
)
QUOTED = (
    BEGIN + 'field type conflict: input field "f \\"g" on measurement "l,a\\"b" is type integer, already '
    "exists as type float dropped=1"
)
OLD = (
    BEGIN + "dropped 2 points outside retention policy of duration 1h0m0s - oldest point labs at "
    "2026-11-26T02:43:41.964599662Z dropped because it violates a Retention Policy Lower Bound at "
    "2026-11-26T03:45:22.026555457Z, newest point labs at 2026-11-26T02:45:21.964599662Z dropped because "
    "it violates a Retention Policy Lower Bound at 2026-11-26T03:45:22.026555457Z dropped=2 for database: "
    "f1630cf443bb1ec0 for retention policy: autogen"
)


@pytest.mark.parametrize(
    ("text", "measurement", "field", "types", "dropped"),
    [
        pytest.param(CONFLICT, b"labs", b"uid", ("string", "float"), 1666, id="as influxd writes it"),
        pytest.param(QUOTED, b'l,a"b', b'f "g', ("integer", "float"), 1, id="quotes in names"),
        pytest.param(
            CONFLICT.removeprefix("failure writing points to database: "),
            b"labs",
            b"uid",
            ("string", "float"),
            1666,
            id="influxdb 1.x",
        ),
        pytest.param(
            CONFLICT.replace("uid", r"\u0001\x80\t\U0001f600é\\"),
            b"labs",
            b"\x01\x80\t" + "😀é\\".encode(),
            ("string", "float"),
            1666,
            id="escapes of Go",
        ),
    ],
)
def test_a_type_conflict_is_read(
    text: str, measurement: bytes, field: bytes, types: tuple[str, str], dropped: int
) -> None:
    cause = cause_of(text)

    assert isinstance(cause, TypeConflict)
    assert (cause.measurement, cause.field) == (measurement, field)
    assert (cause.sent, cause.stored) == types
    assert cause.dropped == dropped
    assert "dropped" not in cause.text


@pytest.mark.parametrize(
    ("text", "dropped", "bound_s"),
    [
        pytest.param(OLD, 2, 1_795_664_722, id="influxd 2.7.12"),
        pytest.param(
            OLD.replace("point labs at", 'point labs,a=" Lower Bound at 2099-01-01T00:00:00Z dropped=9 at'),
            2,
            1_795_664_722,
            id="a tag lies",
        ),
        pytest.param(OLD.replace("03:45:22", "99:45:22"), 2, 0, id="no time"),
        # influxdb 2.0 and 1.8, v1/coordinator/points_writer.go
        pytest.param("partial write: points beyond retention policy dropped=7", 7, 0, id="older versions"),
    ],
)
def test_points_outside_retention_are_read(text: str, dropped: int, bound_s: int) -> None:
    cause = cause_of(text)

    assert isinstance(cause, OutsideRetention)
    assert (cause.dropped, cause.bound_ns) == (dropped, bound_s * 10**9)
    assert "labs" not in cause.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "unable to parse 'labs a=nan 1': invalid number",
        f"unable to parse '{CONFLICT}': no",
        "x" + CONFLICT,
        CONFLICT.replace("is type string", "is type text"),
        CONFLICT.replace(
            '"uid"', '"a" on measurement "labs" is type string, already exists as type float "'
        ),
        CONFLICT.replace("dropped=1666", "dropped=" + "9" * 5_000),
        CONFLICT.replace("dropped=1666", ""),
        OLD.replace("dropped=2", "dropped=-2"),
        BEGIN + "shard 7 is pending deletion dropped=8",
        BEGIN + 'input field "a" on measurement "labs" is too long, 1048577 > 1048576 dropped=1',
        BEGIN + 'invalid field name: input field "time" on measurement "labs" is invalid dropped=1',
    ],
)
def test_other_texts_name_no_cause(text: str) -> None:
    assert cause_of(text) is None


def test_only_a_shard_that_goes_is_no_fault_of_the_lines() -> None:
    assert is_no_fault_of_lines(BEGIN + "shard 7 is pending deletion dropped=8")
    assert not is_no_fault_of_lines(CONFLICT.replace("uid", "shard 7 is pending deletion "))
    assert not is_no_fault_of_lines(OLD)


def test_a_long_text_is_read_in_linear_time() -> None:
    """Each of these once took a regular expression long, or would take one that goes back."""
    for text in (
        OLD + " dropped=" * 100_000,
        BEGIN + 'field type conflict: input field "' + '\\"' * 500_000,
    ):
        assert cause_of(text) is None


def test_halves_of_surrogate_pairs_are_no_error() -> None:
    cause = cause_of(CONFLICT.replace("uid", "\ud800"))

    assert isinstance(cause, TypeConflict)
    assert cause.field == b"?"
