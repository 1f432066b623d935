"""Servers are stopped when they are ours, and left alone when they are not."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from lab.errors import BusyError, LabError
from lab.system.files import cache_folder, locked, read_secret, write_secret
from lab.system.progress import Progress
from lab.system.reaper import kill_all
from lab.system.server_process import RecordedProcess, environment, uninterrupted, wait_until

STUBBORN = "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
PARENT = (
    "import subprocess, time; c = subprocess.Popen(['sleep', '60']); "
    "print(c.pid, flush=True); time.sleep(60)"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RecordedProcess]:
    sleeper = RecordedProcess("sleeper", tmp_path / "server")
    yield sleeper
    sleeper.kill()


def launch(server: RecordedProcess, code: str = "import time; time.sleep(60)") -> None:
    server.launch([sys.executable, "-c", code], environment())


def test_a_launched_server_runs_in_a_session_of_its_own(server: RecordedProcess) -> None:
    launch(server)

    assert server.pid is not None
    assert os.getsid(server.pid) == server.pid


def test_another_object_on_the_same_folder_finds_and_stops_it(server: RecordedProcess) -> None:
    launch(server)
    other = RecordedProcess("sleeper", server.folder)
    pid = server.pid

    assert other.pid == pid
    other.stop(5)

    assert server.pid is None
    assert wait_until(lambda: pid is not None and not psutil.pid_exists(pid), 5)


def test_a_pid_that_was_given_out_again_is_never_signalled(server: RecordedProcess) -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        launch(server)
        server.kill()
        record = {"pid": stranger.pid, "started": 1.0}
        (server.folder / "process.json").write_text(json.dumps(record))

        assert server.pid is None
        server.stop(1)
        server.kill()

        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


@pytest.mark.parametrize("text", ["", "{", "{}", '{"pid": -4, "started": 1}'])
def test_a_broken_record_is_no_process(server: RecordedProcess, text: str) -> None:
    server.folder.mkdir()
    (server.folder / "process.json").write_text(text)

    assert server.pid is None


def test_one_that_ignores_sigterm_is_killed(server: RecordedProcess) -> None:
    launch(server, STUBBORN)
    assert wait_until(lambda: "up" in server.log.read_text(), 10)

    began = time.monotonic()
    server.stop(0.3)

    assert server.pid is None
    assert time.monotonic() - began < 5


def test_a_paused_server_can_be_resumed_and_stopped(server: RecordedProcess) -> None:
    launch(server)
    server.pause()
    process = server.process()
    assert process is not None
    assert wait_until(lambda: process.status() == psutil.STATUS_STOPPED, 5)
    server.resume()
    assert wait_until(lambda: process.status() != psutil.STATUS_STOPPED, 5)
    server.pause()

    server.stop(5)

    assert server.pid is None


def test_pausing_what_does_not_run_is_an_error(server: RecordedProcess) -> None:
    with pytest.raises(LabError, match="does not run"):
        server.pause()


def test_killing_a_supervisor_kills_what_it_watches(server: RecordedProcess) -> None:
    launch(server, PARENT)
    assert wait_until(lambda: bool(server.log.read_text().strip()), 10)
    child = psutil.Process(int(server.log.read_text()))

    server.kill()

    assert wait_until(lambda: not child.is_running() or child.status() == "zombie", 5)


def test_why_it_ended_comes_with_the_end_of_its_log(server: RecordedProcess) -> None:
    launch(server, "print('no such option'); raise SystemExit(3)")
    assert wait_until(lambda: server.pid is None, 10)

    assert wait_until(lambda: "exit code 3" in (server.exited() or ""), 5)
    assert "no such option" in (server.exited() or "")


def test_a_program_that_is_not_there_is_named(server: RecordedProcess) -> None:
    with pytest.raises(LabError, match="cannot run /no/such/program"):
        server.launch(["/no/such/program"], {})


def test_servers_get_no_secrets_from_our_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFLUXDB_ADMIN_TOKEN", "canary")
    monkeypatch.setenv("INFLUXD_BOLT_PATH", "/elsewhere")

    assert set(environment(A="b")) <= {"PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "A"}


def test_a_signal_waits_until_the_block_has_ended() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGHUP, lambda number, _: came.append(number))
    try:
        with uninterrupted():
            signal.raise_signal(signal.SIGHUP)
            held = list(came)

        assert (held, came) == ([], [signal.SIGHUP])
    finally:
        signal.signal(signal.SIGHUP, before)


def test_holding_signals_back_off_the_main_thread_does_nothing() -> None:
    done: list[bool] = []

    def work() -> None:
        with uninterrupted():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()

    assert done == [True]


def test_the_guardian_kills_what_is_recorded_and_removes_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    server = RecordedProcess("sleeper", folder / "deep" / "server")
    launch(server)
    pid = server.pid

    kill_all(folder)

    assert not folder.exists()
    assert wait_until(lambda: pid is not None and not psutil.pid_exists(pid), 5)


def test_a_secret_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "token"
    old = os.umask(0)
    try:
        write_secret(path, "canary")
    finally:
        os.umask(old)

    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert read_secret(path) == "canary"
    assert read_secret(tmp_path / "none") is None


def test_a_lock_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    quiet = Progress(quiet=True)
    path = tmp_path / "lock"
    with (
        locked(path, 1, quiet),
        pytest.raises(BusyError, match="fuser"),
        locked(path, 0.1, quiet),
    ):
        pass

    with locked(path, 0.1, quiet):
        pass


def test_a_lock_in_a_folder_that_was_removed_is_no_lock(tmp_path: Path) -> None:
    quiet = Progress(quiet=True)
    path = tmp_path / "lab" / "lock"
    with locked(path, 1, quiet):
        path.unlink()
        path.parent.rmdir()

        with locked(path, 1, quiet):
            assert path.exists()


def test_the_cache_is_where_the_user_keeps_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert cache_folder() == tmp_path / "caches" / "tower"

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache" / "tower"


def test_a_cache_that_cannot_be_made_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(LabError, match="XDG_CACHE_HOME"):
        cache_folder()


def test_a_wait_shows_its_progress_in_plain_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lab.system.progress.PLAIN_INTERVAL_S", 0.02)
    with Progress().step("waiting for [node]") as step:
        step.note("1 of 2")
        time.sleep(0.1)

    lines = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"  waiting for \[node\]: 1 of 2 \(\d s\) \.\.\.", lines[0])
    assert re.fullmatch(r"  waiting for \[node\]: 1 of 2 \(\d s\)", lines[-1])


def test_a_step_that_fails_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(LabError), Progress().step("trying"):
        raise LabError("no")

    assert capsys.readouterr().err == "  trying (0 s) - not done\n"
