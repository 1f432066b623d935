"""What check says about the points that the dashboard sees, and their types."""

import pytest

from tests.support.samples import ALL, HOUR, NOW, SETTINGS, WANTED, sample_record, sampled
from workers.commands.check import dashboard_points, field_types
from workers.commands.check.converted_record import Record
from workers.commands.check.result import CheckResult, Level


def types(stored: dict[str, str], *records: Record) -> CheckResult:
    kinds = {name: set(text.split("/")) for name, text in stored.items()}
    return field_types.compare_types(kinds, SETTINGS, sampled(*records))


NOTE = sample_record(types={**ALL, "note": "string"})


@pytest.mark.parametrize(
    ("stored", "records", "level"),
    [
        pytest.param({}, [], Level.OK, id="empty bucket"),
        pytest.param({"memory": "float", "note": "string"}, [NOTE], Level.OK, id="as Tower writes"),
        pytest.param(
            {"memory": "float", "note": "float"},
            [sample_record(types={"note": "string"}, measurement="cpu")],
            Level.OK,
            id="another type in another measurement",
        ),
        pytest.param({"memory": "integer"}, [], Level.FAIL, id="another writer was first"),
        pytest.param(
            {"memory": "integer"},
            [sample_record(), sample_record(types={"tx": "float"})],
            Level.FAIL,
            id="of some records",
        ),
        pytest.param({"memory": "float/string"}, [], Level.WARN, id="both, by time"),
        pytest.param({"note": "integer"}, [], Level.OK, id="no field of Tower's"),
        pytest.param({"note": "integer"}, [NOTE], Level.FAIL, id="a field of all records"),
        pytest.param(
            {"note": "integer"}, [NOTE, sample_record()], Level.WARN, id="a field of some records"
        ),
        pytest.param(
            {}, [NOTE, sample_record(types={**ALL, "note": "float"})], Level.WARN, id="senders that differ"
        ),
    ],
)
def test_a_field_of_another_type_is_found_before_the_first_422(
    stored: dict[str, str], records: list[Record], level: Level
) -> None:
    assert types(stored, *records).level is level


def test_a_measurement_with_more_fields_than_are_looked_at_is_not_called_empty() -> None:
    many = {f"field_{place}": "float" for place in range(field_types.FIELDS)}

    assert types(many).level is Level.WARN
    assert types(many | ALL).level is Level.OK


@pytest.mark.parametrize(
    ("newest_s", "records", "level"),
    [
        pytest.param(-1, [sample_record(-1, -1)], Level.OK, id="stored at once"),
        pytest.param(-600, [sample_record(-1, -1)], Level.WARN, id="records come and are not stored"),
        pytest.param(-600, [sample_record(-601, -601)], Level.OK, id="no record since"),
        pytest.param(-600, [], Level.OK, id="no records"),
        pytest.param(
            -1, [sample_record(9 * HOUR, 0)], Level.OK, id="a record of the future is no newer one"
        ),
        pytest.param(
            -600, [sample_record(types={"room": "string"})], Level.OK, id="a stranger makes no such point"
        ),
    ],
)
def test_a_newest_point_older_than_the_newest_record_is_a_warning(
    newest_s: float, records: list[Record], level: Level
) -> None:
    result = dashboard_points.newest_point(NOW + newest_s, SETTINGS, sampled(*records), NOW)

    assert result.level is level


@pytest.mark.parametrize(
    ("record", "level", "word"),
    [
        pytest.param(
            sample_record(), Level.WARN, "although the newest records fill disk", id="sent, not stored"
        ),
        pytest.param(
            sample_record(types={"memory": "float"}), Level.OK, "records do not fill them", id="never sent"
        ),
        pytest.param(sample_record(kafka=-2 * HOUR), Level.OK, "no records came", id="sent long ago"),
    ],
)
def test_a_field_without_a_point_in_the_last_hour_is_told(record: Record, level: Level, word: str) -> None:
    shown = {name for name in WANTED if name != "disk"}

    result = dashboard_points.dashboard_fields(shown, WANTED, sampled(record), NOW)

    assert result.level is level
    assert "disk" in result.text
    assert word in result.text
    assert dashboard_points.dashboard_fields({*WANTED}, WANTED, sampled(record), NOW).level is Level.OK


@pytest.mark.parametrize(
    ("kept_s", "records", "level"),
    [
        pytest.param(0, [sample_record(-90 * HOUR, -90 * HOUR)], Level.OK, id="for ever"),
        pytest.param(7_200, [sample_record(-1.9 * HOUR, 0)], Level.OK, id="new records"),
        pytest.param(
            7_200, [sample_record(), sample_record(-2.1 * HOUR, 0)], Level.WARN, id="some are too old"
        ),
        pytest.param(None, [sample_record(-1.9 * HOUR, 0)], Level.WARN, id="not seen, and old records"),
        pytest.param(
            None, [sample_record(-0.9 * HOUR, 0)], Level.OK, id="not seen, and records every bucket keeps"
        ),
        pytest.param(None, [], Level.OK, id="not seen, and no records"),
    ],
)
def test_records_older_than_the_bucket_keeps_are_told(
    kept_s: int | None, records: list[Record], level: Level
) -> None:
    assert dashboard_points.retention(kept_s, sampled(*records), NOW).level is level
