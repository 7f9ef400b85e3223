from django.conf import settings
from django.db import models
from django.db.models import F, Q, Sum
from django.utils import timezone

from config.ids import uuid7
from payments.models.buying import Order


class Payment(models.Model):
    """Facts about one payment at the gateway. They only ever grow.

    Exactly one payment of an order or invoice is ``applied``. What was paid beside it is a
    ``duplicate`` and goes back by itself; money that fits nothing is ``unmatched`` and waits in
    suspense for a person.
    """

    class Status(models.TextChoices):
        CREATED = "created", "created"
        REQUIRES_ACTION = "requires_action", "the bank wants authentication"
        PROCESSING = "processing", "processing"
        CAPTURED = "captured", "captured"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    class Disposition(models.TextChoices):
        NONE = "none", "nothing captured yet"
        APPLIED = "applied", "pays its order or invoice"
        DUPLICATE = "duplicate", "paid beside another: goes back"
        UNMATCHED = "unmatched", "pays nothing: in suspense"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    gateway = models.CharField(max_length=20)
    external_id = models.CharField(max_length=120)
    order = models.ForeignKey(Order, on_delete=models.PROTECT, null=True, related_name="payments")
    invoice = models.ForeignKey(
        "payments.Invoice", on_delete=models.PROTECT, null=True, related_name="payments"
    )
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    captured = models.BigIntegerField(default=0)
    captured_at = models.DateTimeField(null=True)
    fee = models.BigIntegerField("what the gateway kept", default=0)
    # When the creator's part may be paid out: fixed when it was captured.
    available_on = models.DateTimeField(null=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED)
    disposition = models.CharField(max_length=12, choices=Disposition, default=Disposition.NONE)
    entries_booked = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["gateway", "external_id"], name="payment_once"),
            models.UniqueConstraint(
                fields=["order"],
                name="payment_applied_to_order",
                condition=Q(disposition="applied"),
            ),
            models.UniqueConstraint(
                fields=["invoice"],
                name="payment_applied_to_invoice",
                condition=Q(disposition="applied"),
            ),
            models.CheckConstraint(
                name="payment_captured", condition=Q(captured__gte=0, captured__lte=F("amount"))
            ),
            models.CheckConstraint(name="payment_fee", condition=Q(fee__gte=0)),
            models.CheckConstraint(
                name="payment_for_one_thing",
                condition=Q(order__isnull=True) | Q(invoice__isnull=True),
            ),
        ]
        indexes = [models.Index(fields=["captured_at"], name="payment_captured_at")]

    def __str__(self):
        return f"{self.gateway} {self.external_id} ({self.status})"

    def refunded(self) -> int:
        """Return the sum of the refunds that are under way or have succeeded, in minor units."""
        counting = self.refunds.filter(status__in=Refund.COUNTS)
        return counting.aggregate(total=Sum("amount"))["total"] or 0

    def disputed(self) -> int:
        """Return the amount that buyers' banks hold because of disputes, in minor units."""
        held = self.disputes.aggregate(total=Sum(F("withdrawn") - F("reinstated")))
        return held["total"] or 0


class Refund(models.Model):
    """Money given back, or asked to be. Pending and succeeded ones count."""

    class Status(models.TextChoices):
        REQUESTED = "requested", "asked for"
        PENDING = "pending", "under way"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    # A later fact never falls back to an earlier one.
    RANK = {
        Status.REQUESTED: 0,
        Status.PENDING: 1,
        Status.SUCCEEDED: 2,
        Status.FAILED: 3,
        Status.CANCELED: 3,
    }
    COUNTS = (Status.PENDING, Status.SUCCEEDED)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    # Unknown until the gateway has answered.
    external_id = models.CharField(max_length=120, null=True)  # noqa: DJ001
    amount = models.BigIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.REQUESTED)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # When it began to count; the books' entry has the same moment.
    counted_at = models.DateTimeField(null=True)
    # What was paid twice goes back without anybody's asking.
    is_automatic = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "external_id"], name="refund_once"),
            models.CheckConstraint(name="refund_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            # Refunds whose outcome nobody has heard.
            models.Index(
                fields=["created_at"], name="refund_unheard", condition=Q(status="requested")
            ),
        ]

    def __str__(self):
        return f"refund of {self.payment_id} ({self.status})"

    @property
    def key(self) -> str:
        """What the gateway knows it by, however often it is asked."""
        return f"refund:{self.pk}"


class Dispute(models.Model):
    """A buyer's bank takes money back. Only the two amounts move the books; both only ever rise."""

    class Status(models.TextChoices):
        WARNING = "warning", "inquiry: no money has moved"
        NEEDS_RESPONSE = "needs_response", "needs a response"
        UNDER_REVIEW = "under_review", "under review"
        WON = "won", "won"
        LOST = "lost", "lost"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="disputes")
    external_id = models.CharField(max_length=120)
    amount = models.BigIntegerField()
    withdrawn = models.BigIntegerField(default=0)
    reinstated = models.BigIntegerField(default=0)
    fee = models.BigIntegerField(default=0)
    status = models.CharField(max_length=16, choices=Status, default=Status.WARNING)
    reason = models.CharField(max_length=60, blank=True)
    evidence_due = models.DateTimeField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "external_id"], name="dispute_once"),
            models.CheckConstraint(
                name="dispute_amounts",
                condition=Q(reinstated__gte=0, reinstated__lte=F("withdrawn"), fee__gte=0),
            ),
        ]

    def __str__(self):
        return f"dispute of {self.payment_id} ({self.status})"


class GatewayCustomer(models.Model):
    """Under which name a gateway knows a user."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    gateway = models.CharField(max_length=20)
    external_id = models.CharField(max_length=120)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "gateway"], name="customer_of_user"),
            models.UniqueConstraint(fields=["gateway", "external_id"], name="customer_once"),
        ]

    def __str__(self):
        return self.external_id
