"""The certificate of PUBLIC_URL is seen as a client sees it, from a real TLS server."""

import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from config.metrics import service

DAYS = 10


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is signed by itself, and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("missing: openssl")
    folder = tmp_path_factory.mktemp("tls")
    file, key = folder / "certificate.pem", folder / "key.pem"
    subprocess.run(
        [
            program, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(DAYS),
            "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", str(key), "-out", str(file),
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    return file, key


@pytest.fixture
def port(certificate) -> Iterator[int]:
    """The port of a TLS server with the certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(client, server_side=True).close()
            except OSError:
                client.close()

    threading.Thread(target=serve, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


@pytest.mark.programs
def test_a_certificate_that_clients_trust_is_valid_until_it_expires(
    settings, monkeypatch, certificate, port
):
    settings.PUBLIC_URL = f"https://127.0.0.1:{port}"
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    valid, expires = service._certificate()
    assert valid == 1
    assert expires == pytest.approx(time.time() + DAYS * 86400, abs=600)


@pytest.mark.programs
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_that_clients_refuse_is_invalid(
    settings, monkeypatch, certificate, port, host
):
    """Nobody vouches for it, or it is for another name."""
    settings.PUBLIC_URL = f"https://{host}:{port}"
    if host == "localhost":
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))

    assert service._certificate() == (0.0, None)


def test_an_address_that_cannot_be_reached_says_nothing(settings):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        settings.PUBLIC_URL = f"https://127.0.0.1:{closed.getsockname()[1]}"
        assert service._certificate() == (None, None)
    for url in ("", "http://127.0.0.1:1"):
        settings.PUBLIC_URL = url
        assert service._certificate() == (None, None)
