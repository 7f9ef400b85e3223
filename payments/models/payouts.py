"""Monthly statements of creators, and payouts to them."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from config.ids import uuid7


class Statement(models.Model):
    """A creator's earnings and payouts of a closed month in one currency, in writing. Never changed.

    ``body`` is the text that ``sha256`` is the hash of, to the byte.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="statements"
    )
    period = models.CharField(max_length=7, help_text="YYYY-MM")
    currency = models.CharField(max_length=3)
    body = models.TextField("canonical JSON")
    sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["creator", "period", "currency"], name="statement_once"
            ),
        ]

    def __str__(self):
        return f"statement {self.period} {self.currency} of {self.creator_id}"


class Payout(models.Model):
    """Money on its way from a creator's balance to their bank.

    It leaves the balance when the payout is created, and comes back if the payout fails, is canceled, or
    is returned by the creator's bank after it was paid.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "waits for approval"
        APPROVED = "approved", "approved"
        PROCESSING = "processing", "at the bank"
        PAID = "paid", "paid"
        FAILED = "failed", "failed, back in the balance"
        CANCELED = "canceled", "canceled, back in the balance"
        RETURNED = "returned", "returned by the bank, back in the balance"

    IN_FLIGHT = (Status.DRAFT, Status.APPROVED, Status.PROCESSING)
    # The payouts that our bank has paid, at the moment ``settled_at``.
    PAID_OUT = (Status.PAID, Status.RETURNED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="payouts"
    )
    currency = models.CharField(max_length=3)
    amount = models.BigIntegerField("amount in minor units")
    status = models.CharField(max_length=12, choices=Status, default=Status.DRAFT)
    cutoff = models.DateTimeField(
        "earnings available by then",
        help_text="The payout includes the earnings whose hold had ended by this time.",
    )
    # Null: created by the command run_payouts.
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, related_name="+"
    )
    external_ref = models.CharField("the bank's reference", max_length=120, blank=True)
    failure = models.CharField(
        "why it failed, was canceled or came back", max_length=200, blank=True
    )
    return_ref = models.CharField("the bank's reference of the return", max_length=120, blank=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    approved_at = models.DateTimeField(null=True)
    settled_at = models.DateTimeField("paid, failed or canceled", null=True)
    returned_at = models.DateTimeField("returned by the bank", null=True)

    class Meta:
        permissions = [
            ("manage_payouts", "Can create, approve, complete and cancel payouts"),
            ("request_payout", "Can request payouts of their own balance"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["creator", "currency"],
                name="payout_in_flight",
                condition=Q(status__in=["draft", "approved", "processing"]),
            ),
            models.CheckConstraint(name="payout_positive", condition=Q(amount__gt=0)),
            models.CheckConstraint(
                name="payout_returned_has_date",
                condition=Q(status="returned", returned_at__isnull=False)
                | (~Q(status="returned") & Q(returned_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="payout_two_people",
                condition=Q(approved_by__isnull=True)
                | Q(requested_by__isnull=True)
                | ~Q(approved_by=models.F("requested_by")),
            ),
        ]
        indexes = [models.Index(fields=["creator", "-created_at"], name="payout_of_creator")]

    def __str__(self):
        return f"payout {self.pk} ({self.status})"
