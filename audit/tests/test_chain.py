"""Entries are written in the transaction of their change, and the chain shows later changes."""

import uuid
from io import StringIO

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from audit import protection, sealing, services, unkeyed, verification
from audit.actions import AuditAction
from audit.models import AuditEntry
from config import append_only
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db

TABLE = "audit_auditentry"


def record(count: int = 1, **data):
    return [
        services.record(actor=None, action=AuditAction.LOGIN_FAILED, number=number, **data)
        for number in range(count)
    ]


def verify() -> str:
    """What verify_audit says, after the worker has sealed all entries."""
    while sealing.seal():
        pass
    out = StringIO()
    call_command("verify_audit", stdout=out)
    return out.getvalue()


def broken_position() -> int:
    """The position that the first broken entry has; fails if the chain is whole."""
    broken = verification.verify().broken
    assert broken is not None
    return broken.position


def sealed(pk: uuid.UUID) -> tuple[int, str]:
    """Position and hash of an entry in the chain."""
    entry = AuditEntry.objects.get(pk=pk)
    assert entry.position is not None
    assert entry.hash is not None
    return entry.position, entry.hash


def sql(statement: str, *values):
    with connection.cursor() as cursor:
        cursor.execute(statement, values)


def stored(pk: uuid.UUID):
    return pk if connection.vendor == "postgresql" else pk.hex


@pytest.fixture
def unprotected():
    """The table without triggers, as an attacker with access to the database would make it."""
    append_only.release("default", TABLE)
    yield
    protection.install("default")


def test_an_entry_is_rolled_back_with_its_change(viewer):
    @transaction.atomic
    def change_that_fails():
        services.record(actor=viewer, action=AuditAction.PROFILE_CHANGED, target=viewer)
        assert AuditEntry.objects.filter(action="user.profile_changed").exists()
        raise RuntimeError

    with pytest.raises(RuntimeError):
        change_that_fails()
    assert not AuditEntry.objects.filter(action="user.profile_changed").exists()


def test_a_service_that_fails_leaves_no_entry(client_for, admin):
    get_user_model().objects.exclude(pk=admin.pk).update(is_active=False)
    before = AuditEntry.objects.exclude(action="api.request").count()

    client_for(admin).patch(f"/api/v1/users/{admin.pk}/role", {"role": "VIEWER"})

    assert AuditEntry.objects.exclude(action="api.request").count() == before


def test_an_entry_of_a_request_says_where_it_came_from(client_for, admin, viewer):
    client_for(admin).patch(
        f"/api/v1/users/{viewer.pk}/role",
        {"role": "CREATOR"},
        HTTP_X_REQUEST_ID="change-role-1",
        REMOTE_ADDR="192.0.2.7",
    )

    entry = AuditEntry.objects.get(action="user.role_changed")
    assert (entry.actor_id, entry.target_type, entry.target_id) == (
        admin.pk,
        "user",
        str(viewer.pk),
    )
    assert (entry.method, entry.path) == ("PATCH", f"/api/v1/users/{viewer.pk}/role")
    assert (entry.ip, entry.request_id) == ("192.0.2.7", "change-role-1")


def test_an_entry_of_a_command_has_no_origin():
    (entry,) = record()

    assert (entry.method, entry.path, entry.ip, entry.request_id) == ("", "", None, "")


def test_a_whole_chain_is_verified():
    record(5)
    before = AuditEntry.objects.count()

    assert f"{before} entries, one unbroken chain" in verify()

    positions = AuditEntry.objects.order_by("position").values_list("position", flat=True)
    assert list(positions) == list(range(1, before + 1))
    hashes = set(AuditEntry.objects.values_list("hash", flat=True))
    assert len(hashes) == before
    assert all(value and len(value) == 64 for value in hashes)


def test_later_entries_go_on_where_the_chain_ended():
    record(3)
    sealing.seal()
    first = list(AuditEntry.objects.exclude(hash=None).order_by("position").values_list("hash"))

    record(2)
    assert sealing.seal() == 2
    assert sealing.seal() == 0

    now = list(AuditEntry.objects.order_by("position").values_list("hash"))
    assert now[: len(first)] == first
    assert verification.verify().broken is None


FIELDS = {
    "action": "login.succeeded",
    "path": "/elsewhere",
    "method": "PUT",
    "status": 201,
    "target_type": "order",
    "target_id": "17",
    "ip": "203.0.113.9",
    "user_agent": "Other",
    "request_id": "other-request",
    "duration_ms": 5,
    "data": '{"number": 99}',
    "actor_id": None,
    "at": "2020-01-01 00:00:00+00:00",
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_changed_entry_is_named(field, unprotected, viewer):
    record(4)
    victim = services.record(actor=viewer, action=AuditAction.LOGIN_FAILED, number=7)
    record(3)
    sealing.seal()
    position, _ = sealed(victim.pk)
    value = FIELDS[field]

    sql(f'UPDATE {TABLE} SET "{field}" = %s WHERE id = %s', value, stored(victim.pk))  # noqa: S608

    assert broken_position() == position
    with pytest.raises(CommandError, match=f"broken at position {position}:"):
        verify()


def test_a_changed_entry_with_a_new_hash_is_named(unprotected):
    entries = record(5)
    sealing.seal()
    _, before = sealed(entries[1].pk)
    position, _ = sealed(entries[2].pk)
    forged = AuditEntry.objects.get(pk=entries[2].pk)
    forged.path = "/elsewhere"
    forged.hash = unkeyed.entry_hash(forged, before)  # the attacker has no key

    forged.save(update_fields=["path", "hash"])

    assert broken_position() == position


@pytest.mark.parametrize("which", [0, 2, 4])
def test_a_deleted_entry_is_named(which, unprotected):
    entries = record(6)
    sealing.seal()
    position, _ = sealed(entries[which].pk)

    sql(f"DELETE FROM {TABLE} WHERE id = %s", stored(entries[which].pk))  # noqa: S608

    assert broken_position() == position


def test_a_deleted_entry_whose_gap_is_closed_is_named(unprotected):
    entries = record(6)
    sealing.seal()
    position, _ = sealed(entries[2].pk)
    sql(f"DELETE FROM {TABLE} WHERE id = %s", stored(entries[2].pk))  # noqa: S608
    for pk in (
        AuditEntry.objects.filter(position__gt=position).order_by("position").values_list("pk")
    ):
        sql(f"UPDATE {TABLE} SET position = position - 1 WHERE id = %s", stored(*pk))  # noqa: S608

    assert broken_position() == position


def test_an_inserted_entry_is_named(unprotected):
    record(4)
    sealing.seal()
    last = AuditEntry.objects.order_by("-position")[0]
    for pk in AuditEntry.objects.filter(position__gte=2).order_by("-position").values_list("pk"):
        sql(f"UPDATE {TABLE} SET position = position + 1 WHERE id = %s", stored(*pk))  # noqa: S608
    AuditEntry.objects.create(action="login.succeeded", position=2, hash=last.hash)

    assert broken_position() == 2


def test_swapped_entries_are_named(unprotected):
    a, b = record(2)
    sealing.seal()
    a.refresh_from_db()
    b.refresh_from_db()
    for entry, position, digest in (
        (a, None, None), (b, a.position, a.hash), (a, b.position, b.hash)
    ):  # fmt: skip
        sql(
            f"UPDATE {TABLE} SET position = %s, hash = %s WHERE id = %s",  # noqa: S608
            position,
            digest,
            stored(entry.pk),
        )

    assert broken_position() == a.position


@pytest.mark.django_db(transaction=True)
def test_seals_at_once_make_one_chain():
    def write_and_seal(_):
        for _ in range(10):
            record()
            sealing.seal()

    at_once(6, write_and_seal)

    assert "one unbroken chain" in verify()
    entries = AuditEntry.objects.filter(action="login.failed")
    assert entries.count() == 60
    assert not entries.filter(position=None).exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).update(path="/other"),
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).update(position=99),
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).update(hash=None),
        lambda entry: AuditEntry.objects.filter(pk=entry.pk).delete(),
        lambda entry: entry.delete(),
        lambda entry: sql(f"UPDATE {TABLE} SET action = 'x'"),  # noqa: S608
        lambda entry: sql(f"DELETE FROM {TABLE}"),  # noqa: S608
    ],
)
def test_the_database_refuses_to_change_an_entry(change):
    (entry,) = record()
    sealing.seal()
    before = list(AuditEntry.objects.values())

    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        change(entry)

    assert list(AuditEntry.objects.values()) == before
