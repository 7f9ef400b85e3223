"""Statements that PostgreSQL has prepared: the answers and errors of an ordinary cursor."""

import threading
import time
import uuid

import pytest
from django.db import (
    DataError,
    IntegrityError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from django.utils import timezone

from audit.actions import AuditAction
from audit.models import AuditEntry
from config import rows
from config.postgresql import base
from config.prepared import new, run
from payments.models import Notice

pytestmark = [pytest.mark.postgres, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def on_postgresql():
    if connection.vendor != "postgresql":
        pytest.skip("needs PostgreSQL")


def notice(viewer, **values):
    values = {"subject": "A mail", "html": "", "dedupe_key": str(uuid.uuid4()), **values}
    return new(Notice, user_id=viewer.pk, **values)


@transaction.atomic
def store_in_a_transaction(notices):
    for each in notices:
        rows.insert(each)


def test_values_of_all_kinds_are_stored_as_they_are(viewer):
    body = "50 % of %s, 'quoted' \\ \N{SNOWMAN}"
    row = notice(viewer, body=body, link_id=uuid.uuid4(), attempts=7, not_before=timezone.now())
    data = {"a": [1, None, "%s"]}
    entry = new(AuditEntry, action=AuditAction.ORDER_PAID, ip="2001:db8::1", data=data)

    assert rows.insert(row) == rows.insert(entry) == 1

    stored = Notice.objects.get()
    for name in ("body", "link_id", "attempts", "not_before", "created_at", "sent_at"):
        assert getattr(stored, name) == getattr(row, name)
    kept = AuditEntry.objects.get(pk=entry.pk)
    assert (kept.data, kept.ip, kept.at) == (data, "2001:db8::1", entry.at)


def test_an_error_is_the_one_that_a_cursor_raises_and_stores_nothing(viewer):
    rows.insert(notice(viewer, dedupe_key="once"))
    with pytest.raises(IntegrityError):
        rows.insert(notice(viewer, dedupe_key="once"))
    with pytest.raises(DataError):
        rows.insert(notice(viewer, body="a\x00b"))
    assert rows.insert(notice(viewer, dedupe_key="once"), ignore_conflicts=True) == 0
    twice = [notice(viewer, dedupe_key=key) for key in ("first of a transaction", "once")]
    with pytest.raises(IntegrityError):
        store_in_a_transaction(twice)
    assert Notice.objects.count() == 1


def test_a_statement_that_postgresql_has_forgotten_is_prepared_again(viewer):
    rows.insert(notice(viewer))
    with connection.cursor() as cursor:
        cursor.execute("DEALLOCATE ALL")
    rows.insert(notice(viewer))
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE shape (a int)")
        cursor.execute("INSERT INTO shape VALUES (1)")
    assert run(connection, "SELECT a FROM shape", [])[0] == [(1,)]
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE shape ALTER a TYPE text")
    assert run(connection, "SELECT a FROM shape", [])[0] == [("1",)]
    assert Notice.objects.count() == 2


def test_more_statements_than_a_connection_prepares_run_too(viewer, monkeypatch):
    monkeypatch.setattr(base, "STATEMENTS_MAX", 0)
    monkeypatch.setattr(connection, "_statements", None)
    assert rows.insert(notice(viewer)) == Notice.objects.count() == 1


def test_a_connection_that_postgresql_has_ended_is_replaced_at_the_next_request(client, viewer):
    rows.insert(notice(viewer))
    ended = connection.connection
    other = connections.create_connection("default")
    with other.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [ended.info.backend_pid])
        cursor.execute("SELECT pg_sleep(0.2)")
    other.close()

    connection.health_check_enabled = True  # type: ignore[attr-defined]  # as a request does
    connection.health_check_done = False  # type: ignore[attr-defined]
    assert Notice.objects.count() == 1
    assert connection.connection is not ended


def test_a_connection_that_ends_under_a_statement_says_so(viewer):
    rows.insert(notice(viewer))
    connection.connection.pgconn.finish()
    with pytest.raises(OperationalError):
        rows.insert(notice(viewer))
    connection.close()
    assert Notice.objects.count() == 1


def test_a_statement_that_waits_lets_other_threads_work():
    def wait():
        run(connection, "SELECT pg_sleep(%s)", [1])
        connection.close()

    thread = threading.Thread(target=wait)
    begun = time.monotonic()
    thread.start()
    while thread.is_alive() and time.monotonic() - begun < 0.5:
        time.sleep(0.01)
    waited = thread.is_alive()
    thread.join()
    assert waited
