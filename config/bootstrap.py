"""The first start: write a .env with random secrets, then go on as `manage.py serve`.

Run by `make run` as `python -m config.bootstrap`. Safe to repeat. Django's settings are loaded after
the .env is written, because they need it.
"""

import os
import secrets
import sys
from pathlib import Path

BASE_DIR = Path(__file__).resolve().parent.parent
TEMPLATE, TARGET = BASE_DIR / ".env.example", BASE_DIR / ".env"


def write_env(environment: dict[str, str]) -> str | None:
    """Copy .env.example to .env with random secrets, unless .env exists.

    Returns the administrator's new password, or None if none was made. A DEFAULT_ADMIN_PASSWORD in
    ``environment`` stays out of the file: the environment overrides it anyway, and a secret that was
    given there must not be written to the disk. Raises OSError if the file cannot be written.
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


def main() -> int:
    """Write the .env, serve, and return the exit status."""
    from config import command_line  # imported late: it needs nothing of the .env, its commands do

    arguments = ["manage.py", "serve"]
    try:
        # ENV_FILE names the user's own file, which takes the place of .env.
        if not os.environ.get("ENV_FILE") and write_env(dict(os.environ)):
            arguments.append("--show-password")
    except OSError as error:
        if not os.environ.get("SECRET_KEY"):
            sys.stderr.write(
                f"{TARGET} cannot be written ({error.strerror}). Make the folder writable, or name a"
                " file of your own: make run ENV_FILE=/path/to/.env\n"
            )
            return 1
    return command_line.main(arguments)


if __name__ == "__main__":
    sys.exit(main())
