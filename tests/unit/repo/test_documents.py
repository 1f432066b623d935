"""The documents are true where a program can tell."""

import inspect
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bench.__main__ import main as bench
from lab.__main__ import main as lab
from tests.faults.harness.report import FAULTS
from tests.faults.harness.report import main as faults_report
from tests.integration.test_lab_text import STEPS
from tests.support import broken_setups
from workers.commands.main import tower
from workers.config.kafka_properties import KAFKA_DEFAULTS, KAFKA_PREFIX
from workers.config.options import variable
from workers.config.secret import Secret
from workers.config.settings import options
from workers.drain import Drain
from workers.kafka.consumer import GroupConsumer
from workers.kafka.membership import Membership
from workers.loop import Loop
from workers.types import Reason

ROOT = Path(__file__).resolve().parents[3]
#: Every document of the project, by its path from the root.
DOCUMENTS = {
    str(path.relative_to(ROOT)): path.read_text()
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "bench/**/*.md",
        "docker/**/*.md",
        "lab/**/*.md",
        "tests/**/*.md",
    )
    for path in sorted(ROOT.glob(pattern))
}
README = DOCUMENTS["README.md"]

#: Most lines and words of the README: it is read in five minutes.
MOST_LINES, MOST_WORDS = 150, 1_500

#: Most bytes of a picture, so that a document opens at once.
MOST_BYTES = 150_000

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`[^`\n]+`")
LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]*)?\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)

#: A file or folder of the project that a document names in code quotes.
PATH = re.compile(r"`((?:workers|lab|bench|tests|docs|docker)/[\w./-]*)`")
OPTION = re.compile(r"(?<!\S)--?[a-z][\w-]*")

COMMANDS: dict[str, click.Command] = {
    "tower": tower,
    "workers": tower,
    "lab": lab,
    "bench": bench,
    "tests.faults.harness.report": faults_report,
}
PROGRAM = re.compile(rf"(?:^|/|-m )({'|'.join(map(re.escape, COMMANDS))})((?: [^|)]*)?)$")


def slugs(text: str) -> set[str]:
    """The anchors that GitHub gives the headings of a document."""
    counts: Counter[str] = Counter()
    anchors = set()
    for heading in HEADING.findall(FENCE.sub("", text)):
        slug = re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")
        anchors.add(f"{slug}-{counts[slug]}" if counts[slug] else slug)
        counts[slug] += 1
    return anchors


def broken_links(name: str, documents: dict[str, str]) -> list[str]:
    """The relative links of a document that lead nowhere."""
    broken = []
    for target in LINK.findall(CODE.sub("", FENCE.sub("", documents[name]))):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = os.path.normpath(Path(name).parent / path) if path else name
        anchors = slugs(documents[file]) if file in documents else set()
        if not (ROOT / file).exists() or (anchor and anchor not in anchors):
            broken.append(target)
    return broken


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    level = heading.partition(" ")[0]
    assert f"\n{heading}\n" in text, heading
    return text.partition(f"\n{heading}\n")[2].partition(f"\n{level} ")[0]


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of the tables under a heading, without their heads."""
    lines = [line for line in section(text, heading).splitlines() if line.startswith("| ")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return table[1:]


def commands(text: str) -> Iterator[str]:
    """Every command line of a document: lines of code blocks without comments, and quoted code."""
    for block in FENCE.findall(text):
        for line in block.splitlines()[1:-1]:
            yield re.sub(r"(^|\s)#.*", "", line)
    for code in CODE.findall(FENCE.sub("", text)):
        yield code.strip("`")


def targets(text: str) -> set[tuple[str, ...]]:
    """What `make` is asked for in a document: targets and variables."""
    documented = set()
    for line in commands(text):
        match = re.search(r"(?<!\S)make((?: [\w-]+(?:=\S+)?)+)", line)
        if match:
            documented.add(tuple(re.sub(r"=\S*", "=1", match[1]).split()))
    return documented


def unknown_commands(text: str) -> list[str]:
    """Command lines of Tower's own programs that name a command or an option that does not exist."""
    unknown = []
    for line in commands(text):
        match = PROGRAM.search(re.sub(r'"|\$\(|\)', "", line).strip())
        if match and not _exists(COMMANDS[match[1]], match[2].split()):
            unknown.append(line)
    return unknown


def _exists(command: click.Command, words: list[str]) -> bool:
    context = click.Context(command)
    while isinstance(command, click.Group) and words and words[0].isidentifier():
        subcommand = command.get_command(context, words[0])
        if subcommand is None:
            return False
        command, words = subcommand, words[1:]
    known = {
        name for option in command.get_params(context) for name in [*option.opts, *option.secondary_opts]
    } | {"--help", "-h"}
    return {word.partition("=")[0] for word in words if OPTION.fullmatch(word.partition("=")[0])} <= known


def settings_table() -> list[list[str]]:
    """The table of all settings, as the code has it."""
    table = []
    for option in options():
        name, metadata = variable(option), option.metadata
        default = f"`{metadata['default']}`" if metadata["default"] else metadata["lab"]
        text = metadata["text"] + (f"; or {name}_FILE" if metadata["parse"] is Secret else "")
        table.append([name, default, text])
    return table


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_and_anchor_leads_somewhere(name: str) -> None:
    assert broken_links(name, DOCUMENTS) == []


@pytest.mark.parametrize(
    "link", ["docs/nothing.md", "docs/delivery.md#no-such-heading", "#no-such-heading", "../README.md"]
)
def test_a_broken_link_is_found(link: str) -> None:
    assert broken_links("README.md", {**DOCUMENTS, "README.md": f"# Tower\n\n[text]({link})\n"}) == [link]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_file_that_a_document_names_exists(name: str) -> None:
    named = PATH.findall(DOCUMENTS[name])

    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_command_that_a_document_names_exists(name: str) -> None:
    assert unknown_commands(DOCUMENTS[name]) == []


@pytest.mark.parametrize(
    "line",
    [
        pytest.param("tower watch", id="no such command"),
        pytest.param(".venv/bin/tower dlq lst", id="no such command of a group"),
        pytest.param("python -m workers status --most-lag 3", id="no such option"),
        pytest.param(".venv/bin/python -m lab feed --devise pi-1", id="no such option of the lab"),
    ],
)
def test_a_command_that_does_not_exist_is_found(line: str) -> None:
    assert unknown_commands(f"Try `{line}`.\n") == [line]
    assert unknown_commands(f"```\n{line}    # a comment\n```\n") != []


def test_every_make_command_in_a_document_exists() -> None:
    wanted = set().union(*(targets(text) for text in DOCUMENTS.values()))
    failures = [words for words in sorted(wanted) if not makes(words)]

    assert ("demo",) in wanted
    assert failures == []


def test_a_make_command_that_does_not_exist_is_found() -> None:
    assert not makes(("no-such-target",))


def test_every_program_of_the_virtual_environment_that_a_document_names_is_there() -> None:
    named = {name for text in DOCUMENTS.values() for name in re.findall(r"\.venv/bin/([\w-]+)", text)}
    folder = Path(sys.executable).parent

    assert {"supervisord", "tower"} <= named
    assert [name for name in sorted(named) if not (folder / name).exists()] == []


def makes(words: tuple[str, ...]) -> bool:
    """Whether `make` knows what to do; it does nothing."""
    ran = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, check=False)
    return ran.returncode == 0


def test_the_table_of_settings_is_the_codes() -> None:
    assert rows(DOCUMENTS["docs/settings.md"], "## All settings") == settings_table()


def test_the_table_of_kafka_properties_has_towers_defaults() -> None:
    table = {row[0]: row[1] for row in rows(DOCUMENTS["docs/settings.md"], "## Kafka")}

    assert table == {
        KAFKA_PREFIX + name.upper().replace(".", "_"): f"`{default}`"
        for name, default in KAFKA_DEFAULTS.items()
    }


def test_the_readmes_settings_are_ten_of_them() -> None:
    document = DOCUMENTS["docs/settings.md"]
    table = rows(document, "## All settings") + rows(document, "## Kafka")
    most_used = rows(README, "## Settings")

    assert len(most_used) == 10
    assert [row for row in most_used if row not in table] == []


def test_each_reason_of_a_dead_letter_is_explained_and_no_other() -> None:
    explained = [row[0].strip("`") for row in rows(DOCUMENTS["docs/records.md"], "## Dead letters")]

    assert explained == [str(reason) for reason in Reason]


def test_the_steps_of_the_labs_text_are_those_the_integration_test_follows() -> None:
    table = rows(DOCUMENTS["docs/operations.md"], "## The lab's text, step by step")

    assert [row[0] for row in table] == list(STEPS)


def test_each_flag_of_the_rebalance_table_is_one_of_the_class_it_names() -> None:
    classes = {cls.__name__: inspect.getsource(cls) for cls in (Drain, GroupConsumer, Loop, Membership)}
    flags = [row[:2] for row in rows(DOCUMENTS["docs/architecture.md"], "## Rebalances") if len(row) == 4]
    named = [(flag.strip("`"), cls.strip("`")) for flag, cls in flags]

    assert len(named) == 9
    assert [
        (flag, cls) for flag, cls in named if not re.search(rf"(?:def |self\.){flag}\b", classes[cls])
    ] == []


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(README.splitlines()) <= MOST_LINES
    assert len(README.split()) <= MOST_WORDS


def test_each_figure_of_the_readme_stands_in_the_document_it_links_to() -> None:
    reasons = section(README, "## Why use it").split("\n- ")[1:]
    missing = []
    for reason in reasons:
        linked = "".join(DOCUMENTS[target.partition("#")[0]] for target in LINK.findall(reason))
        figures = re.findall(r"\*\*([\d.,]+)\*\*", reason)
        missing += [
            figure for figure in figures if not re.search(rf"(?<![\d.]){figure}(?![\d.]*\d)", linked)
        ]

    assert len(reasons) == 3
    assert missing == []


def test_every_fault_passed_as_the_readme_says() -> None:
    results = rows(DOCUMENTS["docs/faults.md"], "## Results")

    assert {row[0] for row in results} == {str(number) for number in range(1, FAULTS + 1)}
    assert [row[:3] for row in results if row[2] != "passed"] == []


def test_every_name_under_where_to_look_is_in_the_file_beside_it() -> None:
    places = section(DOCUMENTS["docs/architecture.md"], "## Where to look")
    named = re.findall(r"`([\w/]+\.py)`, `(\w+)`", places)
    named += [(file, name) for name, file in re.findall(r"`(\w+)` in `([\w/]+\.py)`", places)]

    assert len(named) == 5
    assert [
        name for file, name in named if not re.search(rf"(?:def|class) {name}\b", (ROOT / file).read_text())
    ] == []


def test_each_module_beside_the_packages_has_a_layer() -> None:
    layers = section(DOCUMENTS["docs/architecture.md"], "## Packages and imports")
    modules = {path.name for path in (ROOT / "workers").glob("*.py")} - {"__init__.py"}

    assert set(re.findall(r"`(\w+\.py)`", layers)) == modules


def test_each_command_of_the_operator_is_in_the_readme() -> None:
    table = " ".join(row[0] for row in rows(README, "## Commands"))

    assert [
        name for name in tower.list_commands(click.Context(tower)) if f"tower {name}" not in table
    ] == []


def test_no_placeholder_is_left() -> None:
    assert [name for name, text in DOCUMENTS.items() if "@@" in text or "TODO" in text] == []


def test_the_table_of_broken_setups_is_that_of_the_list_that_is_tried() -> None:
    text = broken_setups.DOCUMENT.read_text()

    assert text[text.index(broken_setups.HEAD) :] == broken_setups.table()


def test_each_picture_is_small_and_in_a_document() -> None:
    pictures = sorted((ROOT / "docs" / "pictures").iterdir())
    linked = {
        os.path.normpath(Path(name).parent / target)
        for name, text in DOCUMENTS.items()
        for target in LINK.findall(text)
    }

    assert [path.name for path in pictures if path.stat().st_size > MOST_BYTES] == []
    assert {str(path.relative_to(ROOT)) for path in pictures} <= linked
    assert len(pictures) >= 4
