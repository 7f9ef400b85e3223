"""Steps of the tests of the audit log's proof: entries, verification, and an attacker with SQL."""

from io import StringIO
from typing import Any

from django.core.management import CommandError, call_command
from django.db import connection

from audit import protection, sealing, services
from audit.actions import AuditAction
from audit.models import AuditEntry
from audit.protection import CHECKPOINTS, ENTRIES
from config import append_only


def record(count: int = 1) -> list[AuditEntry]:
    """Record entries without sealing them."""
    return [
        services.record(actor=None, action=AuditAction.LOGIN_FAILED, number=number)
        for number in range(count)
    ]


def write(count: int) -> None:
    """Record entries and seal all that wait."""
    record(count)
    while sealing.seal():
        pass


def run(*arguments: str) -> str:
    """The output of a management command."""
    out = StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def refusal(*arguments: str) -> str:
    """The sentence with which a command ends with status 1; empty if it does not."""
    try:
        run(*arguments)
    except CommandError as error:
        return str(error)
    return ""


def sql(statement: str, *values: Any) -> list[tuple[object, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return cursor.fetchall() if cursor.description else []


def attack(*statements: str) -> None:
    """Run SQL without the triggers, and put the triggers back so that nothing shows."""
    for table in (ENTRIES, CHECKPOINTS):
        append_only.release("default", table)
    for statement in statements:
        sql(statement)
    protection.install("default")
