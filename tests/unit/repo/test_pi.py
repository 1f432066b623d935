"""The page for the Pi says what lab/senders/fluent.conf says, and what Tower makes of it."""

import re
from collections import Counter
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support import fakes
from workers.records import timestamps

ROOT = Path(__file__).resolve().parents[3]
CONFIG = (ROOT / "lab" / "senders" / "fluent.conf").read_text()
PAGE = (ROOT / "docs" / "pi.md").read_text()

#: The objects by the names of their MIBs.
OBJECTS = {
    "ifOutOctets.2": ".1.3.6.1.2.1.2.2.1.16.2",
    "ifInOctets.2": ".1.3.6.1.2.1.2.2.1.10.2",
    "ifOutDiscards.2": ".1.3.6.1.2.1.2.2.1.19.2",
    "ifInDiscards.2": ".1.3.6.1.2.1.2.2.1.13.2",
    "ifOutErrors.2": ".1.3.6.1.2.1.2.2.1.20.2",
    "ifInErrors.2": ".1.3.6.1.2.1.2.2.1.14.2",
    "laLoad.1": ".1.3.6.1.4.1.2021.10.1.3.1",
    "memAvailReal.0": ".1.3.6.1.4.1.2021.4.6.0",
    "dskPercent.1": ".1.3.6.1.4.1.2021.9.1.9.1",
}


class Line(NamedTuple):
    """One setting of a Fluentd configuration, and the sections it is in, outermost first."""

    sections: tuple[str, ...]
    name: str
    value: str


def parsed(config: str) -> list[Line]:
    """The settings of a configuration, in order.

    Raises:
        ValueError: A tag has no partner, or a line is none of Fluentd's.
    """
    lines, sections = [], list[str]()
    for line in config.splitlines():
        text = line.strip()
        if not text or text[0] == "#":
            continue
        if end := re.fullmatch(r"</(\w+)>", text):
            if not sections or sections.pop().split()[0] != end[1]:
                raise ValueError(f"{text} closes nothing")
        elif begin := re.fullmatch(r"<(\w+(?: \S+)?)>", text):
            sections.append(begin[1])
        elif setting := re.fullmatch(r"(@?\w+) (.+)", text):
            lines.append(Line(tuple(sections), setting[1], setting[2]))
        else:
            raise ValueError(f"not a setting: {text}")
    if sections:
        raise ValueError(f"<{sections[-1]}> is not closed")
    return lines


def table(heading: str) -> list[list[str]]:
    """The cells of the first table under a heading of the page, without its head."""
    under = f"\n{PAGE}".partition(f"\n{heading}\n")[2]
    rows = re.search(r"(?:^\|.*\n)+", under, re.MULTILINE)
    assert rows, heading
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[0].splitlines()[2:]]


def setting(name: str) -> str:
    """The value of a setting that stands once in lab/senders/fluent.conf."""
    (value,) = (line.value for line in parsed(CONFIG) if line.name == name)
    return value


def test_the_configuration_is_one_source_and_one_output_to_kafka() -> None:
    types = [(line.sections, line.value) for line in parsed(CONFIG) if line.name == "@type"]

    assert types == [
        (("source",), "exec"),
        (("source", "parse"), "json"),
        (("match resource",), "kafka2"),
        (("match resource", "format"), "json"),
    ]


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        pytest.param(CONFIG.replace("</parse>", ""), "</source> closes nothing", id="a tag left open"),
        pytest.param(CONFIG.replace("  <format>", ""), "</format> closes nothing", id="a tag never opened"),
        pytest.param(CONFIG.replace("</match>", ""), "<match resource> is not closed", id="no end"),
        pytest.param(CONFIG + "flush_interval=1s", "not a setting", id="another form"),
    ],
)
def test_a_broken_configuration_is_caught(broken: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parsed(broken)


def test_the_page_explains_each_line_of_the_configuration_and_no_other() -> None:
    lines = parsed(CONFIG)
    texts = [
        f"{line.name} {line.value.split()[0]} …" if line.name == "command" else f"{line.name} {line.value}"
        for line in lines
    ]
    twice = {text for text, count in Counter(texts).items() if count > 1}
    wanted = [
        f"`{text}` in `<{line.sections[-1]}>`" if text in twice else f"`{text}`"
        for text, line in zip(texts, lines, strict=True)
    ]

    assert [cells[0] for cells in table("## Fluentd")] == wanted


def test_the_page_tells_for_each_field_its_object_and_its_new_name() -> None:
    fields = re.findall(r'"(\w+)":%s', setting("command"))
    asked = re.findall(r"localhost (\S+?)\)", setting("command"))
    rename = dict(fakes.route().rename)
    rows = [(field.strip("`"), OBJECTS[name], new.strip("`")) for field, name, new, _ in table("# The Pi")]

    assert rows == [(field, oid, rename[field]) for field, oid in zip(fields, asked, strict=True)]
    assert len(rows) == len(OBJECTS)


def test_the_time_of_the_configuration_is_read_with_its_zone() -> None:
    taken = datetime(2026, 11, 26, 7, 50, tzinfo=timezone(timedelta(hours=9)))

    assert setting("time_key") in fakes.route().time_fields
    assert timestamps.parse(taken.strftime(setting("time_format"))) == timestamps.Timestamp(
        int(taken.timestamp()) * 10**9, timestamps.SECOND
    )


def test_the_record_on_the_page_has_the_fields_of_the_configuration() -> None:
    (record,) = re.findall(r"^\{.*\}$", PAGE, re.MULTILINE)

    assert re.findall(r'"(\w+)":', record) == [
        *re.findall(r'"(\w+)":%s', setting("command")),
        setting("time_key"),
    ]
