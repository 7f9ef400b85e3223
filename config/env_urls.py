"""Readers of the settings that are URLs of servers. A password in them is never shown."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import environ  # type: ignore[import-untyped]  # django-environ ships no types
from django.core.exceptions import ImproperlyConfigured

from config.env import BASE_DIR, make_folder, masked, origin, read, text, wrong

POSTGRES = "config.postgresql"  # Django's, with prepared statements
SQLITE = "config.sqlite3"  # Django's, with a queue of writers
_SCHEMES = {
    "postgres": "postgres", "postgresql": "postgres", "pgsql": "postgres", "psql": "postgres",
    "sqlite": "sqlite", "sqlite3": "sqlite",
}  # fmt: skip
# What each session has, whatever a database or a role has as its own: the code rests on row locks of
# READ COMMITTED, and the driver reads these two styles alone.
_SESSION = (
    "-c statement_timeout=30000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=20000"
    r" -c default_transaction_isolation=read\ committed -c DateStyle=ISO -c IntervalStyle=postgres"
)
_EXAMPLE = "postgres://user:password@host:5432/name"
A_BROKER = "redis://127.0.0.1:6379/1"
# Options of a PostgreSQL URL that Django itself uses; libpq knows the others.
_OF_DJANGO = {"conn_max_age", "conn_health_checks", "disable_server_side_cursors", "pool"}


def cache(url: str, folder: Path) -> dict[str, Any]:
    """Return an entry of Django's CACHES: the Redis server of a URL, else a file in a folder."""
    if not url:
        return {
            "BACKEND": "config.cache.SQLiteCache",
            "LOCATION": str(folder / "cache.sqlite3"),
        }
    return {
        "BACKEND": "config.cache.ForgivingRedisCache",
        "LOCATION": url,
        "OPTIONS": {"socket_timeout": 0.25, "socket_connect_timeout": 0.25},
    }


def database(name: str, default: str) -> dict[str, Any]:
    """Return an entry of Django's DATABASES from ``sqlite:///path`` or ``postgres://user:pass@host/name``.

    The driver of an SQLAlchemy URL, as in ``postgresql+asyncpg://``, is left out. The folder of an
    SQLite file is created if it does not exist.
    """
    url = text(name, default)
    try:
        parsed = _parsed_database(url)
    except ValueError as error:
        allowed = str(error) or "it is not the URL of a database"
        wrong(name, allowed, example=_EXAMPLE, shown=f"={masked(url)}")
        return _parsed_database(default)
    if parsed["ENGINE"] != "django.db.backends.sqlite3":
        parsed["ENGINE"] = POSTGRES
        parsed["CONN_MAX_AGE"] = 60
        parsed["CONN_HEALTH_CHECKS"] = True
        given = parsed.get("OPTIONS", {})
        parsed["OPTIONS"] = {
            "connect_timeout": 3,
            **given,
            # libpq takes the last of two values of one name.
            "options": f"{_SESSION} {given.get('options', '')}".strip(),
        }
        return parsed
    parsed["ENGINE"] = SQLITE
    # IMMEDIATE, because without it most concurrent writers fail at once with "database is
    # locked". FULL, because an acknowledged payment must survive a power cut. recursive_triggers,
    # because REPLACE would otherwise delete rows past the triggers of append-only tables.
    parsed["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
            "PRAGMA recursive_triggers=ON; PRAGMA journal_size_limit=67108864;"
            "PRAGMA mmap_size=134217728;"
        ),
    }
    parsed["CONN_MAX_AGE"] = None
    if parsed["NAME"] != ":memory:":
        parsed["NAME"] = str(BASE_DIR / parsed["NAME"])
        fault = make_folder(Path(parsed["NAME"]).parent)
        if Path(parsed["NAME"]).is_dir():
            fault = "it is a folder"
        if fault and read(name):
            allowed = f"it must be the path of a file that can be made ({fault})"
            wrong(name, allowed, example="sqlite:////srv/vod/db.sqlite3", shown=f"={masked(url)}")
    return parsed


def _parsed_database(url: str) -> dict[str, Any]:
    """Return what the URL says. Raises ValueError with the reason, which quotes nothing of the URL."""
    scheme, separator, rest = url.partition("://")
    kind = _SCHEMES.get(scheme.partition("+")[0].lower())
    if not separator or not kind:
        raise ValueError("it must begin with postgres:// or sqlite:///, the supported databases")
    if kind == "sqlite" and rest not in ("", ":memory:") and not rest.startswith("/"):
        raise ValueError("sqlite needs three slashes, and a fourth for an absolute path")
    if kind == "postgres":
        rest = _with_options_of_libpq(rest)
    try:
        parsed: dict[str, Any] = environ.Env.db_url_config(f"{kind}://{rest}")
    except (ValueError, ImproperlyConfigured):  # their texts may hold a part of the password
        raise ValueError(
            "it must be postgres://user:password@host:port/name; in the password write"
            " %40 for @, %3A for :, %2F for /, %23 for #, %3F for ? and %25 for %"
        ) from None
    if kind == "postgres" and not (parsed["NAME"] or "service" in parsed.get("OPTIONS", {})):
        raise ValueError("it must end with the name of the database")
    return parsed


def _with_options_of_libpq(rest: str) -> str:
    """Return the URL with asyncpg's ``ssl`` written ``sslmode``. Raises ValueError for unknown ones."""
    head, mark, query = rest.partition("?")
    if not mark or "@" in query:  # then the mark belongs to a password
        return rest
    from psycopg import pq  # imported late: few URLs have options

    known = {option.keyword.decode() for option in pq.Conninfo.get_defaults()} | _OF_DJANGO
    options = {}
    for option, value in parse_qsl(query):
        if option.lower() == "ssl":
            on = value.lower() in {"true", "1", "on"}
            option, value = "sslmode", "require" if on else value
        if option.lower() not in known:
            raise ValueError(f"PostgreSQL knows no option {option[:30]!r}")
        options[option] = value
    return f"{head}?{urlencode(options)}"


def redis(name: str) -> str:
    """Return the URL of a Redis server, or an empty string."""
    url = text(name)
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"redis", "rediss"} and bool(parts.hostname) and parts.port != 0
        good = good and (parts.path in ("", "/") or parts.path[1:].isdecimal())
    except ValueError:
        good = False
    if url and not good:
        allowed = "it must be the URL of a Redis server, or empty for a local file"
        wrong(name, allowed, example="redis://127.0.0.1:6379/0", shown=f"={masked(url)}")
        return ""
    return url


def broker(name: str) -> str:
    """Return the URL of a message broker, Redis (also Valkey) or RabbitMQ, or an empty string."""
    url = text(name)
    try:
        parts = urlsplit(url)
        good = bool(parts.hostname) and parts.port != 0
        is_redis = parts.scheme in {"redis", "rediss"}
        if is_redis:
            good = good and (parts.path in ("", "/") or parts.path[1:].isdecimal())
        good = good and (is_redis or parts.scheme in {"amqp", "amqps"})
    except ValueError:
        good = False
    if url and not good:
        allowed = "it must be the URL of a Redis, Valkey or RabbitMQ server"
        wrong(name, allowed, example=A_BROKER, shown=f"={masked(url)}")
        return ""
    return url


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
        if urlsplit(url).scheme.startswith("smtp") and not parsed["EMAIL_HOST"]:
            raise ValueError
    except (KeyError, ValueError, ImproperlyConfigured):
        allowed = "it must be the URL of a mail server, or consolemail:// for the worker's log"
        example = "smtp+tls://user:password@host:587"
        wrong(name, allowed, example=example, shown=f"={masked(url)}")
        parsed = environ.Env.email_url_config(default)
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


def collector(name: str) -> str:
    """Return the origin of a collector of traces, or "". One needs OpenTelemetry to be installed."""
    place = origin(name)
    if place and not (find_spec("opentelemetry") and find_spec("opentelemetry.sdk")):
        needed = "it needs OpenTelemetry: pip install -r requirements-tracing.txt"
        wrong(name, needed, example="")
    return place


def issuer(name: str) -> str:
    """Return the address of an OpenID Connect provider, which may have a path; empty if it is not set.

    It is https; http only on this machine (OpenID Connect Discovery 1.0, section 3).
    """
    value = text(name)
    if not value:
        return ""
    try:
        parts = urlsplit(value)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host, parts = "", urlsplit("")
    is_near = host in {"localhost", "127.0.0.1", "::1"}
    is_plain = "@" not in parts.netloc and not parts.query and not parts.fragment
    if host and is_plain and (parts.scheme == "https" or (parts.scheme == "http" and is_near)):
        return value
    allowed = "it must be https:// and a host, perhaps with a path, as the provider names itself"
    wrong(name, f"{allowed}; empty: off", example="", shown=f"={masked(value)}")
    return ""
