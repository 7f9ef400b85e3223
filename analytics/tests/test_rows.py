"""Rows that are read and written by SQL of our own are those that the ORM reads and writes."""

import uuid
from datetime import date

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models.signals import post_init, post_save, pre_init, pre_save
from django.utils import timezone

from accounts.models import User
from audit.actions import AuditAction
from audit.models import AuditEntry
from audit.requests import ApiRequest, Caller
from config import rows
from config.prepared import Update, made
from config.rows import Rows
from payments.models import LedgerAccount
from payments.tests.kit import statements
from videos import reading
from videos.models import Video

pytestmark = pytest.mark.django_db


def columns(row) -> dict[str, object]:
    return {name: value for name, value in vars(row).items() if name != "_state"}


def caller(number: int) -> Caller:
    return Caller(number=number, day=date(2026, 8, 1), ip="10.0.0.1", user_agent=f"x{number}")


def test_an_inserted_row_is_the_one_that_the_manager_would_have_made(viewer):
    fields = {
        "actor_id": viewer.pk, "action": AuditAction.ORDER_CREATED, "target_type": "order",
        "data": {"a": [1, None]}, "ip": "10.0.0.1", "at": timezone.now(),
    }  # fmt: skip
    ours = AuditEntry(**fields)
    rows.insert(ours)
    theirs = AuditEntry.objects.create(**fields)

    assert not ours._state.adding
    stored = [columns(AuditEntry.objects.get(pk=row.pk)) for row in (ours, theirs)]
    assert [row.pop("id") for row in stored] == [ours.pk, theirs.pk]
    assert stored[0] == stored[1]


def test_a_key_that_the_database_makes_is_left_to_it():
    fields = {"role": "platform", "kind": "income", "currency": "XTS"}
    rows.insert(LedgerAccount(code="a", **fields), LedgerAccount(code="b", **fields))
    keys = LedgerAccount.objects.filter(currency="XTS").values_list("pk", flat=True)
    assert len(set(keys)) == 2


def test_many_rows_are_inserted_by_few_statements():
    with statements(at_most=3):
        rows.insert(*(caller(number) for number in range(1, 501)))
    assert Caller.objects.count() == 500


def test_a_row_that_is_there_is_an_error_or_left_or_changed():
    rows.insert(caller(1))
    with pytest.raises(IntegrityError), transaction.atomic():
        rows.insert(caller(1))
    other = caller(1)
    other.user_agent = "another"

    rows.insert(other, caller(2), ignore_conflicts=True)
    assert [row.user_agent for row in Caller.objects.order_by("number")] == ["x1", "x2"]

    other.ip = "10.0.0.2"
    rows.insert(other, update=["user_agent"])
    changed = Caller.objects.get(number=1)
    assert (changed.user_agent, changed.ip) == ("another", "10.0.0.1")


def test_saving_fields_leaves_the_others(viewer):
    stale = User.objects.get(pk=viewer.pk)
    User.objects.filter(pk=viewer.pk).update(display_name="Newer")
    stale.display_name, stale.is_moderator = "Older", True

    rows.save(stale, "is_moderator")

    viewer.refresh_from_db()
    assert (viewer.display_name, viewer.is_moderator) == ("Newer", True)
    with pytest.raises(DatabaseError):
        rows.save(User(pk=uuid.uuid4()), "is_moderator")


def test_an_update_is_made_only_of_what_was_seen():
    update = Update(ApiRequest, unchanged=["count", "until"])
    row = ApiRequest.of(5, caller(1), method="GET", path="/x", status=200)
    rows.insert(row)
    seen = update.seen(row)

    assert update.write(seen, {"count": 3})  # both were NULL
    assert not update.write(seen, {"count": 4})
    assert not update.write([6, None, None], {"count": 4})
    assert update.write([5, 3, None], {"status": 404})
    row.refresh_from_db()
    assert (row.count, row.status) == (3, 404)


def test_a_made_object_is_the_one_of_the_class():
    ours = ApiRequest.of(7, caller(1), method="GET", path="/x", status=200, request_id="r")
    theirs = ApiRequest(
        number=7, caller=caller(1), method="GET", path="/x", status=200, request_id="r"
    )
    assert columns(ours) == columns(theirs)
    assert (ours.caller, ours._state.adding) == (theirs.caller, True)
    assert made(Caller, columns(caller(3))) == caller(3)


def test_whole_rows_are_those_of_the_queryset(make_video, viewer):
    videos = [make_video(title=f"Sea {number}") for number in range(3)]
    of_title = Rows(lambda title: Video.objects.filter(title=title), Video, title=str)

    for video in videos:
        found = of_title.get(title=video.title)
        assert columns(found) == columns(Video.objects.get(pk=video.pk))
    assert of_title.first(title="none") is None
    with pytest.raises(Video.DoesNotExist):
        of_title.get(title="none")


def test_the_joined_row_costs_no_query(make_video, viewer):
    video = make_video()
    reading.find_whole(viewer, video.pk)
    with statements(exactly=1):
        found = reading.find_whole(viewer, video.pk)
        assert found is not None
        creator = found.creator
    assert columns(creator) == columns(User.objects.get(pk=creator.pk))
    assert reading.find_whole(viewer, uuid.uuid4()) is None


def test_nothing_listens_to_the_signals_that_are_left_out():
    for signal in (pre_init, post_init, pre_save, post_save):
        for model in (ApiRequest, AuditEntry, Caller, LedgerAccount, Video):
            assert not signal.has_listeners(model), (signal, model)
