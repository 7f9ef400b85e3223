"""Stripe behind the interface of all gateways. It reads and writes no table."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime, timedelta

import stripe
from django.conf import settings
from django.utils import timezone
from stripe.params import PaymentIntentCreateParams
from stripe.params.checkout import SessionCreateParams

from payments.gateways.base import (
    AmountRefused,
    Change,
    CheckoutSnapshot,
    Declined,
    Finding,
    GatewayEvent,
    Item,
    MethodUnknown,
    NotThere,
    PaymentSnapshot,
    PlanTerms,
    PublicSettings,
    ReferenceGone,
    RefundRefused,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.json_fields import (
    Json,
    currency_of,
    id_of,
    nested,
    required_text,
)
from payments.gateways.stripe import (
    amounts,
    changes,
    disputes,
    doctor,
    mapping,
    plan_changes,
    subscriptions,
    webhooks,
)
from payments.gateways.stripe.client import (
    all_rows,
    as_json,
    connect,
    key_is_used,
    sdk_errors_translated,
    with_key,
    with_new_key,
)

LIVE_PREFIXES = ("sk_live_", "rk_live_")
# Stripe's limits for the life of a checkout are 30 minutes and 24 hours. One minute is left for the
# difference between the two clocks and for the way of the request.
CHECKOUT_LIFE = (timedelta(minutes=31), timedelta(hours=23, minutes=59))
KEY_LIFE = timedelta(hours=25)  # Stripe forgets an idempotency key after at least 24 hours
WITH_FEE = ["latest_charge.balance_transaction"]
PAID_WITH = ["payment_intent", "subscription"]
REFUND_MOVEMENTS = ["data.balance_transaction", "data.failure_balance_transaction"]


class StripeGateway:
    """Stripe as a `Gateway`: see there for the promise of each call."""

    name = "stripe"
    keeps_customers = True

    @property
    def public(self) -> PublicSettings:
        return {
            "publishable_key": settings.STRIPE_PUBLISHABLE_KEY or None,
            "livemode": settings.STRIPE_SECRET_KEY.startswith(LIVE_PREFIXES),
        }

    def webhook_is_configured(self) -> bool:
        return bool(webhooks.secrets())

    def validate_amount(self, amount: int, currency: str) -> None:
        amounts.validate(amount, currency)

    def examine(self, plans: Iterable[PlanTerms]) -> Iterator[Finding]:
        return doctor.examine(plans)

    # --- payments ---

    def charge(
        self, *, amount: int, currency: str, payment_method: str, reference: str, customer: str,
        key: str, return_url: str = "",
    ) -> PaymentSnapshot:  # fmt: skip
        amounts.validate(amount, currency)
        params: PaymentIntentCreateParams = {
            "amount": amounts.to_gateway(amount, currency),
            "currency": currency.lower(),
            "payment_method": payment_method,
            "allowed_payment_method_types": ["card"],
            "confirm": True,
            "metadata": {mapping.ORDER: reference, mapping.KEY: key},
            "expand": WITH_FEE,
        }
        if customer:
            params["customer"] = customer
        if return_url:
            params["return_url"] = return_url
        with sdk_errors_translated():
            client = connect()
            # Look the card up first. An unknown card then fails before the key is used, and the
            # buyer's next card can use it.
            try:
                client.v1.payment_methods.retrieve(payment_method)
            except stripe.InvalidRequestError as error:
                raise MethodUnknown(payment_method) from error
            try:
                intent = as_json(client.v1.payment_intents.create(params, with_key(key)))
            except stripe.IdempotencyError:
                intent = _charged_before(client, key)
        snapshot = mapping.payment(intent)
        if snapshot.status == "failed":
            raise Declined(snapshot.decline_code)
        return snapshot

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        with sdk_errors_translated():
            client = connect()
            intent = as_json(client.v1.payment_intents.retrieve(external_id, {"expand": WITH_FEE}))
            refunds: list[Json] = []
            claims: list[Json] = []
            if intent.get("latest_charge"):
                refunds = _refunds(client, external_id)
                claims = list(
                    all_rows(client.v1.disputes.list({"payment_intent": external_id, "limit": 100}))
                )
            return mapping.payment(intent, refunds, claims, _invoice(client, intent))

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        with sdk_errors_translated():
            client = connect()
            intent = as_json(client.v1.payment_intents.retrieve(external_id))
            # Stripe forgets a key after a day, and a repetition after that must not refund twice.
            for row in _refunds(client, external_id) if intent.get("latest_charge") else ():
                if nested(row, "metadata").get(mapping.KEY) == key:
                    return mapping.refund(row)
            try:
                created = client.v1.refunds.create(
                    {
                        "payment_intent": external_id,
                        "amount": amounts.to_gateway(amount, currency_of(intent)),
                        "metadata": {mapping.KEY: key},
                    },
                    with_key(key),
                )
            except stripe.InvalidRequestError as error:
                raise RefundRefused(str(error.user_message)) from error
            except AmountRefused as error:
                raise RefundRefused(str(error)) from error
            return mapping.refund(as_json(created))

    def cancel_payment(self, external_id: str) -> PaymentSnapshot:
        with sdk_errors_translated():
            intents = connect().v1.payment_intents
            if intents.retrieve(external_id).status == "requires_action":
                # Refused when it was captured in the meantime, or while its checkout is open.
                with suppress(stripe.InvalidRequestError):
                    intents.cancel(external_id, {}, with_new_key())
        return self.fetch_payment(external_id)

    # --- disputes ---

    def upload_evidence(self, *, name: str, content: bytes, media_type: str) -> str:
        with sdk_errors_translated():
            return disputes.upload(connect(), name=name, content=content, media_type=media_type)

    def submit_evidence(self, *, external_id: str, fields: Mapping[str, str], key: str) -> None:
        with sdk_errors_translated():
            disputes.submit(connect(), external_id, fields, key=key)

    # --- checkouts ---

    def create_checkout(
        self, item: Item, *, customer: str, key: str, return_url: str, expires_at: datetime
    ) -> CheckoutSnapshot:
        amounts.validate(item.amount, item.currency)
        shortest, longest = CHECKOUT_LIFE
        now = timezone.now()
        until = min(max(expires_at, now + shortest), now + longest)
        home = return_url or settings.PUBLIC_URL or f"http://localhost:{settings.PORT}"
        with sdk_errors_translated():
            client = connect()
            if item.plan is None:
                params = _order_checkout(item, key)
            else:
                params = _subscription_checkout(client, item.reference, item.plan, key)
            params["client_reference_id"] = item.reference
            params["success_url"] = params["cancel_url"] = home
            params["expires_at"] = int(until.timestamp())
            if customer:
                params["customer"] = customer
            try:
                session = client.v1.checkout.sessions.create(params, with_key(key))
            except stripe.IdempotencyError:
                session = _checkout_created_before(client, item.reference, key)
            return mapping.checkout(as_json(session))

    def fetch_checkout(self, external_id: str) -> CheckoutSnapshot:
        with sdk_errors_translated():
            sessions = connect().v1.checkout.sessions
            return mapping.checkout(as_json(sessions.retrieve(external_id, {"expand": PAID_WITH})))

    def expire_checkout(self, external_id: str) -> CheckoutSnapshot:
        found = self.fetch_checkout(external_id)
        if found.status == "open":
            # Refused for one that was completed or has expired in the meantime.
            with sdk_errors_translated(), suppress(stripe.InvalidRequestError):
                connect().v1.checkout.sessions.expire(external_id, {}, with_new_key())
            found = self.fetch_checkout(external_id)
        return found

    # --- subscriptions ---

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        with sdk_errors_translated():
            customer = connect().v1.customers.create(
                {"email": email, "metadata": {"user_id": user_id}}, with_key(key)
            )
            return customer.id

    def delete_customer(self, external_id: str) -> None:
        with suppress(NotThere, ReferenceGone), sdk_errors_translated():
            connect().v1.customers.delete(external_id)

    def ensure_plan(self, plan: PlanTerms) -> str:
        with sdk_errors_translated():
            return subscriptions.ensure_plan(connect(), plan)

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        with sdk_errors_translated():
            return subscriptions.start(
                connect(),
                plan,
                reference=reference,
                customer=customer,
                payment_method=payment_method,
                key=key,
            )

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot:
        with sdk_errors_translated():
            return subscriptions.fetch(connect(), external_id)

    def cancel_subscription(self, external_id: str, *, at_period_end: bool) -> SubscriptionSnapshot:
        with sdk_errors_translated():
            return subscriptions.cancel(connect(), external_id, at_period_end=at_period_end)

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        with sdk_errors_translated():
            return subscriptions.resume(connect(), external_id)

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, key: str, at_period_end: bool,
        period_value: int = 0,
    ) -> SubscriptionSnapshot:  # fmt: skip
        with sdk_errors_translated():
            return plan_changes.change_plan(
                connect(), external_id, plan, key=key, at_period_end=at_period_end,
                period_value=period_value,
            )  # fmt: skip

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        with sdk_errors_translated():
            return subscriptions.set_payment_method(
                connect(), external_id, payment_method, customer=customer
            )

    # --- gateway news ---

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        return webhooks.verify(body, headers)

    def list_changes(self, since: datetime) -> Iterator[Change]:
        """Yield new objects from their own lists, and changed ones from Stripe's events.

        Stripe keeps events for 30 days, so changes before that are missing.
        """
        seen: set[Change] = set()
        with sdk_errors_translated():
            for change in changes.since(connect(), int(since.timestamp())):
                if change not in seen:
                    seen.add(change)
                    yield change


def _charged_before(client: stripe.StripeClient, key: str) -> Json:
    """Return the PaymentIntent that an earlier request with this key and another card has created.

    Stripe's search shows a new object up to a minute late. Raises OutcomeUnknown until then.
    """
    query = f"metadata['{mapping.KEY}']:'{key}'"
    intents = client.v1.payment_intents.search({"query": query, "limit": 1}).data
    if not intents:
        raise key_is_used("payment")
    return as_json(intents[0])


def _refunds(client: stripe.StripeClient, intent_id: str) -> list[Json]:
    page = client.v1.refunds.list(
        {"payment_intent": intent_id, "limit": 100, "expand": REFUND_MOVEMENTS}
    )
    return list(all_rows(page))


def _invoice(client: stripe.StripeClient, intent: Json) -> Json | None:
    """Return the invoice that a payment pays; None for the payment of an order."""
    if nested(intent, "metadata").get(mapping.ORDER):
        return None
    if invoice_id := id_of(intent.get("invoice")):  # the place before Basil
        return as_json(client.v1.invoices.retrieve(invoice_id))
    invoice_payments = client.v1.invoice_payments.list(
        {
            "payment": {"type": "payment_intent", "payment_intent": required_text(intent, "id")},
            "limit": 1,
            "expand": ["data.invoice"],
        }
    ).data
    return nested(as_json(invoice_payments[0]), "invoice") if invoice_payments else None


def _order_checkout(item: Item, key: str) -> SessionCreateParams:
    """Return the parameters of a checkout that charges the amount of an order."""
    return {
        "mode": "payment",
        "line_items": [
            {
                "price_data": {
                    "currency": item.currency.lower(),
                    "unit_amount": amounts.to_gateway(item.amount, item.currency),
                    "product_data": {"name": item.title[:250] or item.reference},
                },
                "quantity": 1,
            }
        ],
        "metadata": {mapping.ORDER: item.reference, mapping.KEY: key},
        "payment_intent_data": {"metadata": {mapping.ORDER: item.reference}},
    }


def _subscription_checkout(
    client: stripe.StripeClient, reference: str, plan: PlanTerms, key: str
) -> SessionCreateParams:
    """Return the parameters of a checkout that starts a subscription."""
    ids = {mapping.SUBSCRIPTION: reference, mapping.PLAN: plan.code}
    params: SessionCreateParams = {
        "mode": "subscription",
        "line_items": [{"price": subscriptions.ensure_plan(client, plan), "quantity": 1}],
        "metadata": {**ids, mapping.KEY: key},
        "subscription_data": {"metadata": ids},
    }
    if plan.trial_days:
        params["subscription_data"]["trial_period_days"] = plan.trial_days
        params["subscription_data"]["trial_settings"] = {
            "end_behavior": {"missing_payment_method": "cancel"}
        }
    return params


def _checkout_created_before(
    client: stripe.StripeClient, reference: str, key: str
) -> stripe.checkout.Session:
    """Return the checkout that an earlier request with this key has created.

    The requests differ if the buyer's return address or the expiry has changed. Raises OutcomeUnknown.
    """
    since = int((timezone.now() - KEY_LIFE).timestamp())
    page = client.v1.checkout.sessions.list({"created": {"gte": since}, "limit": 100})
    for session in page.auto_paging_iter():
        metadata = nested(as_json(session), "metadata")
        if session.client_reference_id == reference and metadata.get(mapping.KEY) == key:
            return session
    raise key_is_used("checkout")
