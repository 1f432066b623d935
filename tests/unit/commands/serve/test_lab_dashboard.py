"""What `tower serve` asks InfluxDB for, what it does while InfluxDB hangs, and what it never shows."""

import ssl
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from tests.faults.harness.certificates import Authority
from tests.support import fakes, scripted_server
from tests.support.observed import observation, state
from tests.support.scripted_server import NO_CONTENT, Peer
from workers.commands.serve.lab_dashboard import QUERY_S, LabDashboard, Source, source
from workers.commands.serve.pool_points import PoolPoints
from workers.config.settings import Settings

#: A v1 user, as the dashboard has it.
USER: dict[str, object] = {"influxdb_user": "tower", "influxdb_password": "CANARY-PASSWORD"}
PAIR = b64encode(b"tower:CANARY-PASSWORD").decode()


def with_routes(folder: Path, text: str, **options: object) -> Settings:
    file = folder / "routes.toml"
    file.write_text(text)
    return fakes.settings(routes=file, influxdb_bucket="lab", influxdb_database="Labs", **options)


def test_without_routes_the_measurement_of_the_settings_is_plotted() -> None:
    settings = fakes.settings(influxdb_database="Labs", measurement="labs")

    assert source(settings) == Source("Labs", settings.influxdb_retention_policy, "labs")


@pytest.mark.parametrize(
    ("routes", "database", "measurement"),
    [
        pytest.param("topics = ['metrics']", "Labs", "metrics", id="the topic is the measurement"),
        pytest.param(
            "topics = ['^m', 'pi']\nmeasurement = 'x-{topic}'", "Labs", "x-pi", id="a named topic"
        ),
        pytest.param("topics = ['^m']\nmeasurement = 'labs'", "Labs", "labs", id="a named measurement"),
        pytest.param(
            "topics = ['^m']\n[[route]]\nname = 'two'\ntopics = ['pi']", "Labs", "pi", id="a later route"
        ),
        pytest.param(
            "topics = ['a']\nbucket = 'other'\n[[route]]\nname = 'two'\ntopics = ['b']",
            "Labs",
            "b",
            id="another bucket has no database",
        ),
    ],
)
def test_the_first_route_whose_measurement_has_one_name_is_plotted(
    tmp_path: Path, routes: str, database: str, measurement: str
) -> None:
    plotted = source(with_routes(tmp_path, f"[[route]]\nname = 'one'\n{routes}\n"))

    assert plotted is not None
    assert (plotted.database, plotted.measurement) == (database, measurement)


def test_the_database_of_a_route_is_asked_with_api_v1(tmp_path: Path) -> None:
    text = "[[route]]\nname = 'one'\ntopics = ['a']\nbucket = 'other'\n"

    plotted = source(with_routes(tmp_path, text, influxdb_api="v1", **USER))

    assert plotted is not None
    assert plotted.database == "other"


@pytest.mark.parametrize("line", ["topics = ['^m']", "topics = ['a']\nbucket = 'other'"])
def test_without_such_a_route_the_page_says_why_there_is_no_plot(tmp_path: Path, line: str) -> None:
    settings = with_routes(tmp_path, f"[[route]]\nname = 'one'\n{line}\n", **USER)

    content = LabDashboard(settings).content()

    assert content["problem"].startswith("There are no plots: ")
    assert content["remedy"]


def test_an_influxdb_that_hangs_holds_one_caller_and_no_other() -> None:
    with scripted_server.serving() as server:
        server.at(1, Peer.hold)
        dashboard = LabDashboard(fakes.settings(influxdb_url=server.url, **USER))
        callers = [Thread(target=dashboard.content, daemon=True) for _ in range(2)]
        callers[0].start()
        server.wait_for(1)
        callers[1].start()
        callers[1].join(QUERY_S / 2)

        assert not callers[1].is_alive()
        assert callers[0].is_alive()
        assert "not answered yet" in dashboard.content()["problem"]
    callers[0].join(QUERY_S)
    assert not callers[0].is_alive()


def ask_for_plots(settings: Settings, _: Path) -> Callable[[], str]:
    """Asks for the plots; gives what the page shows as the problem."""
    passed = iter(range(0, 1_000, 10))
    dashboard = LabDashboard(settings, lambda: next(passed))
    return lambda: str(dashboard.content()["problem"])


def write_points(settings: Settings, folder: Path) -> Callable[[], str]:
    """Writes points about the pool; gives what the log would have as the problem."""
    points = PoolPoints(settings, lambda: observation(folder, state(0)))
    return points._problem


BOTH = pytest.mark.parametrize("client", [ask_for_plots, write_points])
Client = Callable[[Settings, Path], Callable[[], str]]


@BOTH
@pytest.mark.parametrize("api", ["v1", "v2"])
@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(
            scripted_server.answer(400, f"{PAIR} CANARY-PASSWORD CANARY-TOKEN".encode()), id="an error"
        ),
        pytest.param(f"{PAIR} CANARY-PASSWORD CANARY-TOKEN\r\n\r\n".encode(), id="no HTTP"),
    ],
)
def test_no_secret_that_an_answer_repeats_is_shown(
    client: Client, api: str, raw: bytes, tmp_path: Path
) -> None:
    def repeat(peer: Peer) -> None:
        peer.read_head()
        peer.say(raw)
        peer.hang_up()

    with scripted_server.serving() as server:
        server.otherwise = repeat
        settings = fakes.settings(
            influxdb_url=server.url, influxdb_api=api, influxdb_token="CANARY-TOKEN", **USER
        )
        problem = client(settings, tmp_path)()

    assert "*** *** ***" in problem


@BOTH
def test_a_renewed_authority_is_used_after_a_connection_that_failed(client: Client, tmp_path: Path) -> None:
    ours, theirs = (Authority(tmp_path / name, name) for name in ("ours", "theirs"))
    keystore, file = tmp_path / "localhost.pem", tmp_path / "trusted.pem"
    ours.issue(keystore)
    file.write_text(theirs.certificate.read_text())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keystore)

    def answer(peer: Peer) -> None:
        peer.read_head()
        peer.say(scripted_server.answer(200, b'{"results": []}') if client is ask_for_plots else NO_CONTENT)
        peer.hang_up()

    with scripted_server.serving(tls=context) as server:
        server.otherwise = answer
        url = server.url.replace("127.0.0.1", "localhost")
        ask = client(fakes.settings(influxdb_url=url, influxdb_ca_file=file, **USER), tmp_path)
        problems = []
        for text in (theirs.certificate.read_text(), "half", ours.certificate.read_text()):
            file.write_text(text)
            problems.append(ask())

        assert all("certificate" in problem for problem in problems), problems
        assert ask() == ""
