from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from config.ids import uuid7
from payments.models.buying import Payable
from payments.models.offers import Plan


class Subscription(Payable):
    """One user's agreement to pay for a plan, which lets them watch every video while it is paid.

    The gateway bills it. This row holds the latest state that the gateway has reported.
    """

    class Status(models.TextChoices):
        INCOMPLETE = "incomplete", "waiting for the first payment"
        TRIALING = "trialing", "in the free days of its plan"
        ACTIVE = "active", "active"
        PAST_DUE = "past_due", "renewal is not paid yet"
        PAUSED = "paused", "paused"
        CANCELED = "canceled", "canceled"
        EXPIRED = "expired", "expired"
        INCOMPLETE_EXPIRED = "incomplete_expired", "never paid"

    class Disposition(models.TextChoices):
        PRIMARY = "primary", "the user's subscription"
        DUPLICATE = "duplicate", "a second one of the user: it is ended and refunded"

    RUNNING = (Status.TRIALING, Status.ACTIVE, Status.PAST_DUE, Status.PAUSED)
    OPEN = (Status.INCOMPLETE,)
    LIVE = OPEN + RUNNING
    CHARGEABLE = CHARGING = Status.INCOMPLETE
    KEY_PREFIX = "sub"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="subscriptions"
    )
    plan = models.ForeignKey(Plan, on_delete=models.PROTECT, related_name="subscriptions")
    # The plan of the next period, after a change to a cheaper plan.
    next_plan = models.ForeignKey(Plan, on_delete=models.PROTECT, null=True, related_name="+")
    # The gateway's id of the subscription, empty until the gateway has created it.
    external_id = models.CharField(max_length=120, null=True)  # noqa: DJ001
    status = models.CharField(max_length=20, choices=Status, default=Status.INCOMPLETE)
    disposition = models.CharField(max_length=10, choices=Disposition, default=Disposition.PRIMARY)
    period_start = models.DateTimeField(null=True)
    period_end = models.DateTimeField(null=True)
    cancel_at_period_end = models.BooleanField(default=False)
    # True from the deactivation of the user until the gateway ends the subscription with its period.
    must_not_renew = models.BooleanField(default=False)
    # The user who has asked the gateway for a change that is not applied here yet, for its audit entry.
    changing_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    past_due_since = models.DateTimeField(null=True)
    grace_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    # True once the gateway bills nothing more. A follow-up cancels an ended subscription there.
    closed_at_gateway = models.BooleanField(default=False)
    # A status may go back and forth, so that answers of the gateway cannot be merged. Each question
    # takes the next number, and only the answer to the highest number is applied.
    sync_ticket = models.PositiveBigIntegerField(default=0)
    applied_ticket = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        permissions = [("cancel_any_subscription", "Can cancel every subscription")]
        constraints = [
            models.UniqueConstraint(
                fields=["user"],
                name="subscription_live",
                condition=Q(
                    disposition="primary",
                    status__in=["incomplete", "trialing", "active", "past_due", "paused"],
                ),
            ),
            models.UniqueConstraint(fields=["gateway", "external_id"], name="subscription_once"),
            models.CheckConstraint(
                name="subscription_period",
                condition=Q(period_end__isnull=True) | Q(period_end__gt=F("period_start")),
            ),
            models.CheckConstraint(
                name="subscription_active_has_period",
                condition=~Q(status="active") | Q(period_end__isnull=False),
            ),
            models.CheckConstraint(
                name="subscription_past_due_has_grace",
                condition=~Q(status="past_due") | Q(grace_until__isnull=False),
            ),
        ]
        indexes = [
            # For the follow-ups that cancel ended subscriptions at the gateway.
            models.Index(
                fields=["status"],
                name="subscription_to_close",
                condition=Q(external_id__isnull=False, closed_at_gateway=False),
            ),
            # For the follow-ups that end the subscriptions of deactivated users.
            models.Index(
                fields=["status"],
                name="subscription_must_not_renew",
                condition=Q(must_not_renew=True),
            ),
            # For the job that ends lapsed subscriptions.
            models.Index(
                fields=["period_end"],
                name="subscription_running",
                condition=Q(status__in=["trialing", "active", "past_due"]),
            ),
        ]

    def __str__(self) -> str:
        return f"subscription of {self.user_id} ({self.status})"

    @property
    def payer(self) -> User:
        """The subscriber."""
        return self.user

    @property
    def hosted_invoice_url(self) -> str | None:
        """The page on which the latest open invoice is paid or confirmed; None if it must not be."""
        payable = {self.Status.INCOMPLETE, self.Status.ACTIVE, self.Status.PAST_DUE}
        if self.status not in payable:  # an active one may wait for the payment of an upgrade
            return None
        invoice = self.invoices.filter(status=Invoice.Status.OPEN).order_by("-period_start").first()
        return invoice.hosted_invoice_url if invoice else None

    @property
    def is_at_gateway(self) -> bool:
        """True once the gateway has this subscription: then no checkout is offered beside it."""
        return self.external_id is not None


class Invoice(models.Model):
    """One period of a subscription that the gateway has billed. Amounts are in minor units.

    ``amount`` is what the gateway asks for: until the invoice is paid, a credit note or the customer's
    balance at the gateway can change it. Several payments may pay it. ``recognised`` is the part of
    their money that was earned until the end of the day ``recognised_upto`` (UTC). The other part is
    deferred.
    """

    class Status(models.TextChoices):
        OPEN = "open", "waiting for payment"
        PAID = "paid", "paid"
        VOID = "void", "void"
        UNCOLLECTIBLE = "uncollectible", "given up by the gateway"

    # The gateway asks for no payment any more.
    GIVEN_UP = (Status.VOID, Status.UNCOLLECTIBLE)

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    subscription = models.ForeignKey(
        Subscription, on_delete=models.PROTECT, related_name="invoices"
    )
    external_id = models.CharField(max_length=120, null=True)  # noqa: DJ001
    period_start = models.DateTimeField()
    period_end = models.DateTimeField()
    amount = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    fee_bps = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status, default=Status.OPEN)
    # The gateway's page on which the subscriber pays the invoice, or confirms its payment at the bank.
    hosted_url = models.CharField(max_length=2000, blank=True)
    paid_at = models.DateTimeField(null=True)
    # The moment at which a cancellation or an upgrade cut the period short.
    ended_early_at = models.DateTimeField(null=True)
    recognised = models.BigIntegerField(default=0)
    recognised_upto = models.DateField(null=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["subscription", "period_start"], name="invoice_period_once"
            ),
            models.UniqueConstraint(fields=["subscription", "external_id"], name="invoice_once"),
            models.CheckConstraint(name="invoice_not_negative", condition=Q(amount__gte=0)),
            models.CheckConstraint(
                name="invoice_period", condition=Q(period_end__gt=F("period_start"))
            ),
            models.CheckConstraint(
                name="invoice_recognised",
                condition=Q(recognised__gte=0, recognised__lte=F("amount")),
            ),
        ]
        indexes = [
            # For the invoices whose period touches a month.
            models.Index(fields=["currency", "period_start"], name="invoice_periods"),
        ]

    def __str__(self) -> str:
        return f"invoice {self.pk} ({self.status})"

    @property
    def hosted_invoice_url(self) -> str | None:
        """The page on which the open invoice is paid or confirmed; None if there is nothing to pay."""
        return self.hosted_url or None if self.status == self.Status.OPEN else None
