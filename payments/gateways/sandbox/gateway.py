"""The sandbox behind the interface of all gateways."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from django.conf import settings
from django.utils import timezone

from payments.gateways import signatures
from payments.gateways.base import (
    AmountRefused,
    Change,
    CheckoutSnapshot,
    GatewayEvent,
    Item,
    PaymentSnapshot,
    PlanTerms,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.sandbox import charging, checkouts, events, subscriptions
from payments.models import SandboxCheckout, SandboxPayment, SandboxSubscription

KINDS = {"payment", "subscription", "checkout"}


class SandboxGateway:
    name = "sandbox"
    public: Mapping[str, object] = {"publishable_key": None, "livemode": False}

    def webhook_is_configured(self) -> bool:
        return bool(settings.SANDBOX_WEBHOOK_SECRETS)

    def validate_amount(self, amount: int, currency: str) -> None:
        if amount <= 0:
            raise AmountRefused("The amount must be above zero.")

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
        return charging.snapshot(charging.raise_if_declined(payment).pk)

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        return charging.snapshot(external_id)

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        return charging.refund_snapshot(
            charging.refund(payment_id=external_id, amount=amount, key=key)
        )

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

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        return ""

    def ensure_plan(self, plan: PlanTerms) -> str:
        return plan.code

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        begun = subscriptions.start(
            plan, reference=reference, payment_method=payment_method, key=key
        )
        return subscriptions.snapshot(begun.pk)

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot:
        return subscriptions.snapshot(external_id)

    def cancel_subscription(self, external_id: str, *, at_period_end: bool) -> SubscriptionSnapshot:
        subscriptions.cancel(external_id, at_period_end=at_period_end)
        return subscriptions.snapshot(external_id)

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        subscriptions.resume(external_id)
        return subscriptions.snapshot(external_id)

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, at_period_end: bool, key: str
    ) -> SubscriptionSnapshot:
        subscriptions.change_plan(external_id, plan, at_period_end=at_period_end, key=key)
        return subscriptions.snapshot(external_id)

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        subscriptions.set_payment_method(external_id, payment_method)
        return subscriptions.snapshot(external_id)

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        message = signatures.verify(
            body,
            headers.get(events.HEADER, ""),
            settings.SANDBOX_WEBHOOK_SECRETS,
            now=timezone.now().timestamp(),
            tolerance=settings.WEBHOOK_TOLERANCE_SECONDS,
        )
        data = message.get("data")
        about = data.get("object") if isinstance(data, dict) else None
        about = about if isinstance(about, dict) else {}
        kind = str(about.get("object", ""))
        return GatewayEvent(
            id=str(message.get("id", "")),
            type=str(message.get("type", "")),
            kind=kind if kind in KINDS else "",
            external_id=str(about.get("id", "")),
            livemode=message.get("livemode") is True,
            api_version=str(message.get("api_version", "")),
        )

    def list_changes(self, since: datetime) -> Iterator[Change]:
        for kind, model, field in (
            ("checkout", SandboxCheckout, "created_at"),
            ("payment", SandboxPayment, "changed_at"),
            ("subscription", SandboxSubscription, "changed_at"),
        ):
            changed = model.objects.filter(**{f"{field}__gte": since}).order_by("pk")
            for pk in changed.values_list("pk", flat=True):
                yield Change(kind, pk)
