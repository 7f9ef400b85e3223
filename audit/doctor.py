"""The checks of the audit log, for `manage.py doctor`."""

from collections.abc import Iterator
from datetime import timedelta

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Max
from django.db.models.functions import Now

from audit import checkpoints, keys, protection
from audit.models import AuditEntry
from config.doctor import Finding, check, error, ok, warning

MIGRATE = "python manage.py migrate, which creates them again; then find out who dropped them."
UNSEALED_AFTER = timedelta(minutes=5)
AHEAD = timedelta(minutes=1)


@check("Log", "audit_triggers", needs_tables=True)
def triggers() -> Iterator[Finding]:
    if missing := protection.missing(DEFAULT_DB_ALIAS):
        names = ", ".join(missing)
        yield error(
            f"Entries of the audit log can be changed: the triggers {names} are gone.", MIGRATE
        )
    else:
        yield ok("The database refuses changes of the audit log.")


@check("Log", "audit_chain", needs_tables=True)
def chain() -> Iterator[Finding]:
    late = AuditEntry.objects.filter(position=None, at__lt=Now() - UNSEALED_AFTER).count()
    if late:
        yield warning(
            f"{late} entries of the audit log wait for their place in the chain; until then, a change of"
            " them is not noticed.",
            "Start a worker: python manage.py run_worker",
        )
    elif unknown := sorted(_unknown_keys()):
        yield error(
            f"The audit log was sealed with keys that this process does not have: {', '.join(unknown)}.",
            "Set AUDIT_KEY and AUDIT_KEY_FALLBACKS as the worker has them, with every earlier key.",
        )
    else:
        yield ok(
            "The entries of the audit log are chained. `manage.py verify_audit` checks them all."
        )


def _unknown_keys() -> Iterator[str]:
    for key_id in checkpoints.stored().order_by().values_list("key_id", flat=True).distinct():
        try:
            keys.find(key_id)
        except keys.UnknownKey:
            yield key_id


@check("Machine", "clock_set_back", needs_tables=True)
def clock() -> Iterator[Finding]:
    """Compare the clock with the newest entry: SQLite has no other clock to compare with."""
    ahead = AuditEntry.objects.filter(at__gt=Now() + AHEAD).aggregate(newest=Max("at"))["newest"]
    if ahead:
        yield warning(
            f"The audit log has an entry of {ahead:%Y-%m-%d %H:%M} UTC, which is still to come: a clock"
            " was or is wrong.",
            "Let NTP set the clocks of all machines (timedatectl set-ntp true).",
        )
    else:
        yield ok("No entry of the audit log is from the future.")
