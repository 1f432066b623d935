"""`tower init`: makes a folder from which a pool runs, without a checkout."""

import sys
from pathlib import Path

import click

from workers.commands.init import pool_files
from workers.errors import CommandError

#: A unix socket's path has room for 107 bytes, of which /var/supervisor.sock and supervisord's process id
#: take 28 (see the Makefile).
LONGEST_PATH = 79


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write the files of a pool into FOLDER: supervisor.conf, tower.toml, tower.service and var/.

    Existing files are not changed. Afterwards edit tower.toml, and run `tower check` and `tower up` in
    FOLDER.
    """
    target = folder.absolute()
    if len(str(target).encode()) > LONGEST_PATH:
        raise CommandError(
            f"{target} has more than {LONGEST_PATH} bytes, too many for supervisord's socket in it",
            "choose a shorter one",
        )
    # Not resolved: a virtual environment's interpreter is a link, and its target has no Tower.
    python = Path(sys.executable)
    try:
        contents = {
            "supervisor.conf": pool_files.supervisor_conf(python),
            "tower.toml": pool_files.settings_file(),
            "tower.service": pool_files.systemd_unit(target, python),
        }
    except ValueError as error:
        raise CommandError(
            f"supervisord cannot start this interpreter: {error}", "install Tower elsewhere"
        ) from None
    try:
        target.mkdir(parents=True, exist_ok=True)
        (target / "var").mkdir(mode=0o700, exist_ok=True)
        for name, text in contents.items():
            file = target / name
            existed = file.exists()
            if not existed:
                file.write_text(text)
            click.echo(f"{'kept   ' if existed else 'written'}  {file}")
    except OSError as error:
        raise CommandError(f"{folder} cannot be written: {error}") from None
    click.echo("Next: edit tower.toml, then run `tower check` and `tower up` in that folder.")
