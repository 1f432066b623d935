"""What check says about the fields of the newest records."""

from tests.support import fakes
from tests.support.samples import ALL, WANTED, named, sample_record, sampled
from workers.commands.check import fields as check_fields
from workers.commands.check.converted_record import Record
from workers.commands.check.result import CheckResult, Level


def fields(*records: Record, **options: object) -> list[CheckResult]:
    return list(check_fields.check_fields(sampled(*records), fakes.settings(**options)))


def test_records_that_fill_all_fields_of_the_dashboard_are_well() -> None:
    (result,) = fields(sample_record(), sample_record(types=ALL | {"note": "string"}))

    assert result.level is Level.OK
    assert all(name in result.text for name in WANTED)


def test_records_that_fill_none_are_a_warning_with_their_fields_and_the_settings() -> None:
    (result,) = fields(sample_record(types={"temperature": "float", "room": "string", "on": "boolean"}))

    assert result.level is Level.WARN
    assert "temperature (number), room (text), on (true or false)" in result.text
    assert "TOWER_RENAME=temperature:memory" in result.next
    assert "TOWER_NUMBER_FIELDS" in result.next


def test_a_stranger_is_not_hidden_by_a_newest_record_that_is_well() -> None:
    (result,) = fields(
        sample_record(kafka=0),
        sample_record(kafka=-9, types={"temperature": "float"}, place="resource[2]@3"),
    )

    assert result.level is Level.WARN
    assert "1 of the newest 2 records" in result.text
    assert "the other 1 do" in result.text
    assert "resource[2]@3" in result.text


def test_fields_that_no_record_fills_are_told() -> None:
    some = {name: "float" for name in WANTED if name != "disk"}

    (result,) = fields(sample_record(types=some), sample_record(types={"memory": "float"}))

    assert result.level is Level.OK
    assert "never disk" in result.text


def test_a_field_that_nobody_fills_beside_one_that_nobody_asks_for_is_a_warning() -> None:
    """It is likely the same one by another name."""
    some = {name: "float" for name in WANTED if name != "CPU_Usage"}

    (result,) = fields(sample_record(types=some | {"seq": "float", "cpu_usage": "float"}))

    assert result.level is Level.WARN
    assert "never CPU_Usage" in result.text
    assert "TOWER_RENAME=cpu_usage:CPU_Usage" in result.next


def test_names_of_strangers_are_cut_and_escaped() -> None:
    types = {"\x1b[31mred\n": "float", "k" * 500: "float", "\u202eright": "float"} | {
        f"field_{place}": "float" for place in range(500)
    }

    (result,) = fields(sample_record(types=types))

    assert result.text.isprintable()
    assert result.next.isprintable()
    assert len(str(result)) < 1_500
    assert "and 491 more" in result.text


def test_a_field_whose_values_are_left_out_as_a_rule_is_told() -> None:
    without = {name: "float" for name in WANTED if name != "CPU_Usage"}
    empty = sample_record(types=without, omitted=frozenset({"CPU_Usage"}))

    often = fields(empty, empty, sample_record())
    seldom = fields(empty, sample_record(), sample_record())

    assert named(often, "values left out").level is Level.WARN
    assert "CPU_Usage in 2 of 3 records" in named(often, "values left out").text
    assert [result.check for result in seldom] == ["record fields"]


def test_without_number_fields_nothing_is_said_about_them() -> None:
    assert fields(sample_record(), number_fields="") == []
