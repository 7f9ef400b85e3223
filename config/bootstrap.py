"""The steps before the first start: write a .env with random secrets, and check that the port is free.

Run by `make run` as `python -m config.bootstrap`. Safe to repeat. Django's settings are not loaded
here, because they need the .env that is about to be written.
"""

import os
import secrets
import socket
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
TEMPLATE, TARGET = BASE_DIR / ".env.example", BASE_DIR / ".env"


def write_env(environment: dict[str, str]) -> str | None:
    """Copy .env.example to .env with random secrets, unless .env exists.

    Returns the administrator's new password, or None if none was made. A DEFAULT_ADMIN_PASSWORD in
    ``environment`` stays out of the file: the environment overrides it anyway, and a secret that was
    given there must not be written to the disk.
    """
    if TARGET.exists():
        return None
    password = None
    lines = []
    for line in TEMPLATE.read_text(encoding="utf-8").splitlines():
        if line == "SECRET_KEY=":
            line = f"SECRET_KEY={secrets.token_urlsafe(64)}"
        elif line == "DEFAULT_ADMIN_PASSWORD=" and not environment.get("DEFAULT_ADMIN_PASSWORD"):
            password = secrets.token_urlsafe(12)
            line = f"DEFAULT_ADMIN_PASSWORD={password}"
        lines.append(line)
    handle = os.open(TARGET, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    return password


def port_is_free(host: str, port: int) -> bool:
    """Return whether a server could listen on the port now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def main() -> int:
    """Prepare the start and return the exit status: 1 if the port is in use, else 0."""
    password = write_env(dict(os.environ))
    from config.env import number, text  # imported late: the module reads .env when it is loaded

    host, port = text("HOST", "127.0.0.1"), number("PORT", 2001, minimum=1, maximum=65535)
    if password:
        email = text("DEFAULT_ADMIN_EMAIL", "admin@example.com")
        line = "-" * 72
        sys.stdout.write(
            f"{line}\nA new .env was written. The administrator's password is not shown again:\n"
            f"  e-mail    {email}\n  password  {password}\n{line}\n"
        )
    if not port_is_free(host, port):
        sys.stderr.write(
            f"Port {port} on {host} is in use, perhaps by another instance of this service."
            f" Choose another port: make run PORT={port + 1}\n"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
