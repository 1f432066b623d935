"""Reads the settings file: each key is a variable, as in the environment."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from workers.errors import SettingsError

#: Prefix of every variable Tower reads.
PREFIX = "TOWER_"

#: The only setting that may be a table; its keys are names of fields.
RENAME = f"{PREFIX}RENAME"


#: The settings file of a folder that `tower init` has made. It is used if TOWER_CONFIG is not set.
BESIDE = "tower.toml"


def beside() -> str | None:
    """The settings file of the current folder, None if it has none."""
    return BESIDE if Path(BESIDE).is_file() else None


def read(path: str) -> dict[str, str]:
    """Read variables and their values: the key `topic` is TOWER_TOPIC.

    Raises:
        SettingsError: The file cannot be read, or is not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            content = tomllib.load(file)
    except OSError as error:
        raise SettingsError("TOWER_CONFIG", f"cannot be read: {error}") from None
    except ValueError as error:
        raise SettingsError("TOWER_CONFIG", f"{path} is not valid TOML: {error}") from None
    return dict(_flat(PREFIX, content))


def _flat(prefix: str, table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Flatten tables and dotted keys to variables: in TOML `kafka.group.id` is a table in a table."""
    for key, value in table.items():
        name = prefix + key.upper().replace(".", "_")
        if isinstance(value, dict) and name == RENAME:
            yield name, _renames(value)
        elif isinstance(value, dict):
            yield from _flat(f"{name}_", value)
        else:
            yield name, ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _renames(table: Mapping[str, Any]) -> str:
    """Format a table of names and new names as the variable's value."""
    for name, new in table.items():
        if not isinstance(new, str) or "," in name + new:
            raise SettingsError(
                RENAME,
                f"must have a text for {name!r}, and no comma in a name; put a name with a dot in quotes",
            )
    return ",".join(f"{name}:{new}" for name, new in table.items())
