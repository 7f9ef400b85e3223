from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Upper
from django.utils import timezone

from config import money
from config.ids import uuid7
from config.texts import validate_name
from payments.models.buying import Order


class Coupon(models.Model):
    """A code that reduces the price of orders by a percentage, or by an amount in one currency.

    If the creator funds it, creator and platform split the reduced price. If the platform funds it,
    the creator gets the share of the full price.
    """

    class Funding(models.TextChoices):
        CREATOR = "creator", "the creator"
        PLATFORM = "platform", "the platform"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.CharField(
        max_length=40,
        validators=[
            RegexValidator(
                r"\A[A-Za-z0-9_-]{2,40}\Z", "Use 2 to 40 letters, digits, hyphens or underscores."
            )
        ],
        help_text="The code that buyers enter. Upper and lower case mean the same.",
    )
    percent_bps = models.PositiveIntegerField(
        "percent, in 1/100",
        null=True,
        blank=True,
        validators=[MaxValueValidator(10_000)],
        help_text="2500 is 25 %, 10000 is free. Give either a percentage or an amount.",
    )
    amount = models.BigIntegerField(
        "amount in minor units", null=True, blank=True, help_text="500 is 5.00 USD."
    )
    currency = models.CharField(
        max_length=3,
        blank=True,
        help_text="The currency of the amount. Leave it empty for a percentage.",
    )
    funded_by = models.CharField(max_length=8, choices=Funding, default=Funding.PLATFORM)
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Limits the coupon to this creator's videos. Required if the creator funds it.",
    )
    max_redemptions = models.PositiveIntegerField(
        null=True,
        blank=True,
        help_text="How many times the coupon can be used in all. Empty means no limit.",
    )
    per_user = models.PositiveIntegerField(
        default=1, help_text="How many times one buyer can use the coupon."
    )
    redeemed = models.PositiveIntegerField("reserved or used", default=0, editable=False)
    starts_at = models.DateTimeField(default=timezone.now)
    ends_at = models.DateTimeField(null=True, blank=True)
    is_active = models.BooleanField(default=True)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(Upper("code"), name="coupon_code_once"),
            models.CheckConstraint(
                name="coupon_limit",
                condition=Q(max_redemptions__isnull=True) | Q(redeemed__lte=F("max_redemptions")),
            ),
            models.CheckConstraint(
                name="coupon_percent_or_amount",
                condition=Q(
                    percent_bps__isnull=False,
                    percent_bps__gt=0,
                    percent_bps__lte=10_000,
                    amount__isnull=True,
                )
                | Q(percent_bps__isnull=True, amount__isnull=False, amount__gt=0),
            ),
            models.CheckConstraint(
                name="coupon_creator_pays",
                condition=~Q(funded_by="creator") | Q(creator__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return self.code

    def clean(self) -> None:
        errors = {}
        if (self.percent_bps is None) == (self.amount is None):
            errors["percent_bps"] = "Give either a percentage or an amount."
        elif self.percent_bps == 0:
            errors["percent_bps"] = "The percentage must be above zero."
        if self.amount is not None and self.amount <= 0:
            errors["amount"] = "The amount must be above zero."
        elif self.amount is not None and self.amount > money.MAX_MINOR:
            errors["amount"] = "This amount is too large."
        if self.amount is not None and self.currency not in money.EXPONENTS:
            errors["currency"] = "This currency is not supported. Choose another one."
        if self.funded_by == self.Funding.CREATOR and self.creator is None:
            errors["creator"] = "Name the creator who funds the coupon."
        if self.ends_at is not None and self.starts_at and self.ends_at <= self.starts_at:
            errors["ends_at"] = "The end must be after the start."
        if errors:
            raise ValidationError(errors)


class CouponRedemption(models.Model):
    """One use of a coupon: reserved with the order, used when it is paid, released otherwise."""

    class State(models.TextChoices):
        RESERVED = "reserved", "reserved"
        USED = "used", "used"
        RELEASED = "released", "released"

    coupon = models.ForeignKey(Coupon, on_delete=models.PROTECT, related_name="redemptions")
    order = models.OneToOneField(Order, on_delete=models.PROTECT, related_name="redemption")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=8, choices=State, default=State.RESERVED)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        indexes = [models.Index(fields=["coupon", "user"], name="redemption_of_user")]

    def __str__(self) -> str:
        return f"{self.coupon_id} for {self.order_id} ({self.state})"


class Plan(models.Model):
    """A subscription that can be bought. Its price never changes: a new price is a new plan."""

    class Interval(models.TextChoices):
        MONTH = "month", "a month"
        YEAR = "year", "a year"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    code = models.SlugField(max_length=40, unique=True)
    name = models.CharField(max_length=80, validators=[validate_name])
    amount = models.BigIntegerField("price in minor units")
    currency = models.CharField(max_length=3)
    interval = models.CharField(max_length=8, choices=Interval, default=Interval.MONTH)
    trial_days = models.PositiveSmallIntegerField("free days before the first payment", default=0)
    max_streams = models.PositiveSmallIntegerField(
        "simultaneous streams",
        null=True,
        blank=True,
        help_text="How many videos a subscriber can play at once; 0 means no limit. Empty means"
        " MAX_CONCURRENT_STREAMS.",
    )
    is_active = models.BooleanField("can be subscribed to", default=True)
    # The plan's id at each gateway: {"stripe": "price_…"}.
    gateway_refs = models.JSONField(default=dict, blank=True, editable=False)
    created_at = models.DateTimeField(default=timezone.now, editable=False)

    class Meta:
        constraints = [models.CheckConstraint(name="plan_positive", condition=Q(amount__gt=0))]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        if self.currency not in money.EXPONENTS:
            raise ValidationError(
                {"currency": "This currency is not supported. Choose another one."}
            )
