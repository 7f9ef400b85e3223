"""The doctor's checks of the gateway and the books."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from config import append_only
from config.tests.doctoring import said, worst
from payments.ledger import protection
from payments.models import LedgerCheck, Plan, Transfer

pytestmark = pytest.mark.django_db


def test_the_sandbox_is_a_warning():
    assert worst("gateway") == "warning"
    assert "moves no real money" in said("gateway")
    assert "The gateway sandbox passes its" in said("gateway")


def test_what_payments_doctor_finds_is_an_error(settings):
    Plan.objects.update(is_active=False)
    settings.WEBHOOK_TOLERANCE_SECONDS = -1

    assert worst("gateway") == "error"
    assert "Not true: there are plans on sale (0)." in said("gateway")
    assert "Set WEBHOOK_TOLERANCE_SECONDS back to 300." in said("gateway")


def test_a_wrong_key_of_stripe_is_an_error_and_not_shown(settings):
    settings.PAYMENT_GATEWAY = "stripe"
    settings.STRIPE_SECRET_KEY = "not-a-key-of-stripe"

    assert worst("gateway") == "error"
    assert "not-a-key" not in said("gateway")


def test_dropped_triggers_of_the_books_are_an_error():
    assert worst("books_triggers") == "ok"

    append_only.release("default", protection.TABLES[0])
    protection.make_way("default")
    assert worst("books_triggers") == "error"
    assert f"{protection.TABLES[0]}_no_update" in said("books_triggers")
    if connection.vendor == "sqlite":
        assert protection.CURRENCY_TRIGGER in said("books_triggers")


@pytest.mark.parametrize(
    ("age", "discrepancies", "level"),
    [
        (timedelta(hours=1), 0, "ok"),
        (timedelta(days=3), 0, "warning"),
        (timedelta(hours=1), 2, "error"),
    ],
)
def test_the_latest_check_of_the_books(age, discrepancies, level):
    LedgerCheck.objects.create(
        started_at=timezone.now() - age, discrepancies=discrepancies, first="payment 1 is short"
    )

    assert worst("ledger") == level
    assert ("The first: payment 1 is short" in said("ledger")) == bool(discrepancies)


def test_books_that_were_never_verified(monkeypatch):
    assert worst("ledger") == "ok"

    monkeypatch.setattr(type(Transfer.objects.all()), "exists", lambda rows: True)
    assert worst("ledger") == "warning"
