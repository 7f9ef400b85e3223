"""Checks of the machine and of Python."""

import resource
import ssl
import sys
import time
from collections.abc import Iterator

from django.conf import settings

from config import processors
from config.doctor import Finding, check, error, ok, warning

OPEN_FILES = 4096


@check("Machine", "open_files")
def open_files() -> Iterator[Finding]:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft == resource.RLIM_INFINITY or soft >= OPEN_FILES:
        yield ok(f"A process may open {'any number of' if soft < 0 else soft} files.")
    else:
        yield (error if soft < 256 else warning)(
            f"A process may open {soft} files and connections, at most one for each viewer.",
            "ulimit -n 65536, or LimitNOFILE=65536 in the unit of systemd.",
        )


@check("Machine", "web_workers")
def web_workers() -> Iterator[Finding]:
    cores = processors.count()
    workers = settings.WEB_WORKERS
    if workers > 2 * cores:
        yield warning(
            f"WEB_WORKERS={workers} processes share {cores} cores, and take memory without use.",
            f"Set WEB_WORKERS={cores}",
        )
    else:
        yield ok(f"WEB_WORKERS={workers}, on {cores} cores.")


@check("Machine", "python")
def python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < (3, 11):  # noqa: UP036 - an operator may have started an older one
        yield error(f"Python {version} is too old.", "Install Python 3.11 or newer.")
    elif ssl.OPENSSL_VERSION_INFO < (3, 0):
        yield warning(
            f"Python {version} uses {ssl.OPENSSL_VERSION}, which gets no security updates any more.",
            "Install a Python with OpenSSL 3.",
        )
    else:
        yield ok(f"Python {version}, {ssl.OPENSSL_VERSION}.")


@check("Machine", "time_zone")
def time_zone() -> Iterator[Finding]:
    """Tell in which zone times are stored, and in which the log shows them."""
    zone = time.tzname[time.localtime().tm_isdst > 0]
    if settings.TIME_ZONE != "UTC" or not settings.USE_TZ:
        yield warning(
            f"Times are reckoned in {settings.TIME_ZONE}.", "Months and payouts are of UTC: use it."
        )
    else:
        yield ok(f"Times are stored and shown in UTC; the log has times of {zone}.")
