"""The address that the web server listens on, and the addresses at which users reach it."""

import errno
import http.client
import ipaddress
import socket
import time

from django.conf import settings

from config.http import FROM_OTHER_MACHINES


class CannotListen(OSError):
    """The address cannot be used; the text says why, and what to do."""


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that is bound to the address. Raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise CannotListen(_reason(host, port, error)) from None
    return listener


def _reason(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        other = port + 1 if port < 65535 else port - 1
        return (
            f"Port {port} on {host} is in use by another program."
            f" Choose another port: make run PORT={other}"
        )
    if error.errno == errno.EACCES:
        return f"Port {port} needs more rights. Choose one from 1024: make run PORT=2001"
    return (
        f"HOST={host}: this machine cannot listen there ({error.strerror or error})."
        " Use an address of this machine, such as HOST=127.0.0.1, or HOST=0.0.0.0 for all of them."
    )


def is_everywhere(host: str) -> bool:
    """Return whether the address stands for all addresses of this machine."""
    return host in {"0.0.0.0", "::"}  # noqa: S104 - a comparison


def is_local(host: str) -> bool:
    """Return whether the address can be reached from this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def url(host: str = "") -> str:
    """Return the service's address for users: at ``host``, or as this machine reaches it."""
    host = host or settings.HOST
    if is_everywhere(host):
        host = "127.0.0.1"
    name = f"[{host}]" if ":" in host and host[0] != "[" else host
    return f"http://{name}:{settings.PORT}"


def wait_until_it_answers(seconds: float = 60) -> bool:
    """Return whether the web server has answered the liveness check within this time."""
    give_up_at = time.monotonic() + seconds
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.HOST, settings.HOST)  # noqa: S104
    name = settings.ALLOWED_HOSTS[0]
    header = "localhost" if name == "*" else f"any{name}" if name[0] == "." else name
    while time.monotonic() < give_up_at:
        connection = http.client.HTTPConnection(host, settings.PORT, timeout=5)
        try:
            connection.request("GET", "/health/live", headers={"Host": header})
            if connection.getresponse().status == 200:
                return True
        except (OSError, http.client.HTTPException):
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(0.1)
    return False


def banner() -> str:
    """Return what the operator must know when the service answers."""
    here = url()
    lines = [
        f"Video on demand on {here}",
        f"  API documentation  {here}/api/docs/",
        f"  admin site         {here}/admin/",
        f"  demonstration      {make('demo')} (in another terminal)",
        "  stop               Ctrl-C",
    ]
    if not is_local(settings.HOST):
        lines.append(f"  other machines     {_from_other_machines()}")
    return "\n".join(lines)


def make(target: str) -> str:
    """Return the make command for the service on this port."""
    return f"make {target}" + (f" PORT={settings.PORT}" if settings.PORT != 2001 else "")


def _from_other_machines() -> str:
    """Return at which addresses other machines are answered, or what is missing for that."""
    names = [name for name in settings.ALLOWED_HOSTS if not is_local(name.strip("[]"))]
    missing = [] if names else ["ALLOWED_HOSTS=…,<the name or address that they use>"]
    if not (settings.ALLOW_HTTP or settings.TRUSTED_PROXIES):
        missing.append("HTTPS through a proxy or, in a trusted network, ALLOW_HTTP=true")
    if missing:
        return f"are refused; needed: {'; '.join(missing)} ({FROM_OTHER_MACHINES})"
    if not settings.ALLOW_HTTP:
        return f"through the proxy, as {', '.join(names)}"
    return ", ".join(url(name) for name in names if name[0] not in "*.") or url("<address>")
