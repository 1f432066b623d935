"""The files of a pool: supervisord's configuration, a settings file, a systemd unit."""

import re
from pathlib import Path

from workers.config.kafka_properties import KAFKA_DEFAULTS
from workers.config.options import variable
from workers.config.secret import Secret
from workers.config.settings import options
from workers.config.settings_file import PREFIX
from workers.expected_workers import DEFAULT_WORKERS

#: The project's own supervisor.conf, which the package carries.
SUPERVISOR_CONF = Path(__file__).with_name("supervisor.conf")

#: The beginning of a settings file.
HEAD = """\
# Settings of this pool. Remove the # before a line to change its value, then run `tower restart`.
# A variable of the environment wins over this file.
"""

#: How that file starts a worker: by the interpreter of a checkout.
CHECKOUT_PYTHON = ".venv/bin/python"

#: Characters that a shell could take for something else.
_SPECIAL = re.compile(r"[^\w@%+=:,./-]")


def supervisor_conf(python: Path) -> str:
    """Return supervisor.conf with another interpreter.

    Args:
        python: The interpreter that Tower is installed for, absolute.

    Raises:
        ValueError: The path has a character that cannot stand in this file.
    """
    path = str(python)
    if not path.isprintable():
        raise ValueError("its path has a control character")
    # A shell reads the path without quotes; supervisord reads that within double quotes; before that it
    # reads a % as the beginning of a variable.
    for_shell = _SPECIAL.sub(r"\\\g<0>", path)
    quoted = for_shell.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return SUPERVISOR_CONF.read_text().replace(CHECKOUT_PYTHON, quoted)


def settings_file() -> str:
    """Return a settings file with each setting as a comment: its meaning and its default."""
    parts = [HEAD]
    for key, default in KAFKA_DEFAULTS.items():
        meaning = "property of Kafka's client; all others can be set in the same way"
        parts.append(f"# {meaning}\n#kafka.{key} = {_quoted(default)}\n")
    for option in options():
        name, default = variable(option).removeprefix(PREFIX).lower(), option.metadata["default"]
        secret = option.metadata["parse"] is Secret
        key = f"{name}_file" if secret else name
        value = f"var/{name.removeprefix('influxdb_')}" if secret else default or ""
        note = " (the name of a file that holds it)" if secret else ""
        parts.append(f"# {option.metadata['text']}{note}\n#{key} = {_quoted(value)}\n")
    return "\n".join(parts)


def _quoted(value: str) -> str:
    """Return a basic string of TOML."""
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def systemd_unit(folder: Path, python: Path) -> str:
    """Return a unit that runs the pool in `folder`.

    systemd reads a % as the beginning of a specifier, and splits words outside of quotes.
    """
    here, interpreter = (str(path).replace("%", "%%") for path in (folder, python))
    return f"""\
# Install: cp tower.service /etc/systemd/system/ && systemctl daemon-reload && systemctl enable --now tower
[Unit]
Description=Tower: Kafka to InfluxDB
After=network-online.target
Wants=network-online.target

[Service]
# The owner of this folder; without it the pool runs as root.
#User=tower
WorkingDirectory={here}
Environment=TOWER_WORKERS={DEFAULT_WORKERS}
# Further variables, for example secrets: NAME=value, one a line.
EnvironmentFile=-{here}/tower.env
ExecStart="{interpreter}" -m supervisor.supervisord --nodaemon -c "{here}/supervisor.conf"
Restart=on-failure
# supervisord stops the workers, which store and commit what they have in hand.
KillMode=mixed
# It kills a worker itself after stopwaitsecs in supervisor.conf, which may be over 600 (TOWER_DRAIN_S).
TimeoutStopSec=660
NoNewPrivileges=yes
ProtectSystem=strict
ReadWritePaths="{here}/var"
PrivateTmp=yes

[Install]
WantedBy=multi-user.target
"""
