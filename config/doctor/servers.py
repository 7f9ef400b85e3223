"""Checks of the servers that the service needs: the database, the cache and the mail server."""

import smtplib
import sqlite3
import ssl
import uuid
from collections.abc import Iterator
from contextlib import suppress

from django.conf import settings
from django.core.cache import cache
from django.db import connection

from config import database
from config.api import ratelimit
from config.doctor import PREREQUISITE, Finding, check, error, ok, warning

SKEW_SECONDS = 2.0
SMTP_SECONDS = 2.5


@check("Database", PREREQUISITE)
def reachable_and_migrated() -> Iterator[Finding]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    version = sqlite3.sqlite_version
    if connection.vendor == "postgresql":
        number: int = connection.pg_version  # type: ignore[attr-defined]  # of this vendor only
        version = f"{number // 10_000}.{number % 10_000}"
    yield ok(f"{connection.display_name} {version} answers.")
    if pending := database.pending_migrations():
        first = ", ".join(f"{app} {name}" for app, name in sorted(pending)[:3])
        more = " …" if len(pending) > 3 else ""
        yield error(
            f"{len(pending)} migrations are not applied: {first}{more}.",
            "python manage.py migrate, or `make run`.",
        )
    else:
        yield ok("All migrations are applied.")


@check("Database", "durability", needs_tables=True)
def durability() -> Iterator[Finding]:
    """Check the modes without which commits are lost, or writers fail as "locked"."""
    if connection.vendor == "sqlite":
        options = settings.DATABASES["default"]["OPTIONS"]
        right = {
            "journal_mode": _pragma("journal_mode") == "wal",
            "synchronous": _pragma("synchronous") in {2, 3},
            "foreign_keys": _pragma("foreign_keys") == 1,
            "transaction_mode": options.get("transaction_mode") == "IMMEDIATE",
        }
        remedy = (
            "Put the file on a local disk: a file system of a network cannot hold SQLite's WAL."
        )
    else:
        right = {name: _show(name) != "off" for name in ("fsync", "full_page_writes")}
        right["synchronous_commit"] = _show("synchronous_commit") != "off"
        remedy = (
            "Turn it on in postgresql.conf: a power cut may lose payments that were acknowledged."
        )
    if wrong := [name for name, good in right.items() if not good]:
        yield error(f"{connection.display_name} has the wrong {', '.join(wrong)}.", remedy)
    else:
        yield ok(f"{connection.display_name} keeps each commit ({', '.join(right)}).")


def _pragma(name: str) -> object:
    with connection.cursor() as cursor:
        cursor.execute(f"PRAGMA {name}")
        return cursor.fetchone()[0]


def _show(name: str) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {name}")
        return str(cursor.fetchone()[0])


@check("Database", "clock", needs_tables=True)
def clock() -> Iterator[Finding]:
    """Compare the clock of this machine with that of the database."""
    if connection.vendor == "sqlite":
        yield ok("SQLite uses the clock of this machine.")
        return
    skew = database.clock_difference()
    if abs(skew) > SKEW_SECONDS:
        yield (error if abs(skew) > 60 else warning)(
            f"The database's clock is {abs(skew):.0f} seconds {'ahead of' if skew > 0 else 'behind'}"
            " this machine's: tokens and sessions end too early or too late.",
            "Let NTP set both clocks (timedatectl set-ntp true).",
        )
    else:
        yield ok(f"The clocks of this machine and of the database agree ({skew:+.2f} s).")


@check("Cache", "cache")
def cache_works() -> Iterator[Finding]:
    backend = str(settings.CACHES["default"]["BACKEND"]).rpartition(".")[2]
    key = f"doctor:{uuid.uuid4().hex}"
    try:
        cache.set(key, 1, 10)
        works = cache.incr(key) == 2 and cache.get(key) == 2
        cache.delete(key)
    except Exception as fault:  # noqa: BLE001 - each back end raises errors of its own
        yield error(
            f"The cache does not work ({type(fault).__name__}): signing in is answered with 503.",
            "Start Redis, or correct CACHE_URL; without CACHE_URL a file in DATA_DIR is used.",
        )
        return
    shared = {"SQLiteCache": "all processes of this machine", "ForgivingRedisCache": "all machines"}
    if not works:
        yield error("The cache loses or miscounts values.", "Check the server of CACHE_URL.")
    elif backend not in shared:
        yield error(
            f"{backend} is not shared between processes: each would count rate limits of its own.",
            "Use the cache of config/settings.py.",
        )
    else:
        yield ok(f"The cache works, and is shared by {shared[backend]}.")


@check("Cache", "rate_limits")
def rate_limits() -> Iterator[Finding]:
    """Try a limit of one request with two, and look for groups without a limit."""
    key = uuid.uuid4().hex
    counts = [ratelimit.requests_in_window("doctor", 1, key, increment=True)[0] for _ in range(2)]
    if counts != [1, 2]:
        yield error("Rate limits do not count.", "Correct the cache; see the line about it.")
    else:
        yield ok("Rate limits count.")
    off = [name for name, limit in settings.RATE_LIMITS.items() if not limit]
    if "auth" in off:
        yield error(
            "RATE_LIMIT_AUTH=0: passwords can be guessed without a limit.", "Set RATE_LIMIT_AUTH=20"
        )
    elif off:
        names = ", ".join(f"RATE_LIMIT_{name.upper()}=0" for name in off)
        yield warning(f"{names}: one client can use up the service.", "Set a limit.")


@check("Mail", "mail")
def mail() -> Iterator[Finding]:
    kind = settings.EMAIL_BACKEND.split(".")[-2]
    if kind != "smtp":
        yield warning(
            f"Mails are not sent (EMAIL_URL is of the kind {kind}): nobody gets receipts and warnings.",
            "Name a mail server: EMAIL_URL=smtp+tls://user:password@host:587",
        )
        return
    place = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    try:
        _greet()
    except (OSError, smtplib.SMTPException) as fault:
        hangs = isinstance(fault, TimeoutError) or "timed out" in str(fault)
        reason = "it does not answer in time" if hangs else _short(fault)
        yield error(
            f"The mail server {place} cannot be used: {reason}.",
            "Correct EMAIL_URL, or start the mail server; mails wait until then.",
        )
    else:
        yield ok(f"The mail server {place} answers.")
    if "." not in settings.DEFAULT_FROM_EMAIL.rpartition("@")[2]:
        yield warning(
            f"DEFAULT_FROM_EMAIL={settings.DEFAULT_FROM_EMAIL} is no address that others can answer to,"
            " and many servers refuse it.",
            "Set DEFAULT_FROM_EMAIL=vod@<your domain>",
        )


def _greet() -> None:
    """Connect to the mail server and say EHLO, encrypted as EMAIL_URL says. No mail is sent."""
    context = ssl.create_default_context()
    host, port = settings.EMAIL_HOST or "", settings.EMAIL_PORT or 0
    if settings.EMAIL_USE_SSL:
        server: smtplib.SMTP = smtplib.SMTP_SSL(
            host, port, local_hostname="localhost", timeout=SMTP_SECONDS, context=context
        )
    else:
        server = smtplib.SMTP(host, port, local_hostname="localhost", timeout=SMTP_SECONDS)
    try:
        server.ehlo()
        if settings.EMAIL_USE_TLS:
            server.starttls(context=context)
            server.ehlo()
    finally:
        with suppress(OSError, smtplib.SMTPException):
            server.quit()


def _short(fault: Exception) -> str:
    return (" ".join(str(fault).split()) or type(fault).__name__)[:120].rstrip(".")
