"""What Tower reads from supervisord's configuration itself."""

import configparser
from pathlib import Path

from workers.errors import CommandError


def stop_wait_s(conf: Path) -> float:
    """Return how many seconds supervisord waits for a worker that it stops.

    Raises:
        CommandError: The file cannot be read or parsed.
    """
    parser = _read(conf)
    try:
        return parser.getfloat("program:worker", "stopwaitsecs", fallback=10.0)
    except ValueError as error:
        raise _unparsable(conf, error) from None


def pid_file(conf: Path) -> Path:
    """Return the file that has supervisord's process id while it runs.

    Raises:
        CommandError: The file cannot be read or parsed.
    """
    name = _read(conf).get("supervisord", "pidfile", fallback="supervisord.pid")
    return conf.parent / name.replace("%(here)s", str(conf.parent))


def _read(conf: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";",))
    try:
        parser.read_string(conf.read_text())
    except OSError as error:
        raise CommandError(f"{conf} cannot be read: {error.strerror}") from None
    except (configparser.Error, ValueError) as error:
        raise _unparsable(conf, error) from None
    return parser


def _unparsable(conf: Path, error: Exception) -> CommandError:
    return CommandError(f"{conf} cannot be parsed: {type(error).__name__}")
