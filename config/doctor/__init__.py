"""The checks of `manage.py doctor`, which `manage.py check --deploy` runs too.

Each app registers its checks in a module or package ``doctor`` of its own. A check only looks: it
changes nothing that remains, and shows no secret.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.conf import settings
from django.db import Error as DatabaseFault
from django.utils.module_loading import autodiscover_modules

from config import bounded, database

SECONDS = 3.0  # for a check that names no other time
TOPICS = (
    "Settings", "Secrets", "Database", "Cache", "Storage", "Videos", "Mail", "Payments", "Users",
    "Log", "Machine",
)  # fmt: skip


class Level(StrEnum):
    OK = "ok"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Finding:
    """A true sentence about the service and, unless the level is ok, what to do."""

    level: Level
    statement: str
    remedy: str = ""


def ok(statement: str) -> Finding:
    return Finding(Level.OK, statement)


def warning(statement: str, remedy: str) -> Finding:
    return Finding(Level.WARNING, statement, remedy)


def error(statement: str, remedy: str) -> Finding:
    return Finding(Level.ERROR, statement, remedy)


Find = Callable[[], Iterable[Finding]]


@dataclass(frozen=True, slots=True)
class Check:
    """One subject, with the function that yields findings about it.

    ``seconds``: after this time the check is given up. ``needs_tables``: it is left out if the database
    does not answer or is not migrated. ``at_start``: it is quick, and `make run` shows its findings.
    """

    topic: str
    name: str
    find: Find
    seconds: float
    needs_tables: bool
    at_start: bool

    @property
    def id(self) -> str:
        """The name by which Django's checks and SILENCED_CHECKS know it."""
        return f"doctor.{self.name}"


class Examined(NamedTuple):
    check: Check
    findings: list[Finding]


_checks: dict[str, Check] = {}
PREREQUISITE = "database"  # the check of the database itself


def check(
    topic: str,
    name: str,
    *,
    seconds: float = SECONDS,
    needs_tables: bool = False,
    at_start: bool = False,
) -> Callable[[Find], Find]:
    """Register a function as a check."""

    def register(find: Find) -> Find:
        _checks[name] = Check(topic, name, find, seconds, needs_tables, at_start)
        return find

    return register


def all_checks() -> list[Check]:
    """Return the checks of all apps in the order of TOPICS, the one of the database first."""
    for module in ("deployment", "servers", "storage", "machine"):
        import_module(f"config.doctor.{module}")
    autodiscover_modules("doctor")
    order = {topic: place for place, topic in enumerate(TOPICS)}
    return sorted(_checks.values(), key=lambda each: order[each.topic])


def examine(*, at_start: bool = False) -> Iterator[Examined]:
    """Run the checks one after another, and yield the findings of each. Never raises.

    ``at_start``: only the quick ones. A warning or error of a check in SILENCED_SYSTEM_CHECKS is changed
    to ok, and says so.
    """
    checks = [each for each in all_checks() if each.at_start or not at_start]
    has_tables = True
    for each in checks:
        if each.needs_tables and not has_tables:
            continue
        findings = _findings(each)
        if each.name == PREREQUISITE and any(one.level == Level.ERROR for one in findings):
            has_tables = False
            findings.append(ok("The checks that need its tables are left out."))
        if each.id in settings.SILENCED_SYSTEM_CHECKS:
            findings = [_accepted(found, each) for found in findings]
        yield Examined(each, findings)


def _findings(each: Check) -> list[Finding]:
    asked = bounded.begin(lambda: list(each.find()))
    try:
        found = asked.result(each.seconds)
    except TimeoutError:
        found = [
            error(
                f"The check {each.name} got no answer within {each.seconds:.0f} seconds.",
                "See why it hangs: a server that does not answer, or a folder of a network.",
            )
        ]
    except Exception as fault:  # noqa: BLE001 - a check that fails is a finding
        found = [_failure(each, fault)]
    return [
        replace(one, statement=without_secrets(one.statement), remedy=without_secrets(one.remedy))
        for one in found
    ]


def _failure(each: Check, fault: Exception) -> Finding:
    reason = database.explanation(fault) if isinstance(fault, DatabaseFault) else None
    text = " ".join(f"{type(fault).__name__}: {fault}".split())[:300]
    remedy = "Correct the database, or its address in DATABASE_URL."
    if reason:
        return error(reason, remedy)
    return error(f"The check {each.name} failed with {text}", "Correct this, and run it again.")


def _accepted(found: Finding, each: Check) -> Finding:
    if found.level == Level.OK:
        return found
    return ok(f"{found.statement} (accepted by SILENCED_CHECKS={each.id})")


def without_secrets(text: str) -> str:
    """Return a text with *** in place of each secret that the settings hold."""
    for secret in _secrets():
        text = text.replace(secret, "***")
    return text


def _secrets() -> Iterator[str]:
    hold: list[Any] = [settings.SECRET_KEY, settings.DEFAULT_ADMIN_PASSWORD]
    hold += [settings.STRIPE_SECRET_KEY, settings.EMAIL_HOST_PASSWORD, settings.S3_SECRET_KEY]
    hold += [settings.METRICS_TOKEN, settings.OIDC_CLIENT_SECRET]
    hold += [*settings.SECRET_KEY_FALLBACKS, *settings.STRIPE_WEBHOOK_SECRETS]
    hold += settings.SANDBOX_WEBHOOK_SECRETS
    hold += [settings.DATABASES["default"].get("PASSWORD"), urlsplit(settings.CACHE_URL).password]
    hold.append(urlsplit(settings.CELERY_BROKER_URL).password)
    # A shorter one could be a part of any word; no check shows one anyway.
    yield from (text for text in map(str, filter(None, hold)) if len(text) >= 6)
