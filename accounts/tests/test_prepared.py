"""Prepared queries give the rows that the ORM would give, and always those of the database."""

import uuid
from datetime import datetime, timedelta

import pytest
from django.utils import timezone

from accounts.models import RefreshFamily, User
from config.prepared import Prepared, stored

COLUMNS = ("id", "user_id", "network", "created_at", "revoked_at", "user__is_active")


@pytest.fixture
def sign_ins(viewer):
    now = timezone.now()
    return [
        RefreshFamily.objects.create(
            user=viewer, current=uuid.uuid4().hex, expires_at=now + timedelta(hours=hours)
        )
        for hours in (1, 2, 3)
    ]


def query(user, after):
    later = RefreshFamily.objects.filter(user_id=user, expires_at__gt=after, revoked_at=None)
    return later.order_by("expires_at").values_list(*COLUMNS)


def test_the_rows_are_those_of_the_orm(sign_ins, viewer, make_user):
    prepared = Prepared(query, user=uuid.UUID, after=datetime)
    for user in (viewer, make_user()):
        for hours in (0, 1.5, 4):
            after = timezone.now() + timedelta(hours=hours)
            rows = [tuple(row) for row in prepared.rows(user=user.pk, after=after)]
            assert rows == list(query(user.pk, after))


def test_a_change_is_seen_by_the_next_run(sign_ins, viewer):
    prepared = Prepared(query, user=uuid.UUID, after=datetime)
    values = {"user": viewer.pk, "after": timezone.now()}
    assert len(prepared.rows(**values)) == 3
    RefreshFamily.objects.filter(pk=sign_ins[0].pk).update(revoked_at=timezone.now())
    assert len(prepared.rows(**values)) == 2


@pytest.mark.django_db
def test_a_parameter_that_the_query_does_not_have_is_a_mistake_of_ours():
    prepared = Prepared(
        lambda user, other: User.objects.filter(pk=user).values_list("pk"),
        user=uuid.UUID,
        other=uuid.UUID,
    )
    with pytest.raises(TypeError, match="other"):
        prepared.rows(user=uuid.uuid4(), other=uuid.uuid4())


def test_a_value_made_from_a_parameter_is_a_mistake_of_ours():
    """It would stay the one of the first run."""
    query = Prepared(
        lambda now: (
            RefreshFamily.objects.filter(expires_at__gt=now)
            .filter(created_at__lte=now + timedelta(seconds=10))
            .values_list("pk")
        ),
        now=datetime,
    )
    with pytest.raises(TypeError, match="made from a parameter"):
        query.rows(now=timezone.now())


def test_columns_that_were_not_read_are_read_when_they_are_used(viewer, django_assert_num_queries):
    user = stored(User, ("id", "email"), (viewer.pk, viewer.email))
    assert user == viewer
    with django_assert_num_queries(0):
        assert user.email == viewer.email
    with django_assert_num_queries(1):
        assert user.created_at == viewer.created_at
    user.display_name = "Ann"
    user.save(update_fields=["display_name"])
    assert User.objects.get(pk=viewer.pk).display_name == "Ann"
