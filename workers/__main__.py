"""`python -m workers` and `tower`: run a worker, or one of the operator's commands."""

import sys


def main() -> None:
    """Do what the command line says."""
    # Each loaded where it is meant: a worker runs for months, and the commands with their library are 2 MB.
    if sys.argv[1:] == ["run"]:
        from workers.process import run  # noqa: PLC0415

        run()
    from workers.commands.main import tower  # noqa: PLC0415

    tower()


if __name__ == "__main__":
    main()
