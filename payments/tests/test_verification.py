"""The ledger check finds whatever does not follow from the facts."""

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
    """What the check finds, and keeps."""
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
        wish = checkout.Wish(coupon="FREE")
        checkout.purchase(buyer=make_user(), video_id=videos[0].pk, wish=wish)
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
    """Which of them the check does not find. Each is undone before the next."""
    missed = []
    for name, corrupt in corruptions.items():
        point = transaction.savepoint()
        if unprotected:  # what somebody with the database's password may do
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
    """PostgreSQL changes no triggers of a table with checks that wait."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def first(model, **wanted):
    return model.objects.filter(pk=model.objects.filter(**wanted).order_by("pk").first().pk)


def transfer(kind: str, **wanted):
    return first(Transfer, entry__kind=kind, **wanted)


def extra(kind: str) -> None:
    """A transfer more in an entry that is there already."""
    entry = JournalEntry.objects.filter(kind=kind).first()
    row = entry.transfers.first()
    Transfer.objects.create(
        entry=entry, debit=row.debit, credit=row.credit, amount=1, currency="USD"
    )


def give_to_somebody_else() -> None:
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
    "an amount was changed": lambda: transfer("capture").update(amount=F("amount") + 1),
    "a transfer is gone": lambda: transfer("refund").delete(),
    "another creator got it": give_to_somebody_else,
    "another gateway has it": lambda: transfer("capture").update(
        debit=accounts.clearing("stripe", "USD")
    ),
    "it is in another currency": lambda: transfer("dispute").update(currency="EUR"),
    "a gift is larger": lambda: transfer("gift").update(amount=F("amount") + 1),
    "a pool's transfer is larger": lambda: transfer("pool").update(amount=F("amount") + 1),
    "a pool's transfer went elsewhere": lambda: transfer("pool").update(
        credit=accounts.of(LedgerAccount.Role.PLATFORM, "USD")
    ),
    "more was recognised": lambda: transfer("recognition").update(amount=F("amount") + 1),
    "a payout is larger": lambda: transfer("payout").update(amount=F("amount") + 1),
    "a payout came back twice": lambda: extra("payout_returned"),
    "a payout was never brought to the bank": lambda: transfer(
        "payout", credit__role="clearing"
    ).delete(),
    "a write-off took from the gateway": lambda: transfer("write_off").update(
        debit=accounts.clearing("sandbox", "USD")
    ),
}


def test_books_that_were_rewritten_are_found(story):
    assert undetected(BOOKS, unprotected=True) == []


def add_gift_entry() -> None:
    smuggle(order=Order.objects.filter(amount__gt=0).first())


def revoke(**wanted) -> None:
    first(Entitlement, revoked_at=None, **wanted).update(revoked_at=timezone.now())


FACTS = {
    "a transfer more": lambda: extra("capture"),
    "a transfer more of a gift": lambda: extra("gift"),
    "an entry about nothing": smuggle,
    "a gift that is none": add_gift_entry,
    "a payment's entry more": lambda: smuggle(payment=Payment.objects.first()),
    "an entry about two things": lambda: smuggle(
        payment=Payment.objects.first(), order=Order.objects.first()
    ),
    "more was captured": lambda: first(Payment, captured=1999).update(captured=2000, amount=2000),
    "the fee was changed": lambda: first(Payment, captured=1999).update(fee=5),
    "a duplicate, by hand": lambda: first(Payment, captured=1999).update(disposition="duplicate"),
    "a refund is gone": lambda: first(Refund, status="succeeded").delete(),
    "a refund that never was": lambda: Refund.objects.create(
        payment=Payment.objects.filter(order__isnull=False).last(), amount=1, status="succeeded"
    ),
    "another percentage": lambda: first(Order, status="paid", amount__gt=0).update(fee_bps=100),
    "earned already": lambda: first(Invoice, recognised__gt=0).update(recognised=1),
    "paid, by hand": lambda: first(Order, status="refunded").update(status="paid"),
    "refunded, by hand": lambda: first(Order, status="paid").update(status="refunded"),
    "not paid, by hand": lambda: first(Invoice, status="paid").update(status="open"),
    "a buyer's right is gone": lambda: revoke(source_type="order"),
    "a right of the refunded": lambda: first(
        Entitlement, source_type="order", revoked_at__isnull=False
    ).update(revoked_at=None),
    "a right of somebody else": lambda: first(
        Entitlement, source_type="order", revoked_at=None
    ).update(user=Order.objects.first().creator_id),
    "a right without a source": lambda: Entitlement.objects.create(
        user=Order.objects.first().buyer,
        source_type="order",
        source_id=Order.objects.first().creator_id,
    ),
    "a subscriber's right is gone": lambda: revoke(source_type="subscription"),
    "a right of the leaver": lambda: first(
        Entitlement, source_type="subscription", revoked_at__isnull=False
    ).update(revoked_at=None),
    "ended, by hand": lambda: first(Subscription, status="active").update(status="expired"),
    "a subscription's right of somebody else": lambda: first(
        Entitlement, source_type="subscription", revoked_at=None
    ).update(user=Order.objects.first().buyer),
    "a share is smaller": lambda: first(PoolShare).update(amount=F("amount") - 1),
    "a share is gone": lambda: first(PoolShare).delete(),
    "a pool is larger": lambda: Pool.objects.update(amount=F("amount") + 1),
    "a payout is larger": lambda: first(Payout, status="draft").update(amount=F("amount") + 1),
    "paid, by hand, without money": lambda: first(Payout, status="draft").update(status="paid"),
    "a payout failed, by hand": lambda: first(Payout, status="paid").update(status="failed"),
    "a payout is open again": lambda: first(Payout, status="failed").update(status="draft"),
}


def test_facts_that_were_changed_beside_the_books_are_found(story):
    assert undetected(FACTS) == []


TRIGGERS = [
    *(name for table in protection.TABLES for name in append_only.trigger_names(table)[:2]),
    protection.CURRENCY_TRIGGER,
]


@pytest.mark.parametrize("name", TRIGGERS)
def test_a_trigger_that_is_missing_is_found(name):
    """Money 36: somebody dropped one, or a migration lost it."""
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


def test_the_check_names_the_payment_and_what_it_lacks(story):
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


def test_what_is_right_again_under_the_lock_is_no_discrepancy(story, monkeypatch):
    """Money moves while the check runs: facts and books were read at two moments."""
    monkeypatch.setattr(verification_payments, "_is_booked", lambda payment, facts: False)
    monkeypatch.setattr(verification_payments, "_order_follows", lambda payment, facts: False)
    monkeypatch.setattr(verification_payments, "_order_is_wrong", lambda pk: False)
    assert verify() == []


def test_the_check_asks_no_more_for_more_payments(make_user, make_video, buy):
    video = make_video(price=1999)
    costs = []
    for count in (2, 10):
        for _ in range(count):
            buy(make_user(), video)
        with CaptureQueriesContext(connection) as captured:
            verification.verify_ledger()
        costs.append(len(captured))
    assert costs[0] == costs[1]
