"""The ledger check finds every difference between the books, the facts and the states that follow."""

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from config import append_only
from payments.books import verification, verification_payments
from payments.ledger import protection
from payments.models import LedgerCheck, Payment
from payments.tests.corruptions import settle_constraints
from payments.tests.kit import nothing_changes

pytestmark = pytest.mark.django_db


def verify() -> list[str]:
    """Run the ledger check and return its discrepancies; it must store them and change nothing."""
    steps = []
    with nothing_changes():
        check = verification.verify_ledger(on_step=lambda done, total: steps.append((done, total)))
    assert check.discrepancies == len(check.first_discrepancies)
    assert check.first == (check.first_discrepancies[0] if check.first_discrepancies else "")
    assert check.payments == Payment.objects.count()
    assert steps[-1] == (check.payments, check.payments)
    assert LedgerCheck.objects.order_by("-started_at").first() == check
    return check.first_discrepancies


TRIGGERS = [
    *(name for table in protection.TABLES for name in append_only.trigger_names(table)[:2]),
    protection.CURRENCY_TRIGGER,
]


@pytest.mark.promise("ledger-triggers-survive-migrations")
@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_that_is_missing_is_found(name):
    """The ledger check names a missing trigger and passes again once it is installed."""
    assert verify() == []
    table = next(table for table in protection.TABLES if name.startswith(table))
    suffix = "" if connection.vendor == "sqlite" else f" ON {table}"
    settle_constraints()
    with connection.cursor() as cursor:
        cursor.execute(f"DROP TRIGGER {name}{suffix}")
    (line,) = verify()
    assert name in line
    protection.install(connection.alias)
    assert verify() == []


def test_the_check_names_the_payment_and_the_difference(every_kind_of_money):
    payment = every_kind_of_money[4].payments.get()
    Payment.objects.filter(pk=payment.pk).update(fee=7)
    assert verify() == [
        f"payment {payment.pk}: the books differ from its facts: fees:USD must change by -7"
    ]


def test_many_discrepancies_are_counted_and_the_first_are_named(every_kind_of_money, monkeypatch):
    monkeypatch.setattr(verification, "SHOWN", 2)
    Payment.objects.update(fee=7)
    check = verification.verify_ledger()
    assert check.discrepancies == Payment.objects.count() == 9
    assert len(check.first_discrepancies) == 2


def test_a_difference_that_is_gone_under_the_lock_is_not_reported(every_kind_of_money, monkeypatch):
    """Facts and books are read at two moments, so money may move between them while the check runs."""
    monkeypatch.setattr(verification_payments._Case, "is_booked", lambda case: False)
    monkeypatch.setattr(verification_payments._Case, "fits_order", lambda case: False)
    monkeypatch.setattr(verification_payments, "_order_if_wrong", lambda pk: None)
    assert verify() == []


def test_the_check_costs_the_same_queries_for_any_number_of_payments(make_user, make_video, buy):
    video = make_video(price=1999)
    costs = []
    for count in (2, 10):
        for _ in range(count):
            buy(make_user(), video)
        with CaptureQueriesContext(connection) as captured:
            verification.verify_ledger()
        costs.append(len(captured))
    assert costs[0] == costs[1]
