"""The sandbox behind the interface of all gateways."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from django.conf import settings

from config.ids import uuid7
from payments.gateways import signatures
from payments.gateways.base import (
    AmountRefused,
    Change,
    CheckoutSnapshot,
    Finding,
    GatewayEvent,
    Item,
    ObjectKind,
    PaymentSnapshot,
    PlanTerms,
    PublicSettings,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.json_fields import nested, text
from payments.gateways.sandbox import charging, checkouts, doctor, events, subscriptions
from payments.models import SandboxCheckout, SandboxPayment, SandboxSubscription

KINDS: dict[str, ObjectKind] = {
    "payment": "payment",
    "subscription": "subscription",
    "checkout": "checkout",
}


class SandboxGateway:
    """The sandbox as a `Gateway`: see there for the promise of each call. It keeps no customers."""

    name = "sandbox"
    public: PublicSettings = {"publishable_key": None, "livemode": False}
    keeps_customers = False

    def webhook_is_configured(self) -> bool:
        return bool(settings.SANDBOX_WEBHOOK_SECRETS)

    def validate_amount(self, amount: int, currency: str) -> None:
        if amount <= 0:
            raise AmountRefused("The amount must be above zero.")

    def examine(self, plans: Iterable[PlanTerms]) -> Iterator[Finding]:
        return doctor.examine()

    # --- payments ---

    def charge(
        self, *, amount: int, currency: str, payment_method: str, reference: str, customer: str,
        key: str, return_url: str = "",
    ) -> PaymentSnapshot:  # fmt: skip
        payment = charging.charge(
            amount=amount,
            currency=currency,
            payment_method=payment_method,
            key=key,
            reference=reference,
        )
        return charging.snapshot_of(charging.raise_if_declined(payment))

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        return charging.snapshot(external_id)

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        return charging.refund_snapshot(
            charging.refund(payment_id=external_id, amount=amount, key=key)
        )

    def cancel_payment(self, external_id: str) -> PaymentSnapshot:
        return charging.snapshot(charging.cancel(external_id).pk)

    # --- disputes ---

    def upload_evidence(self, *, name: str, content: bytes, media_type: str) -> str:
        return f"sbf_{uuid7().hex}"  # nobody reads the file

    def submit_evidence(self, *, external_id: str, fields: Mapping[str, str], key: str) -> None:
        charging.submit_evidence(external_id, fields)

    # --- checkouts ---

    def create_checkout(
        self, item: Item, *, customer: str, key: str, return_url: str, expires_at: datetime
    ) -> CheckoutSnapshot:
        return checkouts.snapshot(
            checkouts.create(item, key=key, return_url=return_url, expires_at=expires_at)
        )

    def fetch_checkout(self, external_id: str) -> CheckoutSnapshot:
        return checkouts.snapshot(checkouts.find(external_id))

    def expire_checkout(self, external_id: str) -> CheckoutSnapshot:
        return checkouts.snapshot(checkouts.expire(external_id))

    # --- subscriptions ---

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        return ""

    def delete_customer(self, external_id: str) -> None:
        """Do nothing, because the sandbox keeps no customers."""

    def ensure_plan(self, plan: PlanTerms) -> str:
        return plan.code

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        subscription = subscriptions.start(
            plan, reference=reference, payment_method=payment_method, key=key
        )
        return subscriptions.snapshot(subscription.pk)

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot:
        return subscriptions.snapshot(external_id)

    def cancel_subscription(self, external_id: str, *, at_period_end: bool) -> SubscriptionSnapshot:
        subscriptions.cancel(external_id, at_period_end=at_period_end)
        return subscriptions.snapshot(external_id)

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        subscriptions.resume(external_id)
        return subscriptions.snapshot(external_id)

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, key: str, at_period_end: bool,
        period_value: int = 0,
    ) -> SubscriptionSnapshot:  # fmt: skip
        subscriptions.change_plan(
            external_id, plan, at_period_end=at_period_end, period_value=period_value, key=key
        )
        return subscriptions.snapshot(external_id)

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        subscriptions.set_payment_method(external_id, payment_method)
        return subscriptions.snapshot(external_id)

    # --- gateway news ---

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        message = signatures.verify(
            body, headers.get(events.HEADER, ""), settings.SANDBOX_WEBHOOK_SECRETS
        )
        reported = nested(message, "data", "object")
        return GatewayEvent(
            id=text(message, "id"),
            type=text(message, "type"),
            kind=KINDS.get(text(reported, "object"), ""),
            external_id=text(reported, "id"),
            livemode=message.get("livemode") is True,
            api_version=text(message, "api_version"),
        )

    def list_changes(self, since: datetime) -> Iterator[Change]:
        # Only new checkouts are listed: the payment or subscription that an older one led to is in the
        # lists below.
        new_checkouts = SandboxCheckout.objects.filter(created_at__gte=since)
        changed_payments = SandboxPayment.objects.filter(changed_at__gte=since)
        changed_subscriptions = SandboxSubscription.objects.filter(changed_at__gte=since)
        for checkout_id in new_checkouts.order_by("pk").values_list("pk", flat=True):
            yield Change("checkout", checkout_id)
        for payment_id in changed_payments.order_by("pk").values_list("pk", flat=True):
            yield Change("payment", payment_id)
        for subscription_id in changed_subscriptions.order_by("pk").values_list("pk", flat=True):
            yield Change("subscription", subscription_id)
