"""What a payment gateway must be able to do, whoever it is."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RefundSnapshot:
    external_id: str
    amount: int
    status: str  # a Refund.Status
    key: str = ""  # the idempotency key it was asked for with; a refund of ours knows itself by it


@dataclass(frozen=True, slots=True)
class DisputeSnapshot:
    """``withdrawn`` and ``reinstated`` are what really moved; an inquiry moves nothing."""

    external_id: str
    amount: int
    withdrawn: int
    reinstated: int
    status: str  # a Dispute.Status
    fee: int = 0
    reason: str = ""
    evidence_due: datetime | None = None


@dataclass(frozen=True, slots=True)
class PaymentSnapshot:
    """What the gateway says of one payment now. Amounts in minor units of the house's own table."""

    external_id: str
    amount: int
    currency: str
    captured: int
    status: str  # a Payment.Status
    refunds: tuple[RefundSnapshot, ...] = ()
    disputes: tuple[DisputeSnapshot, ...] = ()
    fee: int = 0
    order_id: str = ""  # our order's id, as it was given when the payment was made
    invoice_id: str = ""  # the gateway's invoice that it pays
    subscription_id: str = ""  # the gateway's subscription of that invoice
    action_url: str = ""  # where the buyer authenticates, when the status is requires_action
    decline_code: str = ""  # why it failed


@dataclass(frozen=True, slots=True)
class CheckoutSnapshot:
    """A hosted page, and what came of it."""

    external_id: str
    url: str
    status: str  # open | complete | expired
    payment_id: str = ""
    subscription_id: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    external_id: str
    period_start: datetime
    period_end: datetime
    amount: int
    currency: str
    status: str  # an Invoice.Status
    payment_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """``invoices`` are those of amounts above zero, oldest first."""

    external_id: str
    reference: str  # our subscription's id, as it was given when it was made
    plan_code: str
    status: str  # a Subscription.Status
    period_start: datetime | None
    period_end: datetime | None
    cancel_at_period_end: bool = False
    next_plan_code: str = ""
    ended_at: datetime | None = None
    invoices: tuple[InvoiceSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """Something at the gateway that may have changed. ``kind``: payment, subscription, checkout."""

    kind: str
    external_id: str


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """A verified webhook. ``kind`` is empty for what nobody follows."""

    id: str
    type: str
    kind: str  # payment | subscription | checkout | ""
    external_id: str
    livemode: bool
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """What a gateway must know of a plan. ``ref`` is its own name for it, when it has one."""

    code: str
    name: str
    amount: int
    currency: str
    interval: str  # month | year
    trial_days: int = 0
    ref: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to pay on a hosted page: an amount, or (with ``plan``) a subscription."""

    reference: str  # our order's or subscription's id
    title: str
    amount: int
    currency: str
    plan: PlanTerms | None = None


class Declined(Exception):
    """The bank said no. Nothing was charged."""

    def __init__(self, decline_code: str):
        super().__init__(decline_code)
        self.decline_code = decline_code


class MethodUnknown(Exception):
    """There is no such payment method."""


class RefundRefused(Exception):
    """The gateway will not give back this amount."""


class AmountRefused(Exception):
    """The gateway cannot charge this amount of this currency; the message says why."""


class NotThere(Exception):
    """The gateway does not know this object."""


class WebhookRefused(Exception):
    """Not the gateway's own word: a bad signature, an old or a garbled message."""


class GatewayAway(OSError):
    """The gateway does not answer. Nothing has happened, or nobody knows: see OutcomeUnknown."""


class OutcomeUnknown(GatewayAway):
    """The question was sent and no answer came. The same call with the same key finds it out."""


class Gateway(Protocol):
    """Every call that changes something takes an idempotency key: repeating it changes nothing more.

    Never called inside a transaction. Every call may raise GatewayAway (an OSError); fetches raise
    NotThere. Amounts are minor units of `config.money`, times are aware.
    """

    name: str
    public: Mapping[str, object]  # what clients may know: publishable_key, livemode

    def webhook_is_configured(self) -> bool:
        """False: there is no secret, so no message can be believed."""

    def validate_amount(self, amount: int, currency: str) -> None:
        """Raises AmountRefused for what can never be charged there."""

    # --- payments ---

    def charge(
        self, *, amount: int, currency: str, payment_method: str, reference: str, customer: str,
        key: str, return_url: str = "",
    ) -> PaymentSnapshot:  # fmt: skip
        """Capture at once; status requires_action (and action_url) when the bank wants more.

        Raises Declined, MethodUnknown.
        """

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        """The truth about a payment, with all its refunds and disputes."""

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        """Give back part or all of a capture. Raises RefundRefused."""

    # --- hosted pages ---

    def create_checkout(
        self, item: Item, *, customer: str, key: str, return_url: str, expires_at: datetime
    ) -> CheckoutSnapshot:
        """A page of the gateway where ``item`` is paid. ``expires_at`` is a wish."""

    def fetch_checkout(self, external_id: str) -> CheckoutSnapshot: ...

    def expire_checkout(self, external_id: str) -> CheckoutSnapshot:
        """Nobody can pay there any more; unless somebody has: then status is complete."""

    # --- subscriptions ---

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        """The gateway's name for a user; empty where it needs none."""

    def ensure_plan(self, plan: PlanTerms) -> str:
        """The gateway's name for a plan, made when it is missing."""

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        """Begin, and charge the first period unless the plan has free days. Status incomplete when
        the bank wants more. Raises Declined (nothing was begun), MethodUnknown."""

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot: ...

    def cancel_subscription(
        self, external_id: str, *, at_period_end: bool
    ) -> SubscriptionSnapshot: ...

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        """Take a cancellation for the period's end back."""

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, at_period_end: bool, key: str
    ) -> SubscriptionSnapshot:
        """At once: a new period begins, and what is left of the old one is taken off its price.
        Raises Declined: nothing has changed then."""

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        """Pay with another card from now on, an open invoice at once. Raises Declined,
        MethodUnknown."""

    # --- news ---

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        """Raises WebhookRefused."""

    def list_changes(self, since: datetime) -> Iterator[Change]:
        """Everything that may have changed since then, each object once."""
