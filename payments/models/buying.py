from typing import ClassVar, Self

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import User
from config.ids import uuid7
from videos.models import Video


class Payable(models.Model):
    """An order or a subscription: something that a user pays for through a gateway.

    A card is charged at once, or the user pays on the gateway's checkout.
    """

    # The statuses in which the first payment is still to come.
    OPEN: ClassVar[tuple[str, ...]]
    # The status in which a card may be charged, and the status while a charge is under way.
    CHARGEABLE: ClassVar[str]
    CHARGING: ClassVar[str]
    # The first word of the idempotency keys of charges.
    KEY_PREFIX: ClassVar[str]

    gateway = models.CharField(max_length=20)
    attempt = models.PositiveIntegerField("declined attempts", default=0)
    # The checkout, where the user pays without giving us a card.
    checkout_id = models.CharField(max_length=120, null=True, unique=True)  # noqa: DJ001
    checkout_url = models.CharField(max_length=2000, blank=True)
    checkout_closed = models.BooleanField("checkout is closed", default=False)

    class Meta:
        abstract = True

    @property
    def charge_key(self) -> str:
        """The idempotency key of the next charge. It stays the same until a card is declined."""
        return f"{self.KEY_PREFIX}:{self.pk}:{self.attempt}"

    @property
    def checkout_key(self) -> str:
        """The idempotency key with which a checkout is created; a new one after one that is closed."""
        latest = f":{self.checkout_id}" if self.checkout_id else ""
        return f"checkout:{self.pk}{latest}"


class OrderQuerySet(models.QuerySet["Order"]):
    """Orders, filtered by what they are to reports."""

    def sold(self) -> Self:
        """Return the sales: orders that were paid, whatever happened to the money later.

        A free order is one if the platform paid for it. An order that the creator gave away is none.
        Each counts once, at its ``paid_at``, however often it was paid.
        """
        is_paid_for = Q(amount__gt=0) | Q(coupon__funded_by="platform")
        return self.filter(is_paid_for, paid_at__isnull=False)


class Order(Payable):
    """One buyer's wish to buy or rent one video, at the price and the platform fee of that day."""

    class Kind(models.TextChoices):
        BUY = "buy", "bought"
        RENT = "rent", "rented"

    class Status(models.TextChoices):
        PENDING = "pending", "waiting for payment"
        PROCESSING = "processing", "payment under way"
        PAID = "paid", "paid"
        REFUNDED = "refunded", "refunded"
        DISPUTED = "disputed", "disputed: the buyer's bank is deciding"
        DISPUTE_LOST = "dispute_lost", "dispute lost: the buyer's bank kept money"
        CANCELED = "canceled", "canceled"
        EXPIRED = "expired", "expired"
        SUPERSEDED = "superseded", "another order of the same video was paid"
        VOID = "void", "void: paid with the money of an earlier mode"

    OPEN = (Status.PENDING, Status.PROCESSING)
    BOUGHT = (Status.PAID, Status.DISPUTED)
    # Paid once, and the money went back or is held. The order can become paid again.
    GONE_BACK = (Status.REFUNDED, Status.DISPUTED, Status.DISPUTE_LOST)
    LIVE = OPEN + BOUGHT
    CHARGEABLE, CHARGING = Status.PENDING, Status.PROCESSING
    KEY_PREFIX = "order"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    buyer = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="orders"
    )
    video = models.ForeignKey(Video, on_delete=models.PROTECT, related_name="orders")
    creator = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="sales"
    )
    kind = models.CharField(max_length=4, choices=Kind, default=Kind.BUY)
    rental_hours = models.PositiveIntegerField(null=True)
    coupon = models.ForeignKey(
        "payments.Coupon", on_delete=models.PROTECT, null=True, related_name="orders"
    )
    list_amount = models.BigIntegerField("price in minor units")
    discount = models.BigIntegerField("discount in minor units", default=0)
    amount = models.BigIntegerField("amount to pay in minor units")
    currency = models.CharField(max_length=3)
    fee_bps = models.PositiveIntegerField("platform fee in hundredths of a percent")
    status = models.CharField(max_length=12, choices=Status, default=Status.PENDING)
    created_at = models.DateTimeField(default=timezone.now, editable=False)
    # The start of the latest attempt to pay.
    changed_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()
    paid_at = models.DateTimeField(null=True)
    available_from = models.DateTimeField(
        null=True,
        help_text="Of a pre-order: the moment from which the buyer was promised the video.",
    )
    fulfilled_at = models.DateTimeField(
        null=True, help_text="When the service noted that the pre-ordered video could be watched."
    )
    returning_at = models.DateTimeField(
        null=True, help_text="When the service last tried to give a broken pre-order back."
    )

    objects = OrderQuerySet.as_manager()

    class Meta:
        permissions = [
            ("refund_order", "Can refund any order or invoice"),
            ("view_own_earnings", "Can see what their own videos earned"),
            ("view_revenue", "Can see what the platform earned"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["buyer", "video"],
                name="order_live",
                condition=Q(kind="buy", status__in=["pending", "processing", "paid", "disputed"]),
            ),
            models.UniqueConstraint(
                fields=["buyer", "video"],
                name="order_rent_open",
                condition=Q(kind="rent", status__in=["pending", "processing"]),
            ),
            models.CheckConstraint(
                name="order_amount",
                condition=Q(
                    amount=F("list_amount") - F("discount"), amount__gte=0, discount__gte=0
                ),
            ),
            models.CheckConstraint(
                name="order_rental",
                condition=Q(kind="buy", rental_hours__isnull=True)
                | Q(kind="rent", rental_hours__isnull=False),
            ),
            models.CheckConstraint(name="order_fee", condition=Q(fee_bps__lte=10_000)),
            models.CheckConstraint(name="order_not_own_film", condition=~Q(buyer=F("creator"))),
            models.CheckConstraint(
                name="order_preorder_is_bought",
                condition=Q(available_from__isnull=True) | Q(kind="buy"),
            ),
            models.CheckConstraint(
                name="order_paid_has_date",
                condition=~Q(status__in=["paid", "refunded", "dispute_lost"])
                | Q(paid_at__isnull=False),
            ),
        ]
        indexes = [
            models.Index(fields=["buyer", "-created_at", "-id"], name="order_by_buyer"),
            # For the sales of one creator in a period.
            models.Index(fields=["creator", "paid_at"], name="order_sales"),
            # For the follow-ups that close checkouts.
            models.Index(
                fields=["status"],
                name="order_checkout_open",
                condition=Q(checkout_id__isnull=False, checkout_closed=False),
            ),
            # For the job that settles pre-orders.
            models.Index(
                fields=["available_from"],
                name="order_preorder",
                condition=Q(available_from__isnull=False, fulfilled_at=None),
            ),
            # For the job that expires orders.
            models.Index(fields=["expires_at"], name="order_open", condition=Q(status="pending")),
        ]

    def __str__(self) -> str:
        return f"order {self.pk} ({self.status})"

    @classmethod
    def status_when_paid(
        cls, *, captured: int, refunded: int, disputed: int, is_undecided: bool, is_lost: bool
    ) -> Status:
        """Return the status of an order by the facts of the payment that pays it, in minor units.

        The payment has a dispute that `is_undecided`, or one that `is_lost`: the bank kept money, be it
        a part. A lost dispute closes the order, so that the buyer can buy the video again. Of a dispute
        that was won, a part of the money may be missing (``disputed``): a refund of the rest is one in
        full.

        >>> facts = {"captured": 9, "disputed": 2, "is_undecided": False}
        >>> Order.status_when_paid(refunded=0, is_lost=True, **facts).value
        'dispute_lost'
        >>> Order.status_when_paid(refunded=7, is_lost=False, **facts).value
        'refunded'
        """
        if refunded >= captured:
            return cls.Status.REFUNDED
        if is_undecided:
            return cls.Status.DISPUTED
        if is_lost:
            return cls.Status.DISPUTE_LOST
        all_is_back = refunded > 0 and refunded + disputed >= captured
        return cls.Status.REFUNDED if all_is_back else cls.Status.PAID

    @property
    def payer(self) -> User:
        """The buyer."""
        return self.buyer

    @property
    def is_at_gateway(self) -> bool:
        """True while the gateway has a charge of this order: then no checkout is offered beside it."""
        return self.status == self.CHARGING
