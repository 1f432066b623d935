"""What supervisord has to be told about the pool before it reads [program:worker].

supervisor.conf takes the number of workers from the environment, and supervisor has no default for a
variable that is not set. It imports its RPC interfaces before it reads the programs, which is the one
place where a default can be given.
"""

from typing import Any

from supervisor.options import ServerOptions

#: The lab's topic has three partitions.
DEFAULT_WORKERS = 3

_read_programs = ServerOptions.process_groups_from_parser


def _read_programs_with_default(options: Any, parser: Any) -> Any:
    options.environ_expansions.setdefault("ENV_TOWER_WORKERS", str(DEFAULT_WORKERS))
    return _read_programs(options, parser)


ServerOptions.process_groups_from_parser = _read_programs_with_default


class Interface:
    """The `tower` name space of supervisord's socket; it has no methods of its own."""

    def __init__(self, _supervisord: Any) -> None:
        pass
