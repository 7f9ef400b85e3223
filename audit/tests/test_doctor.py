"""The doctor's checks of the audit log."""

from datetime import timedelta

import pytest
from django.utils import timezone

from audit import checkpoints, sealing
from audit.actions import AuditAction
from audit.models import AuditEntry
from config import append_only
from config.tests.doctoring import said, worst

pytestmark = pytest.mark.django_db


def entry(*, ago: timedelta) -> None:
    AuditEntry.objects.create(action=AuditAction.USER_REGISTERED, at=timezone.now() - ago)


def test_dropped_triggers_are_an_error():
    assert worst("audit_triggers") == "ok"

    append_only.release("default", "audit_auditentry")
    assert worst("audit_triggers") == "error"
    assert "audit_auditentry_no_delete" in said("audit_triggers")


def test_entries_that_wait_for_the_chain_are_a_warning():
    entry(ago=timedelta(minutes=1))
    assert worst("audit_chain") == "ok"

    entry(ago=timedelta(minutes=6))
    assert worst("audit_chain") == "warning"
    assert said("audit_chain").startswith("1 entries")

    sealing.seal()
    assert worst("audit_chain") == "ok"


def test_a_key_that_is_missing_here_is_an_error(settings):
    checkpoints.make()
    assert worst("audit_chain") == "ok"

    settings.AUDIT_KEYS = [b"another"]
    assert worst("audit_chain") == "error"
    assert "keys that this process does not have" in said("audit_chain")


def test_an_entry_from_the_future_is_a_warning():
    entry(ago=timedelta(seconds=-5))
    assert worst("clock_set_back") == "ok"

    entry(ago=timedelta(hours=-1))
    assert worst("clock_set_back") == "warning"
