"""Reading the environment: a wrong or missing value stops the start and names itself."""

import hashlib
import hmac
import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
# The environment beats the file: read_env never overwrites a name that is already set.
env.read_env(os.environ.get("ENV_FILE") or BASE_DIR / ".env")


def secret(name: str, *, at_least: int) -> str:
    """A secret of at least ``at_least`` characters; an example or repeated value is refused."""
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} must be set. `make run` writes a fresh one into .env.")
    if len(value) < at_least or len(set(value)) < 10 or "change-me" in value:
        raise ImproperlyConfigured(
            f"{name} must be at least {at_least} random characters; this one can be guessed."
        )
    return value


def derived_key(secret_key: str, purpose: str) -> bytes:
    """A 32-byte key for one purpose, so that no two uses share one (HKDF-Expand, RFC 5869)."""
    return hmac.digest(secret_key.encode(), f"vod/{purpose}\x01".encode(), hashlib.sha256)


def number(name: str, default: int | None, *, minimum: int = 0, maximum: int = 2**53) -> int | None:
    """A whole number within its bounds; empty means the default."""
    text = env.str(name, default="").strip()
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
    """true or false, spelled in any of the usual ways; anything else is refused."""
    text = env.str(name, default="").strip().lower()
    if not text:
        return default
    if text in {"true", "1", "yes", "on"}:
        return True
    if text in {"false", "0", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {text!r}.")


def choice(name: str, default: str, *, among: tuple[str, ...]) -> str:
    """One of a few words."""
    value = env.str(name, default="").strip() or default
    if value not in among:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(among)}, not {value!r}.")
    return value


def words(name: str, default: tuple[str, ...] = ()) -> list[str]:
    """A comma-separated list, without empty items."""
    text = env.str(name, default="")
    return [word.strip() for word in text.split(",") if word.strip()] or list(default)


def text(name: str, default: str = "") -> str:
    return env.str(name, default="").strip() or default


def folder(name: str, default: Path) -> Path:
    """A folder, made when it is not there; relative paths start at the project."""
    path = (BASE_DIR / text(name, str(default))).resolve()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ImproperlyConfigured(f"{name}: cannot make the folder {path}: {error}.") from error
    return path


def database(name: str, default: str) -> dict:
    """A Django database from its URL: ``sqlite:///path`` or ``postgres://user:pass@host/name``."""
    url = text(name, default)
    try:
        parsed = environ.Env.db_url_config(url)
    except (ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name} is not a database URL: {error}") from error
    engine = parsed.get("ENGINE", "")
    if engine == "django.db.backends.sqlite3":
        # Without IMMEDIATE most concurrent writers fail at once with "database is locked";
        # FULL, because an acknowledged payment must survive a power cut.
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


def mail(name: str, default: str) -> dict:
    """Django's EMAIL_ settings from one URL: ``smtp+tls://user:pass@host:587``, ``consolemail://``."""
    url = text(name, default)
    try:
        found = environ.Env.email_url_config(url)
    except (KeyError, ValueError, ImproperlyConfigured) as error:
        raise ImproperlyConfigured(f"{name} is not a mail URL: {error}") from error
    return {key: value for key, value in found.items() if key.startswith("EMAIL_")}
