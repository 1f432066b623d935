"""Each command line that a log, an error or a remedy recommends is one that `tower` takes."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.unit.commands.test_status import facts, offsets, report
from workers.commands.clients.recent_counts import RecentCounts
from workers.commands.main import tower
from workers.commands.pool.record_troubles import REMEDIES
from workers.commands.pool.troubles import find_troubles
from workers.kafka.replay_command import replay_command
from workers.types import Partition, Reason

WORKERS = Path(__file__).resolve().parents[3] / "workers"

#: What a program puts into its text for these expressions, so that the command is complete.
EXPRESSIONS = {"reason": "json", "pending.stored": "0/17"}

#: A command between backquotes.
COMMAND = re.compile(r"`tower( [^`]*)`")

#: Reasons without a remedy of their own: only the sender can change what is wrong, and the error says what.
GENERAL = {
    Reason.EMPTY,
    Reason.JSON,
    Reason.MSGPACK,
    Reason.LINE,
    Reason.TEXT,
    Reason.NOT_A_RECORD,
    Reason.NO_FIELDS,
    Reason.MEASUREMENT,
    Reason.TOO_MANY_RECORDS,
}


def parse(words: list[str]) -> None:
    """Parse a command line as click does; a name alone, as in a sentence, needs no arguments.

    Raises:
        click.UsageError: There is no such command, option or value.
    """
    command: click.Command = tower
    context = click.Context(command)
    while isinstance(command, click.Group) and words:
        name, found, words = command.resolve_command(context, words)
        assert name is not None
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if words:
        command.make_context(context.info_name, words, parent=context.parent)


def commands(text: str) -> list[list[str]]:
    """The command lines in a text, as words."""
    return [line.split() for line in COMMAND.findall(text)]


def literals(module: Path) -> Iterator[str]:
    """The texts of a module, with values in place of expressions."""
    tree = ast.parse(module.read_text())
    inside = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.JoinedStr)
        for part in ast.walk(node)
        if part is not node
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.value
        elif isinstance(node, ast.JoinedStr) and id(node) not in inside:
            yield "".join(
                str(part.value)
                if isinstance(part, ast.Constant)
                else EXPRESSIONS.get(ast.unparse(part).strip("f'\"{}"), "?")
                for part in node.values
            )


def test_each_command_line_in_the_code_parses() -> None:
    lines = [
        words
        for module in sorted(WORKERS.rglob("*.py"))
        for text in literals(module)
        for words in commands(text)
    ]

    assert len(lines) > 50
    for words in lines:
        parse(list(words))


@pytest.mark.parametrize(
    "text",
    [
        "`tower replay --partition metrics[3]`",
        "`tower stop`",
        "`tower dlq show 0/17 --full`",
        "`tower dlq ls`",
    ],
)
def test_a_command_line_that_click_rejects_is_seen(text: str) -> None:
    (words,) = commands(text)

    with pytest.raises(click.UsageError):
        parse(words)


@pytest.mark.parametrize(
    ("key", "line"),
    [
        (3, "tower replay --partition 3 --from earliest"),
        ("metrics[3]", "tower replay --topic metrics --partition 3 --from earliest"),
        ("a-b.c_d[0]", "tower replay --topic a-b.c_d --partition 0 --from earliest"),
    ],
)
def test_the_command_that_begins_a_partition_anew_names_its_topic_if_there_are_several(
    key: int | str, line: str
) -> None:
    assert replay_command(key) == line
    parse(line.split()[1:])


@pytest.mark.parametrize("key", [2, Partition("metrics", 3).key(has_several_topics=True)])
def test_each_command_line_of_a_remedy_parses(key: int | str) -> None:
    recent = RecentCounts(60, 100, dict.fromkeys(Reason, 1), 1, {}, 9, 9)
    worker = report(2, recent=recent, stopped={key: "offset gone"})

    remedies = [trouble.remedy for trouble in find_troubles([report(0), worker], facts(offsets()))]

    lines = [words for remedy in remedies for words in commands(remedy)]
    assert len(lines) > 2 * len(Reason)
    for words in lines:
        parse(list(words))


def test_each_reason_has_a_remedy_of_its_own_or_only_its_sender_can_help() -> None:
    own = {*REMEDIES, Reason.CRASH}

    assert own | GENERAL == set(Reason)
    assert not own & GENERAL


def test_a_record_that_ended_workers_is_reported_and_not_sent_again() -> None:
    recent = RecentCounts(60, 100, {Reason.CRASH: 1})

    (trouble,) = find_troubles([report(0), report(1), report(2, recent=recent)], facts(offsets()))

    assert "please report what `tower dlq show` prints" in trouble.remedy
    assert "do not replay" in trouble.remedy
    assert "`tower dlq replay" not in trouble.remedy
