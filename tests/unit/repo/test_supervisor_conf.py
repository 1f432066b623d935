"""supervisor.conf is safe, and agrees with the workers it runs."""

import configparser
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import bench.harness.pool
import lab.pool
import tests.support.pool
from tests.support import fakes
from workers import exit_codes
from workers.drain import LEAVE_S
from workers.expected_workers import DEFAULT_WORKERS

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "supervisor.conf").read_text()

#: A place beside the file needs no comment of its own: the head of the file says that all is there.
BESIDE = "%(here)s"


@pytest.fixture(scope="module")
def conf() -> configparser.RawConfigParser:
    """The file as supervisord reads it."""
    parser = configparser.RawConfigParser(inline_comment_prefixes=(" ;", "\t;"))
    parser.read_string(TEXT)
    return parser


@pytest.mark.parametrize("root", [bench.harness.pool.ROOT, lab.pool.ROOT, tests.support.pool.ROOT])
def test_the_pools_of_bench_lab_and_tests_use_this_file(root: Path) -> None:
    assert root == ROOT


def test_nothing_listens_on_a_port(conf: configparser.RawConfigParser) -> None:
    assert "inet_http_server" not in conf
    assert conf["supervisorctl"]["serverurl"].startswith("unix://")


def test_the_socket_is_for_its_owner_alone_in_a_folder_of_its_own(
    conf: configparser.RawConfigParser,
) -> None:
    socket = conf["unix_http_server"]

    assert int(socket["chmod"], 8) == stat.S_IRWXU
    assert socket["file"].startswith(f"{BESIDE}/var/")
    assert conf["supervisorctl"]["serverurl"] == f"unix://{socket['file']}"


def test_the_folder_is_made_for_its_owner_alone() -> None:
    assert "mkdir -p -m 0700 var" in (ROOT / "Makefile").read_text()


def test_nothing_but_supervisors_own_interface_can_be_called(conf: configparser.RawConfigParser) -> None:
    interfaces = {
        name: section["supervisor.rpcinterface_factory"]
        for name, section in conf.items()
        if name.startswith("rpcinterface:")
    }

    assert interfaces == {
        "rpcinterface:supervisor": "supervisor.rpcinterface:make_main_rpcinterface",
        "rpcinterface:tower": "workers.pool_size:Interface",
    }


def test_a_worker_has_the_time_its_drain_takes(conf: configparser.RawConfigParser) -> None:
    assert int(conf["program:worker"]["stopwaitsecs"]) > fakes.settings().drain_s + LEAVE_S


def test_the_exit_codes_that_are_not_started_again_are_the_workers_own(
    conf: configparser.RawConfigParser,
) -> None:
    """Of those only the one that starting again cannot mend; `serve` may be turned off as well."""
    assert conf["program:worker"]["exitcodes"] == str(exit_codes.MISCONFIGURED)
    assert conf["program:serve"]["exitcodes"] == f"{exit_codes.TURNED_OFF},{exit_codes.MISCONFIGURED}"


def test_a_crash_is_never_given_up_on(conf: configparser.RawConfigParser) -> None:
    # With startsecs over 0 a worker that exits early is tried startretries times and then left for dead.
    for program in ("program:worker", "program:serve"):
        assert conf[program]["startsecs"] == "0"
        assert conf[program].get("autorestart", "unexpected") == "unexpected"


def test_each_worker_knows_its_number_and_has_a_log_of_its_own(conf: configparser.RawConfigParser) -> None:
    program = conf["program:worker"]

    assert program["process_name"] == "%(process_num)d"
    assert program["environment"] == 'TOWER_WORKER="%(process_num)d",MALLOC_ARENA_MAX="1"'
    assert "%(process_num)d" in program["stdout_logfile"]
    assert program["redirect_stderr"] == "true"


def test_logs_are_rotated_and_no_business_of_others(conf: configparser.RawConfigParser) -> None:
    for program in ("program:worker", "program:serve"):
        assert conf[program]["stdout_logfile_maxbytes"].endswith("MB")
    assert conf["supervisord"]["logfile_maxbytes"].endswith("MB")
    assert int(conf["supervisord"]["umask"], 8) & 0o027 == 0o027


def test_no_secret_stands_in_it() -> None:
    words = ("token", "password", "secret", "user=")

    assert [word for word in words for line in options() if word in line.lower()] == []


def test_the_number_of_workers_comes_from_the_environment_with_the_labs_as_default(
    conf: configparser.RawConfigParser,
) -> None:
    assert conf["program:worker"]["numprocs"] == "%(ENV_TOWER_WORKERS)s"
    assert DEFAULT_WORKERS == 3


def as_supervisord_reads_it(folder: Path, expression: str, **environ: str) -> str:
    """What an expression of `serve` and `workers`, their configurations, prints, of this folder's file."""
    script = (
        "from supervisor.options import ServerOptions\n"
        "options = ServerOptions()\n"
        "options.realize(['-c', 'supervisor.conf'])\n"
        "(serve,), workers = (group.process_configs for group in options.process_group_configs)\n"
        f"print({expression})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.removesuffix("\n")


@pytest.mark.parametrize(("environ", "names"), [({}, "012"), ({"TOWER_WORKERS": "5"}, "01234")])
def test_supervisord_reads_it_and_makes_a_worker_for_each_partition(
    environ: dict[str, str], names: str
) -> None:
    assert as_supervisord_reads_it(ROOT, "''.join(each.name for each in workers)", **environ) == names


def test_no_path_of_it_is_read_as_anything_else(tmp_path: Path) -> None:
    folder = tmp_path / 'Lab-4. Tower "50%" %(here)s'
    (folder / "var").mkdir(parents=True)
    (folder / "supervisor.conf").symlink_to(ROOT / "supervisor.conf")

    logs = as_supervisord_reads_it(folder, "[each.stdout_logfile for each in workers]")
    folders = as_supervisord_reads_it(folder, "{each.directory for each in workers}")
    command = as_supervisord_reads_it(folder, "workers[0].command")

    assert as_supervisord_reads_it(folder, "serve.stdout_logfile") == str(folder / "var" / "serve.log")
    assert logs == str([str(folder / "var" / f"worker-{number}.log") for number in range(3)])
    assert folders == str({str(folder)})
    assert str(folder) not in command


def options() -> list[str]:
    """The lines that set something."""
    return [line for line in TEXT.splitlines() if "=" in line and not line.startswith(";")]


def test_every_option_that_is_not_a_default_says_why() -> None:
    unexplained, explained = [], False
    for line in TEXT.splitlines():
        if line.startswith(";"):
            explained = True
        elif not line.strip() or line.startswith("["):
            explained = False
        elif not (explained or BESIDE in line or "make_main_rpcinterface" in line):
            unexplained.append(line)

    assert unexplained == []
