"""Rows that are written by statements which are made once."""

import pytest
from django.db import IntegrityError
from django.utils import timezone

from config import rows
from config.prepared import new
from payments.models import Notice, Order, SandboxEvent

pytestmark = pytest.mark.django_db(transaction=True)


def notice(viewer, key):
    return new(Notice, user_id=viewer.pk, dedupe_key=key, html="", not_before=timezone.now())


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


def test_a_value_that_the_database_makes_is_a_mistake_of_ours(viewer):
    with pytest.raises(TypeError, match="not_before"):
        rows.insert(new(Notice, user_id=viewer.pk, dedupe_key="a", html=""))
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
