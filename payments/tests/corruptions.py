"""What can be wrong in the books, one row each, for the tests of the ledger check.

Each corruption is a function that changes rows past the services and the append-only triggers, as a
person with the database's password could do, or a bug.
"""

import uuid
from collections.abc import Callable, Mapping
from typing import Any

from django.db import connection
from django.db.models import F, Model, QuerySet
from django.utils import timezone

from config.ids import uuid7
from payments import locks
from payments.ledger import accounts, posting
from payments.models import (
    Conversion,
    Dispute,
    Entitlement,
    Invoice,
    JournalEntry,
    LedgerAccount,
    MoneyMode,
    Order,
    Payment,
    Payout,
    Pool,
    PoolShare,
    Refund,
    Subscription,
    Transfer,
)
from payments.services.settling import split

Role = LedgerAccount.Role
Corruption = Callable[[], object]
MORE, LESS = F("amount") + 1, F("amount") - 1


def add_rare_payments(order: Order, invoice: Invoice) -> None:
    """Book what the sandbox does not make: payments twice, for nothing, and with an exchange."""
    common = {"gateway": "sandbox", "amount": 1999, "captured": 1999, "status": "captured"}
    twice = Payment.objects.create(
        external_id="twice", order=order, currency="USD", disposition="duplicate", **common
    )
    again = Payment.objects.create(
        external_id="again", invoice=invoice, currency="USD", disposition="duplicate", **common
    )
    nothing = Payment.objects.create(
        external_id="nothing", currency="JPY", disposition="unmatched", **common
    )
    Refund.objects.create(payment=twice, external_id="part", amount=99, status="succeeded")
    exchanged = order.payments.get(disposition="applied")
    for name, amount, presented in (("in", 1800, 1999), ("out", -90, -100)):
        Conversion.objects.create(
            payment=exchanged, external_id=name, currency="EUR", amount=amount, fee=7,
            presented=presented,
        )  # fmt: skip
    for payment in (twice, again, nothing, exchanged):
        row = locks.lock_payment(pk=payment.pk)
        split.book_payment(row, kind=JournalEntry.Kind.ADJUSTMENT, at=timezone.now())


def settle_constraints() -> None:
    """Run the deferred constraints: PostgreSQL refuses to change triggers while they are pending."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def first(model: type[Model], **wanted: object) -> QuerySet[Any]:
    """Return a queryset of one row: the first that matches, by primary key."""
    rows = model._default_manager
    return rows.filter(pk=rows.filter(**wanted).earliest("pk").pk)


def change(model: type[Model], wanted: Mapping[str, object], **values: object) -> Corruption:
    """Return the corruption that gives the first matching row other values."""
    return lambda: first(model, **wanted).update(**values)


def drop(model: type[Model], **wanted: object) -> Corruption:
    """Return the corruption that deletes the first matching row."""
    return lambda: first(model, **wanted).delete()


def transfer(kind: str, **wanted: object) -> QuerySet[Transfer]:
    return first(Transfer, entry__kind=kind, **wanted)


def moved(kind: str, wanted: Mapping[str, object], side: str, account: Callable) -> Corruption:
    """Return the corruption that debits or credits another account by a transfer."""
    return lambda: transfer(kind, **wanted).update(**{side: account()})


def doubled(kind: str, **wanted: object) -> Corruption:
    """Return the corruption that books a transfer a second time, in the same entry."""

    def double() -> None:
        row = transfer(kind, **wanted).get()
        row.pk = None
        row.save(force_insert=True)

    return double


def larger(kind: str) -> Corruption:
    return lambda: transfer(kind).update(amount=MORE)


def another_creator() -> LedgerAccount:
    return LedgerAccount.objects.filter(role="creator", currency="USD").latest("pk")


def of(role: str, currency: str = "USD") -> Callable[[], LedgerAccount]:
    return lambda: accounts.of(Role(role), currency)


def elsewhere() -> LedgerAccount:
    return accounts.clearing("stripe", "USD")


def entry(kind: str, /, **values: object) -> Corruption:
    """Return the corruption that changes the first journal entry of a kind."""
    return change(JournalEntry, {"kind": kind}, **values)


def smuggle(**about: Any) -> None:
    transfers: list[posting.NewTransfer] = [
        (accounts.clearing("sandbox", "USD"), accounts.of(Role.PLATFORM, "USD"), 5)
    ]
    posting.post(
        key="smuggled", kind="write_off", currency="USD", transfers=transfers, at=timezone.now(),
        **about,
    )  # fmt: skip


def revoke(source: str) -> Corruption:
    return lambda: first(Entitlement, source_type=source, revoked_at=None).update(
        revoked_at=timezone.now()
    )


def to_another_payment() -> None:
    wrong = Payment.objects.filter(captured=1999, disposition="applied").latest("pk")
    first(JournalEntry, kind="capture").update(payment=wrong)


def to_another_order() -> None:
    Payment.objects.filter(pk=first(Payment, captured=1999).get().pk).update(
        order=Order.objects.filter(status="paid", amount=0).earliest("pk")
    )


def paid_into_transit() -> None:
    smuggle(payout=Payout.objects.earliest("pk"))


def new_mode() -> None:
    number = MoneyMode.objects.count() + 1
    MoneyMode.objects.create(number=number, mode="test", began_at=timezone.now())


def entitle(**fields: Any) -> None:
    order = Order.objects.earliest("pk")
    Entitlement.objects.create(user=order.buyer, source_id=uuid7(), **fields)


def other_user() -> uuid.UUID:
    """Return the id of a user who neither sold anything nor bought the first video."""
    return Order.objects.latest("pk").buyer_id


_SOLD = {"captured": 1999, "disposition": "applied", "order__status": "paid"}
_BOUGHT = {"status": "paid", "amount": 1999}
_TO_CREATOR, _TO_PLATFORM = {"credit__role": "creator"}, {"credit__role": "platform"}

BOOKS: dict[str, Corruption] = {
    # One transfer: its amount, its existence, its accounts, its currency.
    **{
        f"{kind}: a larger amount": larger(kind)
        for kind in (
            *("capture", "refund", "dispute", "dispute_reinstated", "gift", "recognition"),
            *("pool", "payout", "payout_returned", "write_off", "adjustment"),
        )
    },
    **{
        f"{kind}: a transfer is gone": drop(Transfer, entry__kind=kind)
        for kind in (
            *("capture", "refund", "dispute", "dispute_reinstated", "gift", "recognition"),
            *("pool", "payout", "payout_returned", "adjustment"),
        )
    },
    **{
        f"{kind}: a transfer is booked twice": doubled(kind)
        for kind in (
            *("capture", "refund", "dispute", "gift", "recognition", "pool", "payout"),
            *("payout_returned", "adjustment"),
        )
    },
    "capture: to another creator": moved("capture", _TO_CREATOR, "credit", another_creator),
    "capture: the platform's part to a creator": moved(
        "capture", _TO_PLATFORM, "credit", another_creator
    ),
    "capture: the creator's part to the platform": moved(
        "capture", _TO_CREATOR, "credit", of("platform")
    ),
    "capture: into suspense": moved("capture", _TO_CREATOR, "credit", of("suspense")),
    "capture: from another gateway": moved("capture", {}, "debit", elsewhere),
    "capture: to the pool at once": moved(
        "capture", {"credit__role": "deferred"}, "credit", of("pool")
    ),
    "capture: in another currency": lambda: transfer("capture").update(currency="EUR"),
    "capture: to an account in another currency": moved(
        "capture", _TO_PLATFORM, "credit", of("platform", "EUR")
    ),
    "dispute: in another currency": lambda: transfer("dispute").update(currency="EUR"),
    "an account is in another currency": change(
        LedgerAccount, {"role": "platform"}, currency="EUR"
    ),
    "an account has another owner": lambda: first(LedgerAccount, role="creator").update(
        owner=Order.objects.earliest("pk").buyer_id
    ),
    "an account has another role": change(LedgerAccount, {"role": "promotions"}, role="losses"),
    "adjustment: owed back to another": lambda: transfer(
        "adjustment", credit__role="customer_refund"
    ).update(credit=accounts.of(Role.CUSTOMER_REFUND, "USD", other_user())),
    "adjustment: an exchange with a larger amount": lambda: transfer(
        "adjustment", currency="EUR"
    ).update(amount=MORE),
    "adjustment: an exchange without its fee": drop(
        Transfer, entry__kind="adjustment", debit__role="fees", currency="EUR"
    ),
    "pool: to the platform": moved("pool", {}, "credit", of("platform")),
    "pool: to another creator": moved("pool", {}, "credit", another_creator),
    "pool: from deferred": moved("pool", {}, "debit", of("deferred")),
    "payout: never brought to the bank": drop(
        Transfer, entry__kind="payout", credit__role="clearing"
    ),
    "payout: from another creator": moved(
        "payout", {"debit__role": "creator"}, "debit", another_creator
    ),
    "payout: from the platform": moved(
        "payout", {"debit__role": "creator"}, "debit", of("platform")
    ),
    "write-off: from the gateway": moved("write_off", {}, "debit", elsewhere),
    "write-off: to the platform": moved("write_off", {}, "credit", of("platform")),
    # One entry: its subject and its kind.
    **{
        f"{kind}: the entry is about nothing": entry(
            kind, payment=None, order=None, pool=None, payout=None
        )
        for kind in ("capture", "gift", "pool", "payout")
    },
    "write-off: called an adjustment": entry("write_off", kind="adjustment"),
    "write-off: called the close of a mode": entry("write_off", kind="mode_closed"),
    "capture: the entry of another payment": to_another_payment,
    "gift: the entry of a sold order": lambda: first(JournalEntry, kind="gift").update(
        order=Order.objects.filter(amount__gt=0).earliest("pk")
    ),
    "payout: the entry of another payout": lambda: first(JournalEntry, kind="payout").update(
        payout=Payout.objects.latest("pk")
    ),
    "pool: also about a payment": lambda: first(JournalEntry, kind="pool").update(
        payment=Payment.objects.earliest("pk")
    ),
    "capture: also about an order": lambda: first(JournalEntry, kind="capture").update(
        order=Order.objects.earliest("pk")
    ),
    "an entry without a subject": smuggle,
    "an unknown entry of a payment": lambda: smuggle(payment=Payment.objects.earliest("pk")),
    "a gift entry for a sold order": lambda: smuggle(
        order=Order.objects.filter(amount__gt=0).earliest("pk")
    ),
    "an unknown entry of a payout": paid_into_transit,
    "an unknown entry of a pool": lambda: smuggle(pool=Pool.objects.earliest("pk")),
    "balances of an earlier mode": new_mode,
}

FACTS: dict[str, Corruption] = {
    "payment: more captured": change(Payment, _SOLD, captured=2000, amount=2000),
    "payment: another fee": change(Payment, _SOLD, fee=5),
    "payment: marked as duplicate": change(Payment, _SOLD, disposition="duplicate"),
    "payment: marked as unmatched": change(Payment, _SOLD, disposition="unmatched"),
    "payment: another currency": change(Payment, _SOLD, currency="EUR"),
    "payment: another gateway": change(Payment, _SOLD, gateway="stripe"),
    "payment: of another order": to_another_order,
    "payment: less recognised": change(Payment, {"recognised__gt": 0}, recognised=1),
    "payment: a duplicate is applied": change(
        Payment, {"disposition": "unmatched"}, disposition="duplicate"
    ),
    "refund: gone": drop(Refund, status="succeeded"),
    "refund: larger": change(Refund, {"amount": 500}, amount=501),
    "refund: more than the payment": change(Refund, {"amount": 500}, amount=5000),
    "refund: did not succeed": change(Refund, {"status": "succeeded"}, status="failed"),
    "refund: unknown to the gateway": lambda: Refund.objects.create(
        payment=Payment.objects.filter(order__status="paid").earliest("pk"),
        amount=1,
        status="succeeded",
    ),
    "dispute: gone": drop(Dispute, withdrawn__gt=F("reinstated")),
    "dispute: more withdrawn": lambda: first(Dispute).update(withdrawn=F("withdrawn") + 1),
    "dispute: reinstated": lambda: first(Dispute, reinstated=0).update(reinstated=1),
    "dispute: another fee": lambda: first(Dispute).update(fee=F("fee") + 1),
    "dispute: lost without a trace": change(Dispute, {"reinstated": 0}, status="lost"),
    "exchange: gone": drop(Conversion),
    "exchange: another amount": lambda: first(Conversion).update(amount=MORE),
    "exchange: another fee": change(Conversion, {}, fee=8),
    "exchange: another currency": change(Conversion, {}, currency="GBP"),
    "exchange: more presented": lambda: first(Conversion).update(presented=F("presented") + 1),
    "order: another fee": change(Order, _BOUGHT, fee_bps=100),
    "order: another creator": lambda: first(Order, **_BOUGHT).update(
        creator=another_creator().owner_id
    ),
    "order: another discount": change(Order, {"coupon__code": "HALF"}, discount=1, amount=1998),
    "order: its coupon is gone": change(Order, {"coupon__code": "HALF"}, coupon=None),
    "order: another buyer of what was paid twice": lambda: Order.objects.filter(
        payments__disposition="duplicate"
    ).update(buyer=Order.objects.latest("pk").buyer_id),
    "gift: its coupon is gone": change(Order, {"coupon__code": "FREE"}, coupon=None),
    "gift: taken back": change(Order, {"coupon__code": "FREE"}, status="refunded"),
    "gift: another fee": change(Order, {"coupon__code": "FREE"}, fee_bps=1),
    "gift: never paid": change(Order, {"coupon__code": "FREE"}, status="expired", paid_at=None),
    **{
        f"order: {old} marked as {new}": change(Order, {"status": old, "amount__gt": 0}, status=new)
        for old, new in (
            *(("refunded", "paid"), ("paid", "refunded"), ("disputed", "paid")),
            *(("paid", "disputed"), ("paid", "dispute_lost"), ("paid", "expired")),
        )
    },
    "invoice: another fee": change(Invoice, {"status": "paid"}, fee_bps=1),
    "invoice: less recognised": change(Invoice, {"recognised__gt": 0}, recognised=1),
    "invoice: paid, but open": change(Invoice, {"status": "paid"}, status="open"),
    "entitlement: of a buyer, revoked": revoke("order"),
    "entitlement: gone": drop(Entitlement, source_type="order", revoked_at=None),
    "entitlement: of a refunded order": change(
        Entitlement, {"source_type": "order", "revoked_at__isnull": False}, revoked_at=None
    ),
    "entitlement: of another user": lambda: first(
        Entitlement, source_type="order", revoked_at=None
    ).update(user=other_user()),
    "entitlement: to another video": lambda: first(
        Entitlement, source_type="order", revoked_at=None
    ).update(video=Order.objects.latest("pk").video_id),
    "entitlement: to every video": change(
        Entitlement, {"source_type": "order", "revoked_at": None}, video=None
    ),
    "entitlement: without an order": lambda: entitle(source_type="order"),
    "entitlement: of a subscriber, revoked": revoke("subscription"),
    "entitlement: of a former subscriber": change(
        Entitlement, {"source_type": "subscription", "revoked_at__isnull": False}, revoked_at=None
    ),
    "entitlement: of a subscriber, to another user": lambda: first(
        Entitlement, source_type="subscription", revoked_at=None
    ).update(user=Order.objects.earliest("pk").buyer),
    "entitlement: without a subscription": lambda: entitle(source_type="subscription"),
    "subscription: marked as expired": change(Subscription, {"status": "active"}, status="expired"),
    "subscription: marked as duplicate": change(
        Subscription, {"status": "active"}, disposition="duplicate"
    ),
    "share: smaller": lambda: first(PoolShare).update(amount=LESS),
    "share: gone": drop(PoolShare),
    "share: of another creator": lambda: first(PoolShare).update(creator=other_user()),
    "share: one too many": lambda: PoolShare.objects.create(
        pool=Pool.objects.earliest("pk"), creator_id=other_user(), seconds=1, amount=1
    ),
    "pool: larger": lambda: Pool.objects.update(amount=MORE),
    "payout: larger": lambda: first(Payout, status="draft").update(amount=MORE),
    "payout: of another creator": lambda: first(Payout, status="draft").update(
        creator=other_user()
    ),
    **{
        f"payout: {old} marked as {new}": change(Payout, {"status": old}, status=new)
        for old, new in (("draft", "paid"), ("paid", "failed"), ("failed", "draft"))
    },
}
