"""InfluxDB's certificate is verified by the chosen authority, and a client certificate is sent if set."""

import logging
import ssl
import subprocess
from pathlib import Path

import pytest

from tests.faults.harness.certificates import Authority
from tests.support import fakes, scripted_server
from tests.support.scripted_server import Peer
from workers.commands.clients.influxdb_api import InfluxdbApi
from workers.config import tls
from workers.errors import CommandError, SettingsError, Unavailable
from workers.influxdb import advice
from workers.influxdb.writer import Writer

LINES = [b"labs a=1 1"]
TIMEOUT_S = 10.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The authority of server and client."""
    return Authority(tmp_path_factory.mktemp("authority"), "ours")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that issued nothing here."""
    return Authority(tmp_path_factory.mktemp("stranger"), "theirs")


@pytest.fixture(scope="module")
def keystore(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its certificate for localhost."""
    file = tmp_path_factory.mktemp("keys") / "localhost.pem"
    authority.issue(file)
    return file


def server_context(keystore: Path, clients: Authority | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(keystore)
    if clients:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients.certificate)
    return context


def say_204(peer: Peer) -> None:
    peer.read_head()
    peer.say(scripted_server.NO_CONTENT)
    peer.hang_up()


def url_of(server: scripted_server.Server) -> str:
    return server.url.replace("127.0.0.1", "localhost")


def attempt(**options: object) -> str:
    """Write once; the advice if it fails, else an empty text."""
    writer = Writer(fakes.settings(**options))
    try:
        writer.write(LINES, TIMEOUT_S)
    except Unavailable as error:
        return error.advice or str(error)
    finally:
        writer.close()
    return ""


def test_the_set_authority_is_trusted_and_no_other(
    authority: Authority, stranger: Authority, keystore: Path
) -> None:
    with scripted_server.serving(tls=server_context(keystore)) as server:
        url = url_of(server)

        assert attempt(influxdb_url=url, influxdb_ca_file=authority.certificate) == ""
        assert attempt(influxdb_url=url, influxdb_ca_file=stranger.certificate) == advice.SET_CA
        assert attempt(influxdb_url=url) == advice.SET_CA
        assert server.stored == LINES


def test_the_commands_trust_the_same_authority(authority: Authority, keystore: Path) -> None:
    with scripted_server.serving(tls=server_context(keystore)) as server:
        settings = fakes.settings(influxdb_url=url_of(server), influxdb_ca_file=authority.certificate)
        server.at(1, say_204)

        answer = InfluxdbApi(settings.influxdb_url, tls=tls.context(settings)).ask("POST", "/x", body=[])
        with pytest.raises(CommandError, match="TOWER_INFLUXDB_CA_FILE"):
            InfluxdbApi(settings.influxdb_url).ask("GET", "/ping")

    assert answer.status == 204


def test_a_client_certificate_is_sent(authority: Authority, keystore: Path) -> None:
    with scripted_server.serving(tls=server_context(keystore, authority)) as server:
        trusted = {"influxdb_url": url_of(server), "influxdb_ca_file": authority.certificate}

        assert attempt(**trusted, influxdb_cert_file=keystore, influxdb_key_file=keystore) == ""
        assert attempt(**trusted, influxdb_cert_file=keystore) == ""
        assert attempt(**trusted) != ""
        assert server.stored == LINES * 2


def test_a_renewed_authority_is_used_without_a_restart(
    authority: Authority, stranger: Authority, keystore: Path, tmp_path: Path
) -> None:
    file = tmp_path / "ca.pem"
    file.write_text(stranger.certificate.read_text())
    with scripted_server.serving(tls=server_context(keystore)) as server:
        writer = Writer(fakes.settings(influxdb_url=url_of(server), influxdb_ca_file=file))
        for text in (stranger.certificate.read_text(), "half", authority.certificate.read_text()):
            file.write_text(text)
            with pytest.raises(Unavailable):
                writer.write(LINES, TIMEOUT_S)
        writer.write(LINES, TIMEOUT_S)
        writer.close()

        assert server.stored == LINES


@pytest.mark.parametrize(
    ("options", "option"),
    [
        pytest.param({"influxdb_ca_file": "nowhere.pem"}, "TOWER_INFLUXDB_CA_FILE", id="no authority"),
        pytest.param({"influxdb_ca_file": __file__}, "TOWER_INFLUXDB_CA_FILE", id="no PEM"),
        pytest.param(
            {"influxdb_cert_file": "nowhere.pem"}, "TOWER_INFLUXDB_CERT_FILE", id="no certificate"
        ),
        pytest.param({"influxdb_key_file": "key.pem"}, "TOWER_INFLUXDB_CERT_FILE", id="a key alone"),
        pytest.param(
            {"influxdb_cert_file": __file__, "influxdb_key_file": "nowhere.pem"},
            "TOWER_INFLUXDB_KEY_FILE",
            id="no key",
        ),
        pytest.param(
            {"influxdb_ca_file": __file__, "influxdb_url": "http://localhost"},
            "TOWER_INFLUXDB_CA_FILE",
            id="an authority without TLS",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_named(options: dict[str, str], option: str) -> None:
    settings = fakes.settings(**{"influxdb_url": "https://localhost", **options})

    with pytest.raises(SettingsError) as caught:
        tls.context(settings)

    assert caught.value.option == option


@pytest.mark.timeout(30)
def test_an_encrypted_key_is_an_error_and_nobody_is_asked(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    make = [
        "openssl",
        "genpkey",
        "-algorithm",
        "ed25519",
        "-aes-128-cbc",
        "-pass",
        "pass:x",
        "-out",
        str(key),
    ]
    subprocess.run(make, check=True, capture_output=True, timeout=20)

    with pytest.raises(SettingsError, match="not be encrypted"):
        tls.context(fakes.settings(influxdb_url="https://localhost", influxdb_cert_file=key))


@pytest.mark.parametrize(
    ("url", "in_clear"),
    [
        ("http://localhost:8086", False),
        ("http://127.0.0.1:8086", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:8086", False),
        ("http://lab.localhost", False),
        ("https://influxdb.example.com", False),
        ("http://influxdb.example.com:8086", True),
        ("http://10.0.0.7:8086", True),
        ("http://[fe80::1%25eth0]:8086", True),
        ("http://localhost.example.com", True),
    ],
)
def test_a_token_in_clear_is_a_warning(url: str, in_clear: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Writer(fakes.settings(influxdb_url=url))

    assert [record.name for record in caplog.records] == ["tower.influxdb"] * in_clear
    assert all(url in message and "https://" in message for message in caplog.messages)
    assert "t0ken" not in caplog.text


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    with scripted_server.serving() as server:
        assert attempt(influxdb_url=server.url) == ""
        assert server.stored == LINES
