"""How one setting is declared, and how its value is read."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workers.config.secret import Secret
from workers.config.settings_file import PREFIX
from workers.errors import SettingsError


def option(
    default: str | None,
    parse: Callable[[str], Any],
    text: str,
    *,
    lab: str = "",
    name: str = "",
    in_file: str | None = None,
    key_text: str = "",
    key_parse: Callable[[str], Any] | None = None,
) -> Any:
    """Declare a setting as a field of a dataclass.

    Args:
        default: Its default as text, None if it has none.
        parse: Returns the value of a text; raises `ValueError`, whose text follows the setting's name.
        text: Its line in the table of docs/settings.md.
        lab: A variable of the lab that is used if Tower's is not set.
        name: Its variable without the prefix, in lower case, if it is not the field's name.
        in_file: Its default in a file of routes, if that is another.
        key_text: Its line in the table of docs/routes.md, if that is another.
        key_parse: Its parser in a file of routes, if that is another.
    """
    return dataclasses.field(
        metadata={
            "default": default,
            "parse": parse,
            "text": text,
            "lab": lab,
            "name": name,
            "in_file": default if in_file is None else in_file,
            "key_text": key_text or text,
            "key_parse": key_parse or parse,
        }
    )


def file_key(default: str, parse: Callable[[str], Any], text: str) -> Any:
    """Declare a key of a file of routes that has no variable.

    Args:
        default: Its default as text.
        parse: As for `option`.
        text: Its line in the table of docs/routes.md.
    """
    metadata = {"in_file": default, "key_text": text, "key_parse": parse}
    return dataclasses.field(metadata=metadata, default=parse(default))


def declared(cls: type) -> list[dataclasses.Field[Any]]:
    """Return the settings that are fields of a dataclass and have a variable."""
    return [field for field in dataclasses.fields(cls) if "parse" in field.metadata]


def keys(cls: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a dataclass that are keys of a file of routes."""
    return [field for field in dataclasses.fields(cls) if "key_parse" in field.metadata]


def variable(option: dataclasses.Field[Any]) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + (option.metadata["name"] or option.name).upper()


def values(cls: type, given: Mapping[str, str], credentials: bool = True) -> dict[str, Any]:
    """Read all settings that are fields of a dataclass.

    Args:
        cls: The dataclass.
        given: Variables and their texts.
        credentials: False lets secrets be unreadable.

    Returns:
        The fields' names and values.

    Raises:
        SettingsError: A setting is malformed; its text names the setting.
    """
    return {option.name: _value(option, given, credentials) for option in declared(cls)}


def _value(option: dataclasses.Field[Any], given: Mapping[str, str], credentials: bool) -> Any:
    name, parse = variable(option), option.metadata["parse"]
    if parse is Secret:
        try:
            return secret(name, option.metadata["lab"], given)
        except SettingsError:
            if credentials:
                raise
            return Secret()
    raw = given.get(name, given.get(option.metadata["lab"], option.metadata["default"]))
    if raw is None:
        return None
    if not raw.isprintable():
        # A control character would break the request in a header or address, and every line in a tag.
        raise SettingsError(name, "contains a control character or is not UTF-8")
    try:
        return parse(raw)
    except ValueError as error:
        raise SettingsError(name, str(error)) from None


def secret(name: str, lab: str, given: Mapping[str, str], lines: bool = False) -> Secret:
    """Read a secret from a variable or from the file that `<name>_FILE` names.

    Args:
        name: The variable.
        lab: A variable of the lab that is used if this one is not set.
        given: Variables and their texts.
        lines: Whether it may have several lines.

    Raises:
        SettingsError: Both are set, or the file cannot be read.
    """
    file = given.get(f"{name}_FILE")
    if file and given.get(name):
        raise SettingsError(name, f"is set, and so is {name}_FILE: remove one of them")
    if not file:
        source = name if given.get(name) or not given.get(lab) else lab
        try:
            return Secret(given.get(source), lines=lines)
        except ValueError as error:
            raise SettingsError(source, str(error)) from None
    try:
        return Secret(file=Path(file), lines=lines)
    except (OSError, ValueError) as error:
        raise SettingsError(f"{name}_FILE", f"cannot be read: {error}") from None
