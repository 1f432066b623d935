"""`python -m workers` and `tower`: run a worker, or one of the operator's commands."""

import sys


def main() -> None:
    """Run what the command line asks for."""
    # Each is imported only if it is used: a worker runs for months, and the commands would cost it 2 MB.
    if sys.argv[1:] == ["run"]:
        from workers.process import run  # noqa: PLC0415

        run()
    from workers.commands.main import tower  # noqa: PLC0415

    tower()


if __name__ == "__main__":
    main()
