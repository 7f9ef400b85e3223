from collections import defaultdict
from typing import Any, Self

from django.conf import settings
from django.db import models
from django.db.models import BigIntegerField, Case, F, OuterRef, Q, QuerySet, Subquery, Sum, When
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce
from django.utils import timezone

from config.ids import uuid7
from payments.models.buying import Order
from payments.models.settling import Payment


class LedgerAccountQuerySet(models.QuerySet["LedgerAccount"]):
    """Ledger accounts, with the sums of their transfers."""

    def with_balance(self) -> Self:
        """Annotate each account with its ``balance``: credits minus debits, in minor units.

        Do not lock the rows in the same query: on PostgreSQL the sums would be as old as the moment at
        which the query began to wait for the lock.
        """
        return self.annotate(
            balance=sum_by("credit", Transfer.objects.all(), F("amount"))
            - sum_by("debit", Transfer.objects.all(), F("amount"))
        )


class LedgerAccount(models.Model):
    """One account of the double-entry books: money held, owed, earned or spent in one currency."""

    class Kind(models.TextChoices):
        ASSET = "asset", "asset"
        LIABILITY = "liability", "liability"
        INCOME = "income", "income"
        EXPENSE = "expense", "expense"
        EQUITY = "equity", "equity"

    class Role(models.TextChoices):
        """The purpose of an account; `payments.ledger.accounts` gives each role its kind."""

        CLEARING = "clearing", "held for us by a gateway"
        # Below zero: the creator owes us, after a refund of money that was paid out.
        CREATOR = "creator", "owed to a creator"
        PLATFORM = "platform", "earned by the platform"
        DEFERRED = "deferred", "subscriptions paid, not yet earned"
        POOL = "pool", "creators' part of subscriptions, not yet shared"
        LOSSES = "losses", "given back beyond the payment"
        FEES = "fees", "kept by the gateways"
        PROMOTIONS = "promotions", "discounts paid by the platform"
        BAD_DEBT = "bad_debt", "debts of creators, written off"
        CUSTOMER_REFUND = "customer_refund", "paid twice, owed to the buyer"
        PAYOUT_TRANSIT = "payout_transit", "set aside for payouts"
        SUSPENSE = "suspense", "belongs to no order or invoice, waits for a decision"
        # Two of them, in two currencies, are the two sides of each exchange.
        FX_TRADING = "fx_trading", "exchanged by a gateway into another currency"

    code = models.CharField(max_length=80, unique=True)
    role = models.CharField(
        max_length=20, choices=Role, default="", help_text="The first word of the code."
    )
    kind = models.CharField(max_length=10, choices=Kind)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    currency = models.CharField(max_length=3)

    objects = LedgerAccountQuerySet.as_manager()
    balance: int  # only on rows of `LedgerAccountQuerySet.with_balance`

    class Meta:
        permissions = [("write_off_debt", "Can write off what a creator owes")]
        indexes = [
            models.Index(fields=["owner", "currency"], name="account_of_owner"),
            models.Index(fields=["role", "currency"], name="account_of_role"),
        ]

    def __str__(self):
        return self.code


class JournalEntry(models.Model):
    """One fact in the books, with its transfers. It is about a payment, an order, a pool or a payout.

    Its ``key`` is unique, so that no fact is booked twice. The database refuses to change or delete an
    entry (`payments.ledger.protection`).
    """

    class Kind(models.TextChoices):
        """The fact that an entry books."""

        CAPTURE = "capture", "payment captured"
        REFUND = "refund", "refund"
        REFUND_REVERSED = "refund_reversed", "refund that failed"
        DISPUTE = "dispute", "taken back by a bank"
        DISPUTE_REINSTATED = "dispute_reinstated", "returned by a bank"
        FEE = "fee", "gateway's fee"
        ADJUSTMENT = "adjustment", "adjustment"
        GIFT = "gift", "free order, paid by the platform"
        GIFT_REVERSED = "gift_reversed", "free order taken back"
        RECOGNITION = "recognition", "subscription earned"
        POOL = "pool", "pool shared"
        PAYOUT = "payout", "payout"
        PAYOUT_RETURNED = "payout_returned", "payout returned"
        WRITE_OFF = "write_off", "debt written off"
        MODE_CLOSED = "mode_closed", "closed with an earlier mode"
        CONVERSION = "conversion", "exchanged into another currency"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=30, choices=Kind)
    payment = models.ForeignKey(
        Payment, on_delete=models.PROTECT, null=True, related_name="entries"
    )
    pool = models.ForeignKey(
        "payments.Pool", on_delete=models.PROTECT, null=True, related_name="entries"
    )
    payout = models.ForeignKey(
        "payments.Payout", on_delete=models.PROTECT, null=True, related_name="entries"
    )
    order = models.ForeignKey(
        Order, on_delete=models.PROTECT, null=True, related_name="entries",
        help_text="Only for an order that cost nothing: it has no payment.",
    )  # fmt: skip
    effective_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "journal entries"
        indexes = [models.Index(fields=["-effective_at", "-id"], name="entry_newest")]

    def __str__(self):
        return self.key


class TransferQuerySet(models.QuerySet["Transfer"]):
    """Transfers and their sums. The *net* of accounts, credits minus debits, is computed only here."""

    def touching(self, **account: object) -> Self:
        """Return the transfers from or to accounts with these fields, annotated with their ``net``.

        A transfer's net on these accounts is its amount if one is credited, minus its amount if one is
        debited, in minor units.

        >>> Transfer.objects.touching(role=Role.CREATOR, owner=user)  # doctest: +SKIP
        """
        credited, debited = _side("credit", account), _side("debit", account)
        return self.filter(credited | debited).annotate(net=net_of(**account))

    def net(self, account: LedgerAccount) -> int:
        """Return credits minus debits of one account over these transfers, in minor units."""
        return self.touching(pk=account.pk).aggregate(total=Sum("net"))["total"] or 0

    def net_by(self, *keys: str, account: tuple[str, ...]) -> dict[tuple, int]:
        """Return credits minus debits in minor units, grouped by fields of transfers and of accounts.

        A key of the result holds the transfers' ``keys`` and then the fields named in ``account`` of
        the account that was credited or debited. One query, for any number of accounts.

        >>> Transfer.objects.net_by("currency", account=("role",))  # doctest: +SKIP
        {("USD", "clearing"): -1999, ("USD", "creator"): 1600, ("USD", "platform"): 399}
        """
        sides = [f"{side}__{field}" for side in ("credit", "debit") for field in account]
        rows = self.order_by().values_list(*keys, *sides).annotate(total=Sum("amount"))
        key_end, credit_end = len(keys), len(keys) + len(account)
        net: defaultdict[tuple, int] = defaultdict(int)
        for *fields, total in rows.iterator(chunk_size=2000):
            key = fields[:key_end]
            net[(*key, *fields[key_end:credit_end])] += total
            net[(*key, *fields[credit_end:])] -= total
        return dict(net)

    def net_by_account(self) -> dict[LedgerAccount, int]:
        """Return credits minus debits by account, in minor units. One query; for few transfers.

        The accounts come in the order in which they were first booked on, so that a repeated booking
        makes its transfers in the same order on every database.
        """
        net: defaultdict[LedgerAccount, int] = defaultdict(int)
        for transfer in self.select_related("debit", "credit").order_by("pk"):
            _add(net, transfer)
        return dict(net)

    def net_by_payment(self) -> dict[Any, dict[LedgerAccount, int]]:
        """Return what `net_by_account` does, for the transfers of each payment by its id. One query."""
        nets: defaultdict[Any, defaultdict[LedgerAccount, int]] = defaultdict(
            lambda: defaultdict(int)
        )
        for transfer in self.select_related("debit", "credit", "entry").order_by("pk"):
            _add(nets[transfer.entry.payment_id], transfer)
        return {payment_id: dict(net) for payment_id, net in nets.items()}


def _add(net: defaultdict[LedgerAccount, int], transfer: "Transfer") -> None:
    net[transfer.credit] += transfer.amount
    net[transfer.debit] -= transfer.amount


def net_of(transfer: str = "", /, **account: object) -> Combinable:
    """Return the expression for the net of a transfer on the accounts with these fields.

    ``transfer`` is the field that leads from the rows of a query to their transfers.
    """
    way = f"{transfer}__" if transfer else ""
    credit, debit = (
        Case(When(_side(f"{way}{side}", account), then=F(f"{way}amount")), default=0)
        for side in ("credit", "debit")
    )
    return credit - debit


def _side(side: str, account: dict[str, object]) -> Q:
    return Q(**{f"{side}__{field}": value for field, value in account.items()})


def sum_by(key: str, rows: QuerySet, amount: Combinable) -> Coalesce:
    """Return a subquery: the sum of ``amount`` over the ``rows`` that refer to the outer row by ``key``.

    It is 0 where there is no such row.
    """
    grouped = rows.filter(**{key: OuterRef("pk")}).order_by().values(key)
    total = grouped.annotate(total=Sum(amount)).values("total")
    return Coalesce(Subquery(total, output_field=BigIntegerField()), 0)


class Transfer(models.Model):
    """One amount, debited from one account and credited to another, so that entries always balance.

    The database refuses a transfer in another currency than its accounts', and refuses to change or
    delete one (`payments.ledger.protection`).
    """

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="transfers")
    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits")
    credit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="credits")
    amount = models.BigIntegerField("amount in minor units")
    currency = models.CharField(max_length=3)
    # The end of the hold on a creator's credit. A transfer that reverses the credit has the same, so
    # that both enter the payable balance at one moment. Null: payable at once.
    available_on = models.DateTimeField(null=True)

    objects = TransferQuerySet.as_manager()

    class Meta:
        constraints = [
            models.CheckConstraint(name="transfer_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="transfer_moves", condition=~Q(debit=F("credit"))),
        ]

    def __str__(self):
        return f"{self.debit_id} → {self.credit_id}: {self.amount} {self.currency}"


class LedgerCheck(models.Model):
    """The result of one run of ``verify_ledger``."""

    started_at = models.DateTimeField(default=timezone.now)
    seconds = models.FloatField(default=0)
    payments = models.PositiveBigIntegerField("payments checked", default=0)
    discrepancies = models.PositiveBigIntegerField(default=0)
    first = models.CharField("the first discrepancy", max_length=500, blank=True)
    first_discrepancies: list[str]  # only on the row that `verify_ledger` returns

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="ledger_check_newest")]

    def __str__(self):
        return self.first if self.discrepancies else "no discrepancies"
