"""Sets the default number of workers for supervisord.

supervisor.conf takes the number of workers from the environment, and supervisor has no default for a
variable that is not set. It imports its RPC interfaces before it reads [program:worker]. That is the only
place where a default can be set.
"""

from typing import Any

from supervisor.options import ServerOptions

from workers.expected_workers import DEFAULT_WORKERS

_read_programs = ServerOptions.process_groups_from_parser


def _read_programs_with_default(options: Any, parser: Any) -> Any:
    options.environ_expansions.setdefault("ENV_TOWER_WORKERS", str(DEFAULT_WORKERS))
    return _read_programs(options, parser)


ServerOptions.process_groups_from_parser = _read_programs_with_default


class Interface:
    """The `tower` namespace of supervisord's RPC interface. It has no methods."""

    def __init__(self, _supervisord: Any) -> None:
        pass
