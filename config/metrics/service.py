"""Figures about the service itself: its build, its start, and the certificate that clients see."""

import os
import platform
import socket
import ssl
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import django
from django.conf import settings
from prometheus_client.core import Metric

from config.counting import STARTED
from config.metrics import figures, gauge, gauges

CERTIFICATE_SECONDS = 1.5
_loaded_at = time.time()


@figures("service", needs_tables=False)
def service() -> Iterator[Metric]:
    build = (settings.SPECTACULAR_SETTINGS["VERSION"], platform.python_version())
    yield gauges(
        "build_info",
        "Always 1; the labels say what runs.",
        ["version", "python", "django"],
        {(*build, django.get_version()): 1},
    )
    started = float(os.environ.get(STARTED) or _loaded_at)
    yield gauge("start_time_seconds", "When the web server was started (Unix time).", started)


@figures("certificate", every=300.0, needs_tables=False)
def certificate() -> Iterator[Metric]:
    """Ask for the certificate of PUBLIC_URL as a client does. Without HTTPS there is none to ask for.

    An address that cannot be reached from here says nothing about the certificate: both stay without
    a value. SSL_CERT_FILE names further authorities, such as that of a self-signed certificate.
    """
    valid, expires = _certificate()
    yield gauge(
        "tls_certificate_valid",
        "1 if a client accepts the certificate of PUBLIC_URL, else 0.",
        valid,
    )
    yield gauge(
        "tls_certificate_expires_seconds",
        "When the certificate of PUBLIC_URL expires (Unix time).",
        expires,
    )


def _certificate() -> tuple[float | None, float | None]:
    url = urlsplit(settings.PUBLIC_URL)
    if url.scheme != "https" or not url.hostname:
        return None, None
    context = ssl.create_default_context()
    # A server's own certificate may be the trusted one.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    place = (url.hostname, url.port or 443)
    try:
        with (
            socket.create_connection(place, timeout=CERTIFICATE_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=url.hostname) as secure,
        ):
            found = secure.getpeercert() or {}
    except ssl.SSLCertVerificationError:
        return 0.0, None
    except OSError:
        return None, None
    return 1.0, float(ssl.cert_time_to_seconds(str(found["notAfter"])))
