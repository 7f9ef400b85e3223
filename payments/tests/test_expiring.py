"""The end of an entitlement by the clock is in the audit log, each end once."""

from datetime import timedelta

import pytest
import time_machine
from django.utils import timezone

import audit.services as audit
from audit.models import AuditEntry
from payments.models import Entitlement
from payments.services import access
from videos.signals import worker_tick

pytestmark = pytest.mark.django_db


@pytest.fixture
def grant(make_user, make_video):
    """Return a function that gives a new user a rental that ends in an hour."""

    def make(**fields) -> Entitlement:
        user = make_user()
        return Entitlement.objects.create(
            user=user,
            video=make_video(price=1999),
            source_type="order",
            source_id=user.pk,
            **{"ends_at": timezone.now() + timedelta(hours=1), **fields},
        )

    return make


def expired() -> list[str]:
    entries = AuditEntry.objects.filter(action="entitlement.expired").order_by("id")
    return list(entries.values_list("target_id", flat=True))


def test_the_worker_records_each_end_once(grant):
    rentals = [grant() for _ in range(3)]
    worker_tick.send(sender=None, every="minute")
    assert expired() == []

    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        for _ in range(2):
            worker_tick.send(sender=None, every="minute")

    assert sorted(expired()) == sorted(str(rental.pk) for rental in rentals)
    entry = AuditEntry.objects.filter(action="entitlement.expired").latest("at")
    assert (entry.actor_id, entry.data["source"]) == (None, "order")
    assert entry.data["video"] in {str(rental.video_id) for rental in rentals}


def test_what_was_revoked_or_never_ends_does_not_expire(grant):
    grant(revoked_at=timezone.now())
    grant(ends_at=None)
    before = list(Entitlement.objects.values())

    with time_machine.travel(timezone.now() + timedelta(days=400)):
        assert access.record_expired() == 0

    assert expired() == []
    assert list(Entitlement.objects.values()) == before


def test_a_renewed_subscription_expires_again_at_its_next_end(make_user, subscribe):
    subscription = subscribe(make_user())
    entitlement = Entitlement.objects.get(source_id=subscription.pk)
    for _ in range(2):
        entitlement.refresh_from_db()
        assert entitlement.ends_at
        with time_machine.travel(entitlement.ends_at + timedelta(minutes=1)):
            assert access.record_expired() == 1
            assert access.record_expired() == 0
        subscription.refresh_from_db()
        subscription.period_end += timedelta(days=30)
        subscription.save()
        access.update_for_subscription(subscription)

    assert expired() == [str(entitlement.pk)] * 2


def test_a_call_is_bounded_and_takes_the_earliest_first(grant, monkeypatch):
    monkeypatch.setattr(access, "EXPIRED_AT_ONCE", 2)
    now = timezone.now()
    rentals = [grant(ends_at=now - timedelta(hours=number)) for number in range(3)]

    assert [access.record_expired() for _ in range(3)] == [2, 1, 0]
    assert expired() == [str(rentals[number].pk) for number in (2, 1, 0)]


def test_an_end_that_cannot_be_recorded_is_recorded_later(grant, monkeypatch):
    rental = grant(ends_at=timezone.now())

    def fails(**kwargs):
        raise RuntimeError("the log is full")

    with monkeypatch.context() as patch:
        patch.setattr(audit, "record", fails)
        with pytest.raises(RuntimeError):
            access.record_expired()

    rental.refresh_from_db()
    assert (rental.expired_at, expired()) == (None, [])
    assert access.record_expired() == 1
