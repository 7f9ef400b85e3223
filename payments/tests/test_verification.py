"""The ledger check finds every difference between the books, the facts and what follows from them."""

import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from config import append_only
from payments.books import verification, verification_payments
from payments.gateways.sandbox import charging
from payments.ledger import accounts, posting, protection
from payments.models import (
    Coupon,
    Entitlement,
    Invoice,
    JournalEntry,
    LedgerAccount,
    LedgerCheck,
    Order,
    Payment,
    Payout,
    Pool,
    PoolShare,
    Refund,
    Subscription,
    Transfer,
)
from payments.services.buying import checkout
from payments.services.payouts import payouts
from payments.services.settling import refunds
from payments.services.settling.facts import sync_payment
from payments.tests.kit import nothing_changes
from payments.tests.months import AUGUST, at, close, watch

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


@pytest.fixture
def story(make_user, make_video, buy, subscribe, admin, monkeypatch):
    """One of everything: sold, refunded in part and in full, disputed, given away, subscribed,
    shared, set aside, paid out, failed, written off."""
    monkeypatch.setattr(verification_payments, "BATCH", 3)
    with at("2026-08-01 00:00"):
        videos = [make_video(price=1999) for _ in range(3)]
        subscriber, leaver = make_user(), make_user()
        subscribe(subscriber), subscribe(leaver)
        orders = [buy(make_user(), video) for video in videos for _ in range(2)]
        Coupon.objects.create(code="FREE", percent_bps=10_000, funded_by="platform")
        options = checkout.PurchaseOptions(coupon="FREE")
        checkout.purchase(buyer=make_user(), video_id=videos[0].pk, options=options)
        refunds.refund_order(order_id=orders[0].pk, amount=500, reason="", actor=admin)
        refunds.refund_order(order_id=orders[1].pk, amount=None, reason="", actor=admin)
        disputed = orders[2].payments.get()
        charging.open_dispute(payment_id=disputed.external_id)
        sync_payment(gateway="sandbox", external_id=disputed.external_id)
        left = Payment.objects.get(invoice__subscription__user=leaver)
        charging.refund(payment_id=left.external_id, amount=left.captured, key="leaves")
        sync_payment(gateway="sandbox", external_id=left.external_id)
    watch(subscriber, videos[0], "2026-08-02", 60)
    watch(subscriber, videos[1], "2026-08-02", 60)
    close(AUGUST)
    with at("2026-09-20 00:00"):
        made = payouts.run()
        for payout in made[1:]:
            payouts.approve(payout_id=payout.pk, actor=admin)
        payouts.mark_paid(payout_id=made[1].pk, external_ref="SEPA-1", actor=admin)
        payouts.mark_failed(payout_id=made[2].pk, reason="", actor=admin)
        refunds.refund_order(order_id=orders[3].pk, amount=None, reason="", actor=admin)
        payouts.write_off(creator_id=videos[1].creator_id, currency="USD", actor=admin)
    assert Payout.objects.count() == 3
    assert verify() == []
    return orders


def undetected(corruptions: dict, *, unprotected: bool = False) -> list[str]:
    """Return the names of the corruptions that the check misses; each is undone before the next."""
    missed = []
    for name, corrupt in corruptions.items():
        point = transaction.savepoint()
        if unprotected:  # as a person with the database's password could do
            settle_constraints()
            for table in protection.TABLES:
                append_only.release(connection.alias, table)
        corrupt()
        settle_constraints()
        protection.install(connection.alias)
        missed += [] if verify() else [name]
        transaction.savepoint_rollback(point)
    assert verify() == []
    return missed


def settle_constraints() -> None:
    """Run the deferred constraints: PostgreSQL refuses to change triggers while they are pending."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def first(model, **wanted):
    return model.objects.filter(pk=model.objects.filter(**wanted).order_by("pk").first().pk)


def transfer(kind: str, **wanted):
    return first(Transfer, entry__kind=kind, **wanted)


def extra(kind: str) -> None:
    """Add a second copy of a transfer, over one minor unit, to an existing entry."""
    entry = JournalEntry.objects.filter(kind=kind).first()
    row = entry.transfers.first()
    Transfer.objects.create(
        entry=entry, debit=row.debit, credit=row.credit, amount=1, currency="USD"
    )


def give_to_another_creator() -> None:
    rows = transfer("capture", credit__role="creator")
    other = LedgerAccount.objects.filter(role="creator").exclude(pk=rows.get().credit_id)
    rows.update(credit=other.first())


def smuggle(**about) -> None:
    posting.post(
        key="smuggled",
        kind="write_off",
        currency="USD",
        transfers=[
            (
                accounts.clearing("sandbox", "USD"),
                accounts.of(LedgerAccount.Role.PLATFORM, "USD"),
                5,
            )
        ],
        at=timezone.now(),
        **about,
    )


BOOKS = {
    "a changed amount": lambda: transfer("capture").update(amount=F("amount") + 1),
    "a deleted transfer": lambda: transfer("refund").delete(),
    "a transfer to another creator": give_to_another_creator,
    "a transfer from another gateway": lambda: transfer("capture").update(
        debit=accounts.clearing("stripe", "USD")
    ),
    "a transfer in another currency": lambda: transfer("dispute").update(currency="EUR"),
    "a gift is larger": lambda: transfer("gift").update(amount=F("amount") + 1),
    "a pool's transfer is larger": lambda: transfer("pool").update(amount=F("amount") + 1),
    "a pool's transfer went elsewhere": lambda: transfer("pool").update(
        credit=accounts.of(LedgerAccount.Role.PLATFORM, "USD")
    ),
    "a larger recognition": lambda: transfer("recognition").update(amount=F("amount") + 1),
    "a payout is larger": lambda: transfer("payout").update(amount=F("amount") + 1),
    "a payout came back twice": lambda: extra("payout_returned"),
    "a payout was never brought to the bank": lambda: transfer(
        "payout", credit__role="clearing"
    ).delete(),
    "a write-off took from the gateway": lambda: transfer("write_off").update(
        debit=accounts.clearing("sandbox", "USD")
    ),
}


def test_rewritten_ledger_rows_are_found(story):
    assert undetected(BOOKS, unprotected=True) == []


def add_gift_entry() -> None:
    smuggle(order=Order.objects.filter(amount__gt=0).first())


def revoke(**wanted) -> None:
    first(Entitlement, revoked_at=None, **wanted).update(revoked_at=timezone.now())


FACTS = {
    "a second transfer of a capture": lambda: extra("capture"),
    "a second transfer of a gift": lambda: extra("gift"),
    "an entry without a subject": smuggle,
    "a gift entry for a paid order": add_gift_entry,
    "an unknown entry of a payment": lambda: smuggle(payment=Payment.objects.first()),
    "an entry about a payment and an order": lambda: smuggle(
        payment=Payment.objects.first(), order=Order.objects.first()
    ),
    "a larger captured amount": lambda: first(Payment, captured=1999).update(
        captured=2000, amount=2000
    ),
    "the fee was changed": lambda: first(Payment, captured=1999).update(fee=5),
    "a payment marked as duplicate": lambda: first(Payment, captured=1999).update(
        disposition="duplicate"
    ),
    "a refund is gone": lambda: first(Refund, status="succeeded").delete(),
    "a refund that the gateway does not know": lambda: Refund.objects.create(
        payment=Payment.objects.filter(order__isnull=False).last(), amount=1, status="succeeded"
    ),
    "another fee of an order": lambda: first(Order, status="paid", amount__gt=0).update(
        fee_bps=100
    ),
    "a smaller recognised amount": lambda: first(Invoice, recognised__gt=0).update(recognised=1),
    "a refunded order marked as paid": lambda: first(Order, status="refunded").update(
        status="paid"
    ),
    "a paid order marked as refunded": lambda: first(Order, status="paid").update(
        status="refunded"
    ),
    "a paid invoice marked as open": lambda: first(Invoice, status="paid").update(status="open"),
    "a buyer's entitlement is revoked": lambda: revoke(source_type="order"),
    "a refunded buyer has an entitlement": lambda: first(
        Entitlement, source_type="order", revoked_at__isnull=False
    ).update(revoked_at=None),
    "another user has the buyer's entitlement": lambda: first(
        Entitlement, source_type="order", revoked_at=None
    ).update(user=Order.objects.first().creator_id),
    "an entitlement has no order": lambda: Entitlement.objects.create(
        user=Order.objects.first().buyer,
        source_type="order",
        source_id=Order.objects.first().creator_id,
    ),
    "a subscriber's entitlement is revoked": lambda: revoke(source_type="subscription"),
    "a former subscriber has an entitlement": lambda: first(
        Entitlement, source_type="subscription", revoked_at__isnull=False
    ).update(revoked_at=None),
    "an active subscription marked as expired": lambda: first(Subscription, status="active").update(
        status="expired"
    ),
    "another user has the subscriber's entitlement": lambda: first(
        Entitlement, source_type="subscription", revoked_at=None
    ).update(user=Order.objects.first().buyer),
    "a share is smaller": lambda: first(PoolShare).update(amount=F("amount") - 1),
    "a share is gone": lambda: first(PoolShare).delete(),
    "a pool is larger": lambda: Pool.objects.update(amount=F("amount") + 1),
    "a payout is larger": lambda: first(Payout, status="draft").update(amount=F("amount") + 1),
    "a draft payout marked as paid": lambda: first(Payout, status="draft").update(status="paid"),
    "a paid payout marked as failed": lambda: first(Payout, status="paid").update(status="failed"),
    "a failed payout marked as draft": lambda: first(Payout, status="failed").update(
        status="draft"
    ),
}


def test_facts_that_disagree_with_the_books_are_found(story):
    assert undetected(FACTS) == []


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


def test_the_check_names_the_payment_and_the_difference(story):
    payment = story[4].payments.get()
    Payment.objects.filter(pk=payment.pk).update(fee=7)
    assert verify() == [
        f"payment {payment.pk}: the books differ from its facts: fees:USD must change by -7"
    ]


def test_many_discrepancies_are_counted_and_the_first_are_named(story, monkeypatch):
    monkeypatch.setattr(verification, "SHOWN", 2)
    Payment.objects.update(fee=7)
    check = verification.verify_ledger()
    assert check.discrepancies == Payment.objects.count() == 8
    assert len(check.first_discrepancies) == 2


def test_a_difference_that_is_gone_under_the_lock_is_not_reported(story, monkeypatch):
    """Facts and books are read at two moments, so money may move between them while the check runs."""
    monkeypatch.setattr(verification_payments, "_is_booked", lambda payment, facts: False)
    monkeypatch.setattr(verification_payments, "_order_follows", lambda payment, facts: False)
    monkeypatch.setattr(verification_payments, "_order_is_wrong", lambda pk: False)
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
