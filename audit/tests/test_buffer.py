"""The buffer of the audit log, when the database is away, full or confused."""

import pytest
from django.db import DataError, OperationalError

from audit import buffer
from audit.actions import AuditAction
from audit.models import AuditEntry

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def waits(settings, monkeypatch):
    """Entries wait for `flush`, which only the test calls."""
    settings.AUDIT_FLUSH_SECONDS = 60
    monkeypatch.setattr(buffer, "_start", lambda: None)
    buffer._waiting.clear()
    buffer._dropped.clear()
    yield
    buffer._waiting.clear()
    buffer._dropped.clear()


def request(path: str = "/api/v1/videos/") -> AuditEntry:
    return AuditEntry(action=AuditAction.API_REQUEST, method="GET", path=path)


def test_a_batch_whose_answer_was_lost_is_written_once(monkeypatch):
    """Seen once: the second try failed for ever, and the process recorded nothing any more."""
    write = AuditEntry.objects.bulk_create

    def lose_the_answer(entries, **options):
        write(entries, **options)
        monkeypatch.setattr(AuditEntry.objects, "bulk_create", write)
        raise OperationalError("the connection is closed")

    monkeypatch.setattr(AuditEntry.objects, "bulk_create", lose_the_answer)
    for number in range(3):
        buffer.put(request(f"/api/v1/{number}"))

    with pytest.raises(OperationalError):
        buffer.flush()
    buffer.put(request("/api/v1/3"))
    buffer.flush()

    paths = AuditEntry.objects.order_by("path").values_list("path", flat=True)
    assert list(paths) == [f"/api/v1/{number}" for number in range(4)]


def test_while_the_database_is_away_entries_wait_in_their_order(monkeypatch):
    def away(*args, **options):
        raise OperationalError("away")

    buffer.put(request("/api/v1/1"))
    buffer.put(request("/api/v1/2"))
    with monkeypatch.context() as patch:
        patch.setattr(AuditEntry.objects, "bulk_create", away)
        with pytest.raises(OperationalError):
            buffer.flush()
    assert [entry.path for entry in buffer._waiting] == ["/api/v1/1", "/api/v1/2"]
    buffer.flush()
    assert AuditEntry.objects.count() == 2


def test_what_does_not_fit_is_counted_in_the_log(monkeypatch):
    monkeypatch.setattr(buffer, "CAPACITY", 2)
    entries = [request(f"/api/v1/{number}") for number in range(5)]
    for entry in entries:
        buffer.put(entry)
    buffer.flush()

    paths = AuditEntry.objects.filter(action="api.request").values_list("path", flat=True)
    assert sorted(paths) == ["/api/v1/0", "/api/v1/1"]  # the oldest ones are kept
    dropped = AuditEntry.objects.get(action="audit.dropped")
    assert dropped.data == {
        "rows": 3,
        "from": entries[2].at.isoformat(),
        "to": entries[4].at.isoformat(),
    }
    buffer.flush()
    assert AuditEntry.objects.filter(action="audit.dropped").count() == 1


def test_an_entry_that_cannot_be_stored_stops_no_other(monkeypatch):
    write = AuditEntry.objects.bulk_create

    def refuse_bad(entries, **options):
        if any(entry.path.endswith("bad") for entry in entries):
            raise DataError("value out of range")
        return write(entries, **options)

    monkeypatch.setattr(AuditEntry.objects, "bulk_create", refuse_bad)
    for path in ("/api/v1/1", "/api/v1/bad", "/api/v1/2"):
        buffer.put(request(path))
    buffer.flush()

    paths = AuditEntry.objects.filter(action="api.request").values_list("path", flat=True)
    assert sorted(paths) == ["/api/v1/1", "/api/v1/2"]
    assert AuditEntry.objects.get(action="audit.dropped").data["rows"] == 1
    assert not buffer._waiting
