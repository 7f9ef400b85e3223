from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from config.ids import uuid7
from payments.models.buying import Order


class Payment(models.Model):
    """The facts about one payment at a gateway. They only grow.

    At most one payment of an order is ``applied``; an invoice may be paid in several parts. A payment
    beside them is a ``duplicate`` and is refunded automatically. One that belongs to no order or
    invoice, or pays more than its invoice asks for, is ``unmatched``: its money is in suspense until
    a person decides. All amounts are minor units.
    """

    class Status(models.TextChoices):
        CREATED = "created", "created"
        REQUIRES_ACTION = "requires_action", "waiting for the buyer's bank"
        PROCESSING = "processing", "processing"
        CAPTURED = "captured", "captured"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    class Disposition(models.TextChoices):
        NONE = "none", "nothing captured yet"
        APPLIED = "applied", "pays its order or invoice"
        DUPLICATE = "duplicate", "duplicate: is sent back"
        UNMATCHED = "unmatched", "pays no order or invoice: in suspense"

    # The money of such a payment waits until it is sent back, or until a person decides.
    PAYS_NOTHING = (Disposition.DUPLICATE, Disposition.UNMATCHED)

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
    fee = models.BigIntegerField("gateway fee in minor units", default=0)
    # The end of the hold on the creator's part: fixed at the capture.
    available_on = models.DateTimeField(null=True)
    status = models.CharField(max_length=16, choices=Status, default=Status.CREATED)
    disposition = models.CharField(max_length=12, choices=Disposition, default=Disposition.NONE)
    # The part of the invoice's recognised amount that is this payment's.
    recognised = models.BigIntegerField(default=0)
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
            models.CheckConstraint(
                name="payment_captured", condition=Q(captured__gte=0, captured__lte=F("amount"))
            ),
            models.CheckConstraint(name="payment_fee", condition=Q(fee__gte=0)),
            models.CheckConstraint(
                name="payment_recognised",
                condition=Q(recognised__gte=0, recognised__lte=F("captured")),
            ),
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
        return sum(row.amount for row in self.refunds.all() if row.status in Refund.COUNTS)

    def disputed(self) -> int:
        """Return the amount that buyers' banks hold because of disputes, in minor units."""
        return sum(row.withdrawn - row.reinstated for row in self.disputes.all())

    def gone_back(self) -> int:
        """Return the amount that was refunded or is held by banks, in minor units."""
        return self.refunded() + self.disputed()

    def requested_back(self) -> int:
        """Return the sum of the refunds that the gateway has not answered yet, in minor units."""
        requested = Refund.Status.REQUESTED
        return sum(row.amount for row in self.refunds.all() if row.status == requested)

    def refundable(self) -> int:
        """Return the part that can still be refunded, in minor units; below 0 if too much went back."""
        return self.captured - self.gone_back() - self.requested_back()

    def has_undecided_dispute(self) -> bool:
        """Tell whether a bank holds money for a dispute that it has not decided yet."""
        return self.disputed() > 0 and self.disputes.undecided().exists()

    def has_lost_dispute(self) -> bool:
        """Tell whether a bank has decided a dispute and kept money."""
        return self.disputed() > 0 and self.disputes.lost().exists()


class Refund(models.Model):
    """Money of a payment that is given back, or requested to be; the amount is in minor units.

    It counts in the books while it is pending or succeeded.
    """

    class Status(models.TextChoices):
        REQUESTED = "requested", "requested"
        PENDING = "pending", "under way"
        SUCCEEDED = "succeeded", "succeeded"
        FAILED = "failed", "failed"
        CANCELED = "canceled", "canceled"

    # The status only rises: an answer that is older than the last one changes nothing.
    RANK: ClassVar[dict[str, int]] = {
        Status.REQUESTED: 0,
        Status.PENDING: 1,
        Status.SUCCEEDED: 2,
        Status.FAILED: 3,
        Status.CANCELED: 3,
    }
    COUNTS = (Status.PENDING, Status.SUCCEEDED)
    # The reasons that the service itself gives. A reason is free text: administrators write their own.
    BY_BUYER = "asked for by the buyer"
    ON_ADMIN_SITE = "admin site"
    PAID_TWICE = "paid twice"
    PAYS_NOTHING = "pays nothing"
    NOT_KEPT = "pre-order that was not kept"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    # NULL until the gateway has answered the request.
    external_id = models.CharField(max_length=120, null=True)  # noqa: DJ001
    amount = models.BigIntegerField()
    status = models.CharField(max_length=12, choices=Status, default=Status.REQUESTED)
    reason = models.CharField(max_length=200, blank=True)
    by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The moment at which it began to count: that of its journal entry.
    counted_at = models.DateTimeField(null=True)
    # The Idempotency-Key of the request for it: a repeat of the request is no second refund.
    request_key = models.CharField(max_length=255, blank=True)
    # True for the refund of a duplicate payment, which no person requests.
    is_automatic = models.BooleanField(default=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "external_id"], name="refund_once"),
            models.CheckConstraint(name="refund_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [
            # Refunds that the follow-ups request at their gateway.
            models.Index(
                fields=["created_at"], name="refund_unheard", condition=Q(status="requested")
            ),
        ]

    def __str__(self):
        return f"refund of {self.payment_id} ({self.status})"

    @property
    def key(self) -> str:
        """The idempotency key of the request to the gateway, the same for every repeat."""
        return f"refund:{self.pk}"


class DisputeQuerySet(models.QuerySet["Dispute"]):
    """Disputes for which the bank holds money, by its decision.

    One that was won and returned a part only, such as after a change of currencies, is neither.
    """

    HELD = Q(withdrawn__gt=F("reinstated"))

    def undecided(self) -> Self:
        """Return the open disputes, and those that were won while their money is on its way."""
        on_its_way = Q(status=Dispute.Status.WON, reinstated=0)
        return self.filter(self.HELD, Q(status__in=Dispute.OPEN) | on_its_way)

    def lost(self) -> Self:
        """Return the disputes that are over, and for which the bank keeps money."""
        return self.filter(self.HELD, status__in=[Dispute.Status.LOST, Dispute.Status.CLOSED])


class Dispute(models.Model):
    """A bank's claim to take a payment's money back; all amounts are in minor units.

    The books follow ``withdrawn`` (taken by the bank), ``reinstated`` (given back by it) and ``fee``,
    which only rise. ``amount`` and the status are for people to read.
    """

    class Status(models.TextChoices):
        WARNING = "warning", "inquiry: no money has moved"
        NEEDS_RESPONSE = "needs_response", "needs a response"
        UNDER_REVIEW = "under_review", "under review"
        WON = "won", "won"
        LOST = "lost", "lost"
        CLOSED = "closed", "inquiry that is over: no money has moved"

    # The bank has not decided yet.
    OPEN = (Status.WARNING, Status.NEEDS_RESPONSE, Status.UNDER_REVIEW)

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
    # How often evidence was submitted at the gateway, also on its own pages.
    submissions = models.PositiveIntegerField("evidence submitted", default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    withdrawn_at = models.DateTimeField(null=True)

    objects = DisputeQuerySet.as_manager()

    class Meta:
        permissions = [("answer_dispute", "Can submit evidence against a dispute")]
        constraints = [
            models.UniqueConstraint(fields=["payment", "external_id"], name="dispute_once"),
            models.CheckConstraint(
                name="dispute_amounts",
                condition=Q(reinstated__gte=0, reinstated__lte=F("withdrawn"), fee__gte=0),
            ),
        ]

    def __str__(self):
        return f"dispute of {self.payment_id} ({self.status})"


class DisputeEvidence(models.Model):
    """What this service answers to a dispute: texts and files, by the names of the gateway's fields.

    A draft can change until it is submitted. The files lie at the gateway: ``files`` holds the id, the
    name and the size in bytes of each.
    """

    class Status(models.TextChoices):
        DRAFT = "draft", "draft"
        SUBMITTING = "submitting", "being submitted"
        SUBMITTED = "submitted", "submitted"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    dispute = models.OneToOneField(Dispute, on_delete=models.PROTECT, related_name="evidence")
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    texts = models.JSONField(default=dict)
    files = models.JSONField(default=dict)
    # Submissions that the gateway refused: the next one needs another idempotency key.
    attempt = models.PositiveIntegerField(default=0)
    submitted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    submitted_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        verbose_name_plural = "dispute evidence"
        indexes = [
            # For the follow-ups that submit it at the gateway.
            models.Index(
                fields=["changed_at"],
                name="evidence_submitting",
                condition=Q(status="submitting"),
            ),
        ]

    def __str__(self):
        return f"evidence for {self.dispute_id} ({self.status})"

    @property
    def key(self) -> str:
        """The idempotency key of the submission, the same for every repeat."""
        return f"evidence:{self.pk}:{self.attempt}"

    @property
    def fields(self) -> dict[str, str]:
        """The gateway's fields: the texts, and the ids of the files."""
        return {**self.texts, **{name: file["id"] for name, file in self.files.items()}}


class Conversion(models.Model):
    """One movement of a payment's money on its gateway's balance, which is in another currency.

    The gateway has exchanged the money at its own rate. ``amount`` and ``fee`` are minor units of
    ``currency``, ``presented`` those of the payment's currency; money that goes out is negative.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="conversions")
    external_id = models.CharField(max_length=120)
    currency = models.CharField(max_length=3)
    amount = models.BigIntegerField()
    fee = models.BigIntegerField(default=0)
    presented = models.BigIntegerField()
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["payment", "external_id"], name="conversion_once"),
        ]

    def __str__(self):
        return f"conversion of {self.payment_id} into {self.currency}"


class GatewayCustomer(models.Model):
    """A gateway's own record of a user, which stores the user's cards there."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    gateway = models.CharField(max_length=20)
    external_id = models.CharField(max_length=120)
    # How often the record was made anew, because it was gone at the gateway.
    renewals = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "gateway"], name="customer_of_user"),
            models.UniqueConstraint(fields=["gateway", "external_id"], name="customer_once"),
        ]

    def __str__(self):
        return self.external_id
