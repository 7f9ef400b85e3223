"""API requests are forgotten after their days; audit entries are not."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.forgetting import forget_old_requests
from audit.models import ApiRequest, AuditEntry, Caller
from audit.requests import first_number
from config import batches

pytestmark = pytest.mark.django_db


def request(*, ago: timedelta, tag=0, ip="192.0.2.1", **fields) -> ApiRequest:
    at = timezone.now() - ago
    caller = Caller.of(at.date(), None, ip, "")
    Caller.objects.bulk_create([caller], ignore_conflicts=True)
    number = first_number(at) + tag
    return ApiRequest.objects.create(number=number, caller=caller, status=200, **fields)


def days(number: float) -> timedelta:
    return timedelta(days=number)


@pytest.mark.parametrize("kept", [1, 30, 3650])
def test_requests_go_after_the_days_that_are_set(settings, kept):
    settings.AUDIT_ACTIVITY_DAYS = kept
    entry = AuditEntry.objects.create(
        action="api.request", at=timezone.now() - days(kept + 1), status=200
    )
    young = request(ago=days(kept) - timedelta(minutes=1))
    request(ago=days(kept) + timedelta(minutes=1))
    counted = request(ago=days(kept) - timedelta(hours=1), count=3, until=timezone.now())
    request(ago=days(kept) + timedelta(hours=1), count=3)

    assert forget_old_requests() == 2
    assert forget_old_requests() == 0

    assert set(ApiRequest.objects.all()) == {young, counted}
    assert AuditEntry.objects.get() == entry
    callers = set(Caller.objects.values_list("pk", flat=True))
    assert {young.caller_id, counted.caller_id} <= callers


def test_callers_go_after_their_requests(settings):
    settings.AUDIT_ACTIVITY_DAYS = 2
    for ago in range(6):
        request(ago=days(ago) + timedelta(seconds=1), ip=f"192.0.2.{ago}")
    forget_old_requests()

    kept = {row.caller_id for row in ApiRequest.objects.all()}
    assert len(kept) == 2
    assert kept < set(Caller.objects.values_list("pk", flat=True))
    assert Caller.objects.count() == 4  # a day more


def test_no_days_forget_all(settings):
    settings.AUDIT_ACTIVITY_DAYS = 0
    request(ago=timedelta(seconds=1))
    forget_old_requests()
    assert not ApiRequest.objects.exists()


def test_a_call_deletes_in_short_statements_and_not_for_ever(settings, monkeypatch):
    monkeypatch.setattr(batches, "SIZE", 10)
    monkeypatch.setattr(batches, "MOST", 3)
    for number in range(45):
        request(ago=days(40), tag=number, ip=f"192.0.2.{number}")
    oldest = list(ApiRequest.objects.order_by("number").values_list("pk", flat=True)[:30])

    with CaptureQueriesContext(
        connection,
    ) as queries:
        assert forget_old_requests() == 30
    assert not ApiRequest.objects.filter(pk__in=oldest).exists()
    assert Caller.objects.count() == 45  # as long as there are older requests, all stay
    assert sum(query["sql"].startswith("DELETE") for query in queries) == 3

    assert forget_old_requests() == 15
    assert Caller.objects.count() == 15
    forget_old_requests()
    assert not Caller.objects.exists()
