from django.conf import settings
from django.db import models
from django.db.models import BigIntegerField, F, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce
from django.utils import timezone

from config.ids import uuid7
from payments.models.buying import Order
from payments.models.settling import Payment


class LedgerAccount(models.Model):
    """A place where money is, or is owed: one currency, one kind."""

    class Kind(models.TextChoices):
        ASSET = "asset", "asset"
        LIABILITY = "liability", "liability"
        INCOME = "income", "income"
        EXPENSE = "expense", "expense"

    code = models.CharField(max_length=80, unique=True)
    role = models.CharField("first word of the code", max_length=20, default="")
    kind = models.CharField(max_length=10, choices=Kind)
    owner = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    currency = models.CharField(max_length=3)

    class Meta:
        indexes = [
            models.Index(fields=["owner", "currency"], name="account_of_owner"),
            models.Index(fields=["role", "currency"], name="account_of_role"),
        ]

    def __str__(self):
        return self.code


class JournalEntry(models.Model):
    """One event in the books. Written once; its key makes sure that it is written only once."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    key = models.CharField(max_length=120, unique=True)
    kind = models.CharField(max_length=30)
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
        help_text="Only where there is no payment: an order that cost nothing.",
    )  # fmt: skip
    effective_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "journal entries"
        indexes = [models.Index(fields=["-effective_at", "-id"], name="entry_newest")]

    def __str__(self):
        return self.key


class Transfer(models.Model):
    """One amount, from one account to another: an unbalanced entry cannot be written down.

    The database also holds that both accounts have the transfer's currency, and that no transfer is
    ever changed or deleted (`payments.ledger.protection`).
    """

    entry = models.ForeignKey(JournalEntry, on_delete=models.PROTECT, related_name="transfers")
    debit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="debits")
    credit = models.ForeignKey(LedgerAccount, on_delete=models.PROTECT, related_name="credits")
    amount = models.BigIntegerField("amount in minor units")
    currency = models.CharField(max_length=3)
    # From when a creator's credit may be paid out; what reverses it has the same. Null: at once.
    available_on = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(name="transfer_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(name="transfer_moves", condition=~Q(debit=F("credit"))),
        ]

    def __str__(self):
        return f"{self.debit_id} → {self.credit_id}: {self.amount} {self.currency}"


def with_balance(accounts: QuerySet[LedgerAccount]) -> QuerySet[LedgerAccount]:
    """Each with its ``balance``: credits minus debits, in minor units."""
    return accounts.annotate(balance=_total("credit") - _total("debit"))


def _total(side: str) -> Coalesce:
    return _sum(Transfer.objects.filter(**{side: OuterRef("pk")}).values(side), Sum("amount"))


def _sum(grouped, total: Sum) -> Coalesce:
    found = grouped.order_by().annotate(total=total).values("total")
    return Coalesce(Subquery(found, output_field=BigIntegerField()), 0)


class LedgerCheck(models.Model):
    """What ``verify_ledger`` found."""

    started_at = models.DateTimeField(default=timezone.now)
    seconds = models.FloatField(default=0)
    payments = models.PositiveBigIntegerField("payments checked", default=0)
    discrepancies = models.PositiveBigIntegerField(default=0)
    first = models.CharField("the first discrepancy", max_length=500, blank=True)

    class Meta:
        indexes = [models.Index(fields=["-started_at"], name="ledger_check_newest")]

    def __str__(self):
        return "the books are right" if not self.discrepancies else self.first
