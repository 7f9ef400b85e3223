"""Stripe behind the interface of all gateways. Touches no database: others store what it says."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import stripe
from django.conf import settings
from django.utils import timezone

from payments.gateways.base import (
    AmountRefused,
    Change,
    CheckoutSnapshot,
    Declined,
    GatewayEvent,
    Item,
    MethodUnknown,
    PaymentSnapshot,
    PlanTerms,
    RefundRefused,
    RefundSnapshot,
    SubscriptionSnapshot,
)
from payments.gateways.stripe import amounts, mapping, subscriptions, webhooks
from payments.gateways.stripe.client import connect, every, our_errors, plain

LIVE_PREFIXES = ("sk_live_", "rk_live_")
# Stripe's limits for a hosted page; a minute for what the two clocks and the way differ.
PAGE_LIVES = (timedelta(minutes=31), timedelta(hours=23, minutes=59))
KEYS_LIVE = timedelta(hours=25)  # Stripe forgets idempotency keys after a day or so
WITH_FEE = ["latest_charge.balance_transaction"]


class StripeGateway:
    name = "stripe"

    @property
    def public(self) -> Mapping[str, object]:
        return {
            "publishable_key": settings.STRIPE_PUBLISHABLE_KEY or None,
            "livemode": settings.STRIPE_SECRET_KEY.startswith(LIVE_PREFIXES),
        }

    def webhook_is_configured(self) -> bool:
        return bool(webhooks.secrets())

    def validate_amount(self, amount: int, currency: str) -> None:
        amounts.validate(amount, currency)

    # --- payments ---

    def charge(
        self, *, amount: int, currency: str, payment_method: str, reference: str, customer: str,
        key: str, return_url: str = "",
    ) -> PaymentSnapshot:  # fmt: skip
        amounts.validate(amount, currency)
        params: dict[str, Any] = {
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
        with our_errors():
            client = connect()
            # Before the key is used up: a card that is not there leaves it to the next one.
            try:
                client.v1.payment_methods.retrieve(payment_method)
            except stripe.InvalidRequestError as error:
                raise MethodUnknown(payment_method) from error
            try:
                intent = plain(client.v1.payment_intents.create(params, subscriptions.keyed(key)))
            except stripe.IdempotencyError:
                intent = self._charged_before(client, key)
        snapshot = mapping.payment(intent)
        if snapshot.status == "failed":
            raise Declined(snapshot.decline_code)
        return snapshot

    def _charged_before(self, client: stripe.StripeClient, key: str) -> dict:
        """What a key has charged, when it was another card's: Stripe then says only that it has.

        The search lags a minute behind; what it does not find yet remains unknown.
        """
        query = f"metadata['{mapping.KEY}']:'{key}'"
        found = client.v1.payment_intents.search({"query": query, "limit": 1}).data
        if not found:
            raise stripe.APIConnectionError("the key is taken, and its payment not to be found yet")
        return plain(found[0])

    def fetch_payment(self, external_id: str) -> PaymentSnapshot:
        with our_errors():
            client = connect()
            intent = plain(client.v1.payment_intents.retrieve(external_id, {"expand": WITH_FEE}))
            refunds: list[dict] = []
            disputes: list[dict] = []
            if intent.get("latest_charge"):
                of_it: Any = {"payment_intent": external_id, "limit": 100}
                refunds = list(every(client.v1.refunds.list(of_it)))
                disputes = list(every(client.v1.disputes.list(of_it)))
            return mapping.payment(intent, refunds, disputes, self._invoice(client, intent))

    def _invoice(self, client: stripe.StripeClient, intent: dict) -> dict | None:
        """The invoice that a payment pays. What was charged for an order pays none."""
        if mapping.child(intent, "metadata").get(mapping.ORDER):
            return None
        if old_place := mapping.reference(intent.get("invoice")):
            return plain(client.v1.invoices.retrieve(old_place))
        pays: Any = {"type": "payment_intent", "payment_intent": intent["id"]}
        rows = client.v1.invoice_payments.list(
            {"payment": pays, "limit": 1, "expand": ["data.invoice"]}
        ).data
        return plain(rows[0]).get("invoice") if rows else None

    def refund(self, *, external_id: str, amount: int, key: str) -> RefundSnapshot:
        with our_errors():
            client = connect()
            intent = plain(client.v1.payment_intents.retrieve(external_id))
            given = client.v1.refunds.list({"payment_intent": external_id, "limit": 100})
            # Stripe's own memory of a key ends after a day, and money must not go back twice.
            for row in every(given) if intent.get("latest_charge") else ():
                if mapping.child(row, "metadata").get(mapping.KEY) == key:
                    return mapping.refund(row)
            try:
                made = client.v1.refunds.create(
                    {
                        "payment_intent": external_id,
                        "amount": amounts.to_gateway(amount, mapping.currency_of(intent)),
                        "metadata": {mapping.KEY: key},
                    },
                    subscriptions.keyed(key),
                )
            except stripe.InvalidRequestError as error:
                raise RefundRefused(str(error.user_message)) from error
            except AmountRefused as error:
                raise RefundRefused(str(error)) from error
            return mapping.refund(plain(made))

    # --- hosted pages ---

    def create_checkout(
        self, item: Item, *, customer: str, key: str, return_url: str, expires_at: datetime
    ) -> CheckoutSnapshot:
        amounts.validate(item.amount, item.currency)
        shortest, longest = PAGE_LIVES
        now = timezone.now()
        until = min(max(expires_at, now + shortest), now + longest)
        home = return_url or settings.PUBLIC_URL or f"http://localhost:{settings.PORT}"
        with our_errors():
            client = connect()
            params: dict[str, Any] = {
                "client_reference_id": item.reference,
                "success_url": home,
                "cancel_url": home,
                "expires_at": int(until.timestamp()),
                **(_paying_for(item) if item.plan is None else self._subscribing(client, item)),
            }
            params["metadata"] |= {mapping.KEY: key}
            if customer:
                params["customer"] = customer
            try:
                session = client.v1.checkout.sessions.create(params, subscriptions.keyed(key))
            except stripe.IdempotencyError:
                session = self._page_made_before(client, item.reference, key)
            return mapping.checkout(plain(session))

    def _subscribing(self, client: stripe.StripeClient, item: Item) -> dict[str, Any]:
        plan = item.plan
        noted = {mapping.SUBSCRIPTION: item.reference, mapping.PLAN: plan.code}
        data: dict[str, Any] = {"metadata": noted}
        if plan.trial_days:
            data["trial_period_days"] = plan.trial_days
        return {
            "mode": "subscription",
            "line_items": [{"price": subscriptions.ensure_plan(client, plan), "quantity": 1}],
            "metadata": dict(noted),
            "subscription_data": data,
        }

    def _page_made_before(self, client: stripe.StripeClient, reference: str, key: str) -> Any:
        """The page of a key that was asked for with another address to return to, or later."""
        since = int((timezone.now() - KEYS_LIVE).timestamp())
        page = client.v1.checkout.sessions.list({"created": {"gte": since}, "limit": 100})
        for session in page.auto_paging_iter():
            noted = mapping.child(plain(session), "metadata")
            if session.client_reference_id == reference and noted.get(mapping.KEY) == key:
                return session
        raise stripe.APIConnectionError("the key is taken, and its page not to be found yet")

    def fetch_checkout(self, external_id: str) -> CheckoutSnapshot:
        with our_errors():
            return mapping.checkout(plain(connect().v1.checkout.sessions.retrieve(external_id)))

    def expire_checkout(self, external_id: str) -> CheckoutSnapshot:
        with our_errors():
            sessions = connect().v1.checkout.sessions
            found = plain(sessions.retrieve(external_id))
            if found.get("status") == "open":
                try:
                    found = plain(sessions.expire(external_id, {}, subscriptions.once()))
                except stripe.InvalidRequestError:  # somebody paid or it expired just now
                    found = plain(sessions.retrieve(external_id))
            return mapping.checkout(found)

    # --- subscriptions ---

    def create_customer(self, *, user_id: str, email: str, key: str) -> str:
        with our_errors():
            params: Any = {"email": email, "metadata": {"user_id": user_id}}
            return connect().v1.customers.create(params, subscriptions.keyed(key)).id

    def ensure_plan(self, plan: PlanTerms) -> str:
        with our_errors():
            return subscriptions.ensure_plan(connect(), plan)

    def start_subscription(
        self, plan: PlanTerms, *, reference: str, customer: str, payment_method: str, key: str
    ) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.start(
                connect(),
                plan,
                reference=reference,
                customer=customer,
                payment_method=payment_method,
                key=key,
            )

    def fetch_subscription(self, external_id: str) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.fetch(connect(), external_id)

    def cancel_subscription(self, external_id: str, *, at_period_end: bool) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.cancel(connect(), external_id, at_period_end=at_period_end)

    def resume_subscription(self, external_id: str) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.resume(connect(), external_id)

    def change_plan(
        self, external_id: str, plan: PlanTerms, *, at_period_end: bool, key: str
    ) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.change_plan(
                connect(), external_id, plan, at_period_end=at_period_end, key=key
            )

    def set_payment_method(
        self, external_id: str, payment_method: str, *, customer: str
    ) -> SubscriptionSnapshot:
        with our_errors():
            return subscriptions.set_payment_method(
                connect(), external_id, payment_method, customer=customer
            )

    # --- news ---

    def verify_webhook(self, body: bytes, headers: Mapping[str, str]) -> GatewayEvent:
        return webhooks.verify(body, headers)

    def list_changes(self, since: datetime) -> Iterator[Change]:
        """New objects by their own lists, changed ones by Stripe's events, which it keeps 30 days."""
        seen: set[Change] = set()
        with our_errors():
            for change in _changes(connect(), int(since.timestamp())):
                if change not in seen:
                    seen.add(change)
                    yield change


def _paying_for(item: Item) -> dict[str, Any]:
    price = {
        "currency": item.currency.lower(),
        "unit_amount": amounts.to_gateway(item.amount, item.currency),
        "product_data": {"name": item.title[:250] or item.reference},
    }
    return {
        "mode": "payment",
        "line_items": [{"price_data": price, "quantity": 1}],
        "metadata": {mapping.ORDER: item.reference},
        "payment_intent_data": {"metadata": {mapping.ORDER: item.reference}},
    }


def _changes(client: stripe.StripeClient, since: int) -> Iterator[Change]:
    new: Any = {"created": {"gte": since}, "limit": 100}
    # As if an event of this type had told it.
    lists: tuple[tuple[Callable[[Any], Any], str, dict], ...] = (
        (client.v1.checkout.sessions.list, "checkout.session.", {}),
        (client.v1.payment_intents.list, "payment_intent.", {}),
        (client.v1.refunds.list, "refund.", {}),
        (client.v1.disputes.list, "charge.dispute.", {}),
        (client.v1.subscriptions.list, "customer.subscription.", {"status": "all"}),
    )
    for rows, event_type, more in lists:
        for row in every(rows(new | more)):
            if change := mapping.change(event_type, row):
                yield change
    for event in every(client.v1.events.list(new)):
        if change := mapping.change(event["type"], mapping.child(event, "data", "object")):
            yield change
