"""The interface of all payment gateways, with the data and the exceptions that cross it.

All amounts are integers in minor units of `config.money`, currencies are ISO 4217 codes in capitals, and
times are aware. A *key* is an idempotency key: a text that the caller stores before the call and uses
again for each repetition, so that a repeated call changes nothing more.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal, NamedTuple, Protocol, TypedDict

from payments.gateways.payment_snapshots import ConversionSnapshot as ConversionSnapshot
from payments.gateways.payment_snapshots import DisputeSnapshot as DisputeSnapshot
from payments.gateways.payment_snapshots import PaymentSnapshot as PaymentSnapshot
from payments.gateways.payment_snapshots import RefundSnapshot as RefundSnapshot
from payments.models import Invoice, Subscription

# The objects at a gateway that this service follows.
ObjectKind = Literal["payment", "subscription", "checkout"]


class CheckoutStatus(StrEnum):
    """Whether the buyer can pay on a checkout (open), has paid there, or can no longer pay."""

    OPEN = "open"
    COMPLETE = "complete"
    EXPIRED = "expired"


class PublicSettings(TypedDict):
    """The settings of a gateway that anyone may read."""

    publishable_key: str | None  # for the gateway's library in the browser; the sandbox has none
    livemode: bool  # True when real money moves


@dataclass(frozen=True, slots=True)
class CheckoutSnapshot:
    """The state of one checkout (a hosted page), and the ids of the objects that it led to."""

    external_id: str
    url: str
    status: CheckoutStatus
    payment_id: str = ""
    subscription_id: str = ""


@dataclass(frozen=True, slots=True)
class InvoiceSnapshot:
    """The state of one invoice at the gateway: one period, and the amount that is due for it.

    The gateway may change the amount until the invoice is paid, and several payments may pay it.
    """

    external_id: str
    period_start: datetime
    period_end: datetime
    amount: int
    currency: str
    status: Invoice.Status
    payment_ids: tuple[str, ...] = ()
    # The gateway's page on which the subscriber pays the invoice, or confirms its payment at the bank.
    hosted_url: str = ""


@dataclass(frozen=True, slots=True)
class SubscriptionSnapshot:
    """The state of one subscription at the gateway.

    ``invoices`` holds the invoices that bill something, oldest first. The unused value of the period
    before, or the customer's credit, may have paid for it, so that an invoice's amount is 0.
    """

    external_id: str
    reference: str  # the id of our subscription, as we sent it at the start
    plan_code: str
    status: Subscription.Status
    period_start: datetime | None
    period_end: datetime | None
    cancel_at_period_end: bool = False
    next_plan_code: str = ""  # the plan from the next period on, if a change is planned
    ended_at: datetime | None = None
    invoices: tuple[InvoiceSnapshot, ...] = ()
    is_gone: bool = False  # the gateway has it no more: this is what was known of it


@dataclass(frozen=True, slots=True)
class Change:
    """An object at the gateway that may have changed."""

    kind: ObjectKind
    external_id: str


@dataclass(frozen=True, slots=True)
class GatewayEvent:
    """A webhook event with a valid signature, and the object that it reports about.

    ``kind`` and ``external_id`` are empty if this service does not follow objects of that type.
    """

    id: str
    type: str
    kind: ObjectKind | Literal[""]
    external_id: str
    livemode: bool
    api_version: str = ""


@dataclass(frozen=True, slots=True)
class PlanTerms:
    """The terms of a plan that a gateway needs to bill it."""

    code: str
    name: str
    amount: int
    currency: str
    interval: str  # month | year
    trial_days: int = 0
    ref: str = ""  # the gateway's own id of the plan, as `Gateway.ensure_plan` returned it
    gone: str = ""  # an earlier id of it, that the gateway does not bill any more
    renewals: int = 0  # how often the plan was made anew at the gateway

    def key(self, key: str) -> str:
        """Return an idempotency key for a call about this plan: a plan made anew needs another one."""
        return f"{key}:plan{self.renewals}" if self.renewals else key


@dataclass(frozen=True, slots=True)
class Item:
    """The order or, if ``plan`` is set, the subscription that is paid on a checkout."""

    reference: str  # the id of our order or subscription
    title: str
    amount: int
    currency: str
    plan: PlanTerms | None = None


class Finding(NamedTuple):
    """The result of one check of the settings, for `manage.py payments_doctor`. It quotes no secret."""

    is_good: bool
    statement: str  # the fact that should hold
    remedy: str  # one or two sentences for the operator, if it does not hold


class Declined(Exception):
    """The bank declined the payment. Nothing was charged."""

    def __init__(self, decline_code: str):
        super().__init__(decline_code)
        self.decline_code = decline_code


class MethodUnknown(Exception):
    """The gateway has no payment method with this id."""


class RefundRefused(Exception):
    """The gateway refuses to refund this amount."""


class EvidenceNotTaken(Exception):
    """The gateway does not take this evidence. The message says why, as a sentence."""


class AmountRefused(Exception):
    """The gateway cannot charge this amount in this currency. Buyers read the message."""


class NotThere(Exception):
    """The gateway has no object with this id."""


class WebhookRefused(Exception):
    """A message with a wrong signature, too old, or unreadable: it may not be the gateway's."""


class GatewayAway(OSError):
    """The gateway could not be reached, or refused to do its work. Nothing has changed there.

    In the subclass OutcomeUnknown something may have changed.
    """

    outage = "gateway"  # the part that is away, for the log (config.log_records)


class RequestRefused(GatewayAway):
    """The gateway refuses this request, and would refuse it each time. Nothing was done."""

    outage = ""


class ReferenceGone(GatewayAway):
    """An object that this service has made at the gateway is gone: deleted, or archived there.

    Objects of test mode are gone in live mode. ``kind`` names the object: "customer" or "plan".
    Nothing was done. Make it anew, and repeat the call.
    """

    def __init__(self, kind: Literal["customer", "plan"], message: str):
        super().__init__(message)
        self.kind = kind


class OutcomeUnknown(GatewayAway):
    """A request was sent and no answer came, so it may have been carried out.

    Repeat the call with the same key: it returns the result of the first one, or does the work now.
    """


class Gateway(Protocol):
    """The calls that a payment gateway must offer.

    A call can wait for the network for more than a minute, so make none inside a transaction. Every call
    may raise GatewayAway, except `validate_amount`, `examine` and the two about webhooks.
    """

    @property
    def name(self) -> str:
        """The gateway's name in settings, rows and paths."""

    @property
    def public(self) -> PublicSettings:
        """The settings that clients may read."""

    @property
    def keeps_customers(self) -> bool:
        """Whether the gateway keeps records of our users."""

    def webhook_is_configured(self) -> bool:
        """Return whether a signing secret is set. Without one, no webhook message can be verified."""

    def validate_amount(self, amount: int, currency: str) -> None:
        """Refuse an amount that can never be charged in this currency. Raises AmountRefused."""

    def examine(self, plans: Iterable[PlanTerms]) -> Iterator[Finding]:
        """Check the gateway's settings and its prices of ``plans``, with read-only requests."""

    # --- payments ---

    def charge(
        self, *, amount: int, currency: str, payment_method: str, reference: str, customer: str,
        key: str, return_url: str = "",
    ) -> PaymentSnapshot:  # fmt: skip
        """Charge a card for an order and return the payment.

        The money is captured at once. If the bank asks for authentication, the status is
        requires_action; the buyer goes to ``action_url`` and comes back to ``return_url``.
        ``reference`` is the order's id, and ``customer`` the result of `create_customer`.

        Repeating a key returns the payment of the first call, even if it names another card; a decline
        is repeated too, so each further try of a buyer needs a new key. An unknown card does not use
        the key up. Raises Declined, MethodUnknown, AmountRefused.
        """

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        """Return the current state of a payment. Raises NotThere."""

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        """Refund a payment in part or in full and return the refund, which may still be pending.

        Repeating a key returns the refund of the first call. Raises NotThere, and RefundRefused for
        more than is left of the captured amount.
        """

    def cancel_payment(self, external_id: str) -> PaymentSnapshot:
        """Cancel a payment that waits for the buyer's bank, and return it. Safe to repeat.

        A payment that has failed, is captured, or whose money is on its way stays as it is. Raises
        NotThere.
        """

    # --- disputes ---

    def upload_evidence(self, *, name: str, content: bytes, media_type: str) -> str:
        """Upload a file that shall be evidence, and return the gateway's id of it.

        Raises EvidenceNotTaken.
        """

    def submit_evidence(self, *, external_id: str, fields: Mapping[str, str], key: str) -> None:
        """Submit texts and ids of files to the bank, as the answer to a dispute. That is final.

        Repeating a key submits nothing more. Raises NotThere; EvidenceNotTaken for a dispute that is
        closed, answered or past due.
        """

    # --- checkouts ---

    def create_checkout(
        self, item: Item, *, customer: str, key: str, return_url: str, expires_at: datetime
    ) -> CheckoutSnapshot:
        """Create a checkout for ``item`` and return it: a page of the gateway where the buyer pays.

        The gateway may move ``expires_at`` into its own limits. Repeating a key returns the checkout of
        the first call. Raises AmountRefused.
        """

    def fetch_checkout(self, external_id: str) -> CheckoutSnapshot:
        """Return the current state of a checkout. Raises NotThere."""

    def expire_checkout(self, external_id: str) -> CheckoutSnapshot:
        """Close an open checkout and return its state. Safe to repeat. Raises NotThere.

        A checkout that was paid stays ``complete``.
        """

    # --- subscriptions ---

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        """Create the gateway's record of a user and return its id; "" if the gateway keeps none.

        Repeating a key returns the id of the first call.
        """

    def delete_customer(self, external_id: str) -> None:
        """Delete a user's record with its cards and subscriptions. Safe to repeat when it is gone."""

    def ensure_plan(self, plan: PlanTerms) -> str:
        """Return the gateway's id of a plan, and create the plan there first if it is missing.

        The id is never ``plan.gone``. Repeating the call with the same plan creates one.
        """

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        """Start a subscription and return it.

        The first period is charged at once, unless the plan has trial days. The status is incomplete if
        the bank asks for authentication. ``reference`` is the id of our subscription.
        ``payment_method`` may be empty only for a plan with trial days: the subscription then ends with
        its trial, unless it has got a card by then.

        Repeating a key returns the subscription of the first call; an unknown card does not use the
        key up. Raises Declined and MethodUnknown: no subscription was started then.
        """

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot:
        """Return the current state of a subscription. Raises NotThere."""

    def cancel_subscription(self, external_id: str, *, at_period_end: bool) -> SubscriptionSnapshot:
        """Cancel a subscription, at once or at the end of its period, and return it. Safe to repeat.

        One that waits for its first payment always ends at once. One that ends at once has its open
        invoices voided. One that has ended stays as it is. Raises NotThere.
        """

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        """Undo a cancellation at the period's end and return the subscription. Raises NotThere.

        That includes a cancellation on the gateway's own pages. Safe to repeat; a subscription that has
        ended or was not canceled stays as it is.
        """

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, key: str, at_period_end: bool,
        period_value: int = 0,
    ) -> SubscriptionSnapshot:  # fmt: skip
        """Change a subscription's plan and return it. Safe to repeat.

        At once: a new period starts, and its price is reduced by the unused part of ``period_value``,
        the value of the current period (see `periods.unused_part`). The gateway's own clock decides how
        much is unused. The rest is rounded down to an amount that the gateway can charge, which may be
        0. In a trial nothing is charged and the trial goes on. The plan that it has already changes
        nothing. At the period's end: the next period has the new plan. Naming the current plan undoes a
        planned change.

        Where the bank asks the subscriber to confirm the payment, the answer has the plan as it was, and
        an open invoice with its page: the change begins when it is paid.

        A decline is final for its key: a further try needs a new one. Raises NotThere, and Declined:
        nothing has changed then, and a planned change is still planned.
        """

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        """Pay a subscription with another card from now on and return it.

        An open invoice is charged to the new card at once. Raises NotThere, Declined, MethodUnknown:
        the old card stays then.
        """

    # --- gateway news ---

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        """Check a webhook message's signature and age, and return its event. Raises WebhookRefused."""

    def list_changes(self, since: datetime) -> Iterator[Change]:
        """Yield each object that was created or may have changed since a moment, each object once.

        Raises GatewayAway while it is iterated.
        """
