"""Rows that are written by statements which are made once."""

from datetime import timedelta

import pytest
from django.db import IntegrityError
from django.db.models.functions import Now
from django.utils import timezone

from config import rows
from config.prepared import new
from payments.models import Notice, Order, SandboxEvent

pytestmark = pytest.mark.django_db(transaction=True)


def notice(viewer, key):
    return new(Notice, user_id=viewer.pk, dedupe_key=key, html="")


def event(name):
    return new(SandboxEvent, id=name, type="payment.captured", kind="payment", object_id="x")


def test_rows_of_two_tables_are_stored_together_or_not_at_all(viewer):
    rows.insert_together(notice(viewer, "a"), event("sbe_a"))
    with pytest.raises(IntegrityError):
        rows.insert_together(notice(viewer, "b"), event("sbe_a"))
    with pytest.raises(IntegrityError):
        rows.insert_together(notice(viewer, "a"), event("sbe_b"))
    assert [*Notice.objects.values_list("dedupe_key", flat=True)] == ["a"]
    assert [*SandboxEvent.objects.values_list("id", flat=True)] == ["sbe_a"]


def test_the_database_makes_what_it_has_a_default_for(viewer):
    given = timezone.now() + timedelta(hours=1)
    later = notice(viewer, "b")
    later.not_before = given
    rows.insert(notice(viewer, "a"))
    rows.insert(later)
    made, kept = Notice.objects.order_by("pk")
    assert Notice.objects.filter(not_before__lte=Now()).get() == made
    assert kept.not_before == given


def test_rows_of_one_insert_leave_the_same_to_the_database(viewer):
    later = notice(viewer, "b")
    later.not_before = timezone.now()
    for both in ([notice(viewer, "a"), later], [later, notice(viewer, "a")]):
        with pytest.raises(TypeError, match="for all of these rows"):
            rows.insert(*both)
    assert not Notice.objects.exists()


def test_an_expression_is_a_mistake_of_ours(viewer):
    row = notice(viewer, "a")
    row.not_before = Now() + timedelta(hours=1)
    with pytest.raises(TypeError, match="not_before"):
        rows.insert(row)
    assert not Notice.objects.exists()


def test_a_new_row_has_the_defaults_of_its_model(viewer):
    quick, plain = new(Order, buyer_id=viewer.pk, amount=5), Order(buyer_id=viewer.pk, amount=5)

    columns = [field.attname for field in Order._meta.concrete_fields]
    assert {*columns} <= quick.__dict__.keys()
    made = {"id", "created_at", "changed_at"}
    assert all(getattr(quick, name) == getattr(plain, name) for name in {*columns} - made)
    assert all(type(getattr(quick, name)) is type(getattr(plain, name)) for name in made)
    assert quick._state.adding
    assert quick.pk != new(Order).pk
