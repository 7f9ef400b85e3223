"""The buffer of the audit log, when the database is away, full or confused."""

import inspect
import os

import pytest
from django.db import DataError, OperationalError

from audit import buffer
from audit.models import ApiRequest, AuditEntry
from audit.tests.kit import call

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("waiting")]


def put(*paths: str) -> None:
    for path in paths:
        buffer.put(call(path=path))


def paths() -> list[str]:
    return list(ApiRequest.objects.order_by("number").values_list("path", flat=True))


@pytest.fixture
def lost_answer(monkeypatch):
    """The next statement is carried out, and the connection breaks before its answer."""
    write = buffer.insert

    def lose_the_answer(*rows, **options):
        write(*rows, **options)
        if isinstance(rows[0], ApiRequest):
            monkeypatch.setattr(buffer, "insert", write)
            raise OperationalError("the connection is closed")

    monkeypatch.setattr(buffer, "insert", lose_the_answer)


def flush_without_savepoint():
    """Flush, and keep what a statement before the error has written, as after a lost COMMIT."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(buffer, "_insert", inspect.unwrap(buffer._insert))
        buffer.flush()


def test_a_batch_whose_answer_was_lost_is_written_once(lost_answer):
    """Seen once: the second try failed for ever, and the process recorded nothing any more."""
    put("/0", "/1", "/2")
    with pytest.raises(OperationalError):
        flush_without_savepoint()
    put("/3")
    buffer.flush()

    assert paths() == ["/0", "/1", "/2", "/3"]


def test_a_count_whose_answer_was_lost_is_not_added_twice(lost_answer):
    for _ in range(7):
        buffer.put(call(is_frequent=True))
    with pytest.raises(OperationalError):
        flush_without_savepoint()
    assert ApiRequest.objects.get().count == 7
    buffer.put(call(is_frequent=True))
    buffer.flush()
    buffer.flush()

    assert ApiRequest.objects.get().count == 8


def test_while_the_database_is_away_requests_wait_in_their_order(monkeypatch):
    def away(*args, **options):
        raise OperationalError("away")

    put("/1", "/2")
    buffer.put(call(is_frequent=True))
    with monkeypatch.context() as patch:
        patch.setattr(buffer, "insert", away)
        for _ in range(2):
            with pytest.raises(OperationalError):
                buffer.flush()
    assert [row.path for row in buffer._waiting] == ["/1", "/2"]
    assert not ApiRequest.objects.exists()
    buffer.flush()
    assert paths() == ["/1", "/2", "/api/v1/waiting/*"]


def test_counts_survive_a_database_that_is_away(monkeypatch):
    def away(*args, **options):
        raise OperationalError("away")

    buffer.put(call(is_frequent=True))
    with monkeypatch.context() as patch:
        patch.setattr(buffer, "insert", away)
        with pytest.raises(OperationalError):
            buffer.flush()
        buffer.put(call(is_frequent=True))
        with pytest.raises(OperationalError):
            buffer.flush()
    buffer.flush()

    assert ApiRequest.objects.get().count == 2


def test_what_does_not_fit_is_counted_in_the_log(monkeypatch):
    monkeypatch.setattr(buffer, "CAPACITY", 2)
    put("/0", "/1", "/2", "/3", "/4")
    assert buffer._dropped is not None
    _, first, last = buffer._dropped
    buffer.flush()

    assert paths() == ["/0", "/1"]  # the oldest ones are kept
    dropped = AuditEntry.objects.get(action="audit.dropped")
    assert dropped.data == {
        "rows": 3,
        "from": first.isoformat(),
        "to": last.isoformat(),
    }
    assert first < last
    buffer.flush()
    assert AuditEntry.objects.filter(action="audit.dropped").count() == 1


@pytest.mark.parametrize("error", [DataError("out of range"), ValueError("a NUL in a text")])
def test_a_request_that_cannot_be_stored_stops_no_other(monkeypatch, error):
    write = buffer.insert

    def refuse_bad(*rows, **options):
        if any(isinstance(row, ApiRequest) and row.path.endswith("bad") for row in rows):
            raise error
        write(*rows, **options)

    monkeypatch.setattr(buffer, "insert", refuse_bad)
    put("/1", "/bad", "/2")
    buffer.flush()

    assert paths() == ["/1", "/2"]
    assert AuditEntry.objects.get(action="audit.dropped").data["rows"] == 1
    assert not buffer._waiting


def test_a_child_process_does_not_write_what_is_the_parents():
    put("/1")
    buffer.put(call(is_frequent=True))
    child = os.fork()
    if child == 0:
        clean = not buffer._waiting and not buffer._tally.changed()
        os._exit(0 if clean else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0

    buffer.flush()
    assert len(paths()) == 2
