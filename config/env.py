"""Readers of environment variables, each for one kind of value.

A variable that is not set, or is empty, means the default. Every reader raises ImproperlyConfigured
for a wrong value, with the variable's name in the message, so that the service does not start.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import environ  # type: ignore[import-untyped]  # django-environ ships no types
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
# read_env never overwrites a name that is already set, so the environment overrides the file.
env.read_env(os.environ.get("ENV_FILE") or BASE_DIR / ".env")


def _read(name: str) -> str:
    """Return the variable as it is written, or an empty string if it is not set."""
    return str(env.str(name, default=""))


def secret(name: str, *, at_least: int) -> str:
    """Return a secret. Refuse one that is shorter than ``at_least`` characters or easy to guess."""
    value = _read(name)
    if not value:
        raise ImproperlyConfigured(f"{name} must be set. `make run` writes a random one into .env.")
    if len(value) < at_least or len(set(value)) < 10 or "change-me" in value:
        raise ImproperlyConfigured(
            f"{name} must be at least {at_least} random characters; this one can be guessed."
        )
    return value


def derived_key(secret_key: str, purpose: str) -> bytes:
    """Return the 32-byte key for one purpose (HKDF-Expand, RFC 5869, section 2.3).

    Another purpose gives another key, so a leaked key does not reveal the others.
    """
    return hmac.digest(secret_key.encode(), f"vod/{purpose}\x01".encode(), hashlib.sha256)


def number(name: str, default: int, *, minimum: int = 0, maximum: int = 2**53) -> int:
    """Return a whole number from ``minimum`` to ``maximum``, both included."""
    text = _read(name).strip()
    if not text:
        return default
    try:
        value = int(text)
    except ValueError:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {text!r}.") from None
    if not minimum <= value <= maximum:
        raise ImproperlyConfigured(f"{name} must be from {minimum} to {maximum}, not {value}.")
    return value


def flag(name: str, *, default: bool) -> bool:
    """Return a yes or no, written as true/false, 1/0, yes/no or on/off in any case."""
    text = _read(name).strip().lower()
    if not text:
        return default
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")


def choice(name: str, default: str, *, among: tuple[str, ...]) -> str:
    """Return one of the words of ``among``."""
    value = _read(name).strip() or default
    if value not in among:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}, not {value!r}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """Return the items of a comma-separated list, without the empty ones."""
    return [word.strip() for word in _read(name).split(",") if word.strip()] or list(default)


def text(name: str, default: str = "") -> str:
    """Return any text, without spaces around it."""
    return _read(name).strip() or default


def folder(name: str, default: Path) -> Path:
    """Return the path of a folder, and create the folder if it does not exist.

    A relative path is taken from the project's own folder.
    """
    path = (BASE_DIR / text(name, str(default))).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot make the folder {path}: {error}.") from error
    return path


def database(name: str, default: str) -> dict[str, Any]:
    """Return an entry of Django's DATABASES from ``sqlite:///path`` or ``postgres://user:pass@host/name``.

    The folder of an SQLite file is created if it does not exist.
    """
    url = text(name, default)
    try:
        parsed: dict[str, Any] = environ.Env.db_url_config(url)
    except (ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name} is not a database URL: {error}") from error
    engine = parsed.get("ENGINE", "")
    if engine == "django.db.backends.sqlite3":
        # IMMEDIATE, because without it most concurrent writers fail at once with "database is
        # locked". FULL, because an acknowledged payment must survive a power cut.
        parsed["OPTIONS"] = {
            "transaction_mode": "IMMEDIATE",
            "timeout": 20,
            "init_command": (
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                "PRAGMA journal_size_limit=67108864; PRAGMA mmap_size=134217728;"
            ),
        }
        parsed["CONN_MAX_AGE"] = None
        if parsed["NAME"] != ":memory:":
            parsed["NAME"] = str(BASE_DIR / parsed["NAME"])
            Path(parsed["NAME"]).parent.mkdir(parents=True, exist_ok=True)
    elif engine in {"django.db.backends.postgresql", "django.db.backends.postgresql_psycopg2"}:
        parsed["ENGINE"] = "django.db.backends.postgresql"
        parsed["CONN_MAX_AGE"] = 60
        parsed["CONN_HEALTH_CHECKS"] = True
        parsed["OPTIONS"] = {
            **parsed.get("OPTIONS", {}),
            "connect_timeout": 3,
            "options": (
                "-c statement_timeout=30000 -c lock_timeout=5000"
                " -c idle_in_transaction_session_timeout=20000"
            ),
        }
    else:
        raise ImproperlyConfigured(f"{name} must be a sqlite:// or postgres:// URL, not {url!r}.")
    return parsed


@dataclass(frozen=True, slots=True)
class MailServer:
    """The values of Django's EMAIL_ settings, each field without its prefix."""

    backend: str
    host: str | None
    port: int | None
    user: str | None
    password: str | None
    use_tls: bool
    use_ssl: bool
    file_path: str


def mail(name: str, default: str) -> MailServer:
    """Return the mail server of a URL such as ``smtp+tls://user:pass@host:587`` or ``consolemail://``."""
    url = text(name, default)
    try:
        parsed: dict[str, Any] = environ.Env.email_url_config(url)
    except (KeyError, ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name} is not a mail URL: {error}") from error
    return MailServer(
        backend=parsed["EMAIL_BACKEND"],
        host=parsed["EMAIL_HOST"],
        port=parsed["EMAIL_PORT"],
        user=parsed["EMAIL_HOST_USER"],
        password=parsed["EMAIL_HOST_PASSWORD"],
        use_tls=bool(parsed.get("EMAIL_USE_TLS", False)),
        use_ssl=bool(parsed.get("EMAIL_USE_SSL", False)),
        file_path=parsed["EMAIL_FILE_PATH"],
    )
