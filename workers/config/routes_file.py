"""Reads the file of routes that TOWER_ROUTES names: a `[[route]]` table for each."""

import dataclasses
import difflib
import tomllib
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

from workers.config import topic_tags
from workers.config.limits import Limits
from workers.config.options import keys
from workers.config.route import Route
from workers.errors import SettingsError

SETTING = "TOWER_ROUTES"

#: The keys that are tables, with what stands between a name and its value in the text that is parsed.
_TABLES = {"tags": "=", "rename": ":", "header_tags": ":"}

#: Keys that say what becomes of a field: a field may be in one of them only.
_USES = (
    "number_fields",
    "integer_fields",
    "boolean_fields",
    "text_fields",
    "tag_fields",
    "time_fields",
    "drop",
)


#: Keys that do nothing to a line of line protocol, which is stored as it was sent.
_NOT_FOR_LINES = (
    "array",
    "measurement",
    "measurement_field",
    "tags",
    "rename",
    "tag_fields",
    "key_tag",
    "header_tags",
    "number_fields",
    "integer_fields",
    "boolean_fields",
    "text_fields",
    "drop",
    "keep",
    "time_fields",
)


def read(path: str, limits: Limits, bucket: str) -> tuple[Route, ...]:
    """Read and check all routes of a file.

    Args:
        path: The file.
        limits: Limits on the size of a record, for all routes.
        bucket: The bucket of routes that name none.

    Raises:
        SettingsError: The file cannot be read, or a route is wrong. Its text names the route and the key.
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise SettingsError(SETTING, f"cannot be read: {error}") from None
    except ValueError as error:
        raise SettingsError(SETTING, f"{path} is not valid TOML: {error}") from None
    tables = content.pop("route", [])
    if content:
        raise SettingsError(
            SETTING, f"{path} has {next(iter(content))!r}; it may have [[route]] tables only"
        )
    if not tables or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise SettingsError(SETTING, f"{path} has no [[route]] table")
    routes = [_route(table, number, limits, bucket) for number, table in enumerate(tables, 1)]
    for one, other in combinations(routes, 2):
        if one.name == other.name:
            raise SettingsError(SETTING, f"has two routes of the name {one.name}")
        for topic in one.topics:
            if topic in other.topics:
                raise _error(
                    other.name, "topics", f"contains {topic}, which route {one.name} reads already"
                )
    try:
        return tuple(topic_tags.added(routes))
    except ValueError as error:
        raise SettingsError(SETTING, str(error)) from None


def _error(name: str, key: str, text: str) -> SettingsError:
    return SettingsError(SETTING, f"route {name}: {key} {text}")


def _route(table: Mapping[str, Any], number: int, limits: Limits, bucket: str) -> Route:
    name = table.get("name")
    if not isinstance(name, str) or not name or not name.isprintable():
        raise SettingsError(SETTING, f"route number {number}: name must be a text")
    options = {option.name: option for option in keys(Route)}
    for key in table:
        if key not in options:
            close = difflib.get_close_matches(key, options, n=1)
            hint = f"; did you mean {close[0]}?" if close else "; docs/routes.md lists all of them"
            raise _error(name, key, f"is not a key of a route{hint}")
    values = {key: _value(name, option, table.get(key)) for key, option in options.items()}
    route = Route(limits=limits, **values)
    if route.format == "line" and (unused := [key for key in _NOT_FOR_LINES if key in table]):
        raise _error(
            name,
            unused[0],
            "does nothing with format line, whose lines are stored as they came: remove it (line_tags, "
            "topic_tag and partition_tag add tags)",
        )
    _check(route)
    return dataclasses.replace(route, bucket=route.bucket or bucket)


def _value(name: str, option: dataclasses.Field[Any], given: Any) -> Any:
    """Return the value of one key. The variables have the same parsers, so it becomes a text first."""
    try:
        raw = option.metadata["in_file"] if given is None else _text(given, _TABLES.get(option.name))
        if not raw.isprintable():
            raise ValueError("contains a control character")
        return option.metadata["key_parse"](raw)
    except ValueError as error:
        raise _error(name, option.name, str(error)) from None


def _text(value: Any, equals: str | None) -> str:
    if equals is not None:
        if not isinstance(value, dict):
            raise ValueError('must be a table, as { name = "value" }')
        return ",".join(f"{_name(name)}{equals}{_name(text)}" for name, text in value.items())
    if isinstance(value, list):
        return ",".join(map(_name, value))
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be a text, a number or a list of texts")  # noqa: TRY004 - as the parsers do
    return str(value)


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value or "," in value:
        raise ValueError(f"must have texts without a comma, not {value!r}")
    return value


def _check(route: Route) -> None:
    """Reject what no record can fulfil: a name that is renamed, two uses of a field, a tag set twice."""
    if (old := route.old_name()) is not None:
        key, name, new = old
        raise _error(route.name, key, f"contains {name}, but rename renames it to {new}: use {new} here")
    if route.drop and route.keep:
        raise _error(route.name, "keep", "and drop are both set: use one of them")
    for one, other in combinations(_USES, 2):
        if both := set(getattr(route, one)) & set(getattr(route, other)):
            raise _error(route.name, other, f"contains {min(both)}, and so does {one}")
    tags = route.fixed_tags + route.tag_fields + route.message_tags
    if twice := [tag for tag in tags if tags.count(tag) > 1]:
        raise _error(route.name, "tags", f"have {twice[0]} twice: each tag may come from one key only")
