"""A log that was chained without a key, in one table, is taken over by the migrations."""

import uuid
from datetime import datetime

import pytest
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from audit import chain, partitions, sealing, unkeyed
from audit.models import AuditCheckpoint, AuditEntry
from audit.protection import CHECKPOINTS, ENTRIES
from audit.tests.log import attack, record, refusal, run, sql, write
from config import append_only

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.long, pytest.mark.twice]


@pytest.fixture
def upgraded():
    """50 unkeyed entries and 3 that waited, written before the migrations."""
    call_command("migrate", "audit", "0004", verbosity=0)
    try:
        before = chain.GENESIS
        for number in range(50):
            entry = record()[0]
            entry.position = number + 1
            entry.refresh_from_db(fields=["at", "data", "ip"])
            entry.hash = before = unkeyed.entry_hash(entry, before)
            entry.save(update_fields=["position", "hash"])
        record(3)
        AuditEntry.objects.create(id=uuid.UUID(int=2**128 - 1), action="login.failed")
    finally:
        call_command("migrate", "audit", verbosity=0)


def test_older_entries_are_verified_and_newer_ones_have_a_key(upgraded):
    write(10)

    assert "64 entries, one unbroken chain." in run("verify_audit")
    first = AuditCheckpoint.objects.earliest("pk")
    assert (first.reason, first.position) == ("begin", 50)


def test_entries_cannot_go_back_to_the_unkeyed_format(upgraded):
    write(10)
    attack(f"UPDATE {ENTRIES} SET path = '/x' WHERE position > 40")  # noqa: S608
    attack_hashes(from_position=41)
    assert "entry 50 differs from a stored checkpoint" in refusal("verify_audit")

    attack(f"DELETE FROM {CHECKPOINTS}")  # noqa: S608
    assert "has no signed checkpoint" in refusal("verify_audit")
    call_command("migrate", verbosity=0)
    assert "has no signed checkpoint" in refusal("verify_audit")


def attack_hashes(from_position: int) -> None:
    """Give the entries from a position on the unkeyed hashes of their content."""
    before = AuditEntry.objects.get(position=from_position - 1).hash or ""
    for entry in AuditEntry.objects.filter(position__gte=from_position).order_by("position"):
        before = unkeyed.entry_hash(entry, before)
        attack(f"UPDATE {ENTRIES} SET hash = '{before}' WHERE position = {entry.position}")  # noqa: S608


def test_the_older_table_becomes_a_partition(upgraded):
    while sealing.seal():
        pass
    if connection.vendor == "sqlite":
        assert refusal("verify_audit") == ""
        return
    names = [name for name, _ in partitions.existing_partitions()]
    following = [partitions.name_of(month) for month in partitions.months(timezone.now(), 3)][1:]
    assert sorted(names) == sorted([f"{ENTRIES}_older", f"{ENTRIES}_default", *following])
    assert sql(f"SELECT count(*) FROM {ENTRIES}_older") == [(53,)]  # noqa: S608
    assert sql(f"SELECT count(*) FROM {ENTRIES}_default") == [(1,)]  # noqa: S608
    assert refusal("verify_audit") == ""
    assert isinstance(AuditEntry.objects.latest("at").at, datetime)
    call_command("migrate", "audit", "0004", verbosity=0)
    try:
        assert AuditEntry.objects.count() == 54
    finally:  # the tests that follow need the tables
        append_only.release("default", ENTRIES)
        AuditEntry.objects.all().delete()
        call_command("migrate", "audit", verbosity=0)
