"""Changes of plan at Stripe that begin at once, or when the subscriber has confirmed the payment."""

import time

import stripe
from django.utils import timezone
from stripe.params import SubscriptionUpdateParams

from payments.gateways.base import PlanTerms, SubscriptionSnapshot
from payments.gateways.json_fields import Json, id_of, nested, objects, required_text
from payments.gateways.stripe import mapping, subscriptions
from payments.gateways.stripe.amounts import chargeable, to_gateway
from payments.gateways.stripe.client import ACTION_CODES, key_is_used, with_key
from payments.periods import next_renewal, unused_part


def change_plan(
    client: stripe.StripeClient,
    external_id: str,
    plan: PlanTerms,
    *,
    at_period_end: bool,
    period_value: int,
    key: str,
) -> SubscriptionSnapshot:
    """Change the plan of a subscription: see `Gateway.change_plan`."""
    subscription = subscriptions.retrieve(client, external_id)
    if subscription["status"] in subscriptions.ENDED:
        pass
    elif mapping.plan_code(subscription) == plan.code:
        if at_period_end:
            subscriptions.release(client, subscription)
    elif at_period_end:
        subscriptions.change_at_period_end(client, subscription, plan, key=key)
    elif not _waits_for(client, subscription, plan):
        params = _change_now(client, subscription, plan, period_value)
        planned = subscriptions.release(client, subscription)
        try:
            client.v1.subscriptions.update(external_id, params, with_key(key))
        except stripe.IdempotencyError:  # an earlier request had the key, at another moment
            if mapping.plan_code(subscriptions.retrieve(client, external_id)) != plan.code:
                raise key_is_used("change of plan") from None
        except stripe.CardError as error:
            if planned is not None:
                subscriptions.plan_again(client, subscription, planned)
            if planned or error.code not in ACTION_CODES or "cancel_at_period_end" in params:
                raise
            _change_when_confirmed(client, external_id, params, key=key)
    return subscriptions.fetch(client, external_id)


def _waits_for(client: stripe.StripeClient, subscription: Json, plan: PlanTerms) -> bool:
    """Return whether a change to the plan waits for its payment: see `_change_when_confirmed`."""
    items = objects(nested(subscription, "pending_update").get("subscription_items"))
    prices = [id_of(item.get("price")) for item in items]
    return bool(prices) and subscriptions.ensure_plan(client, plan) in prices


def _change_when_confirmed(
    client: stripe.StripeClient, external_id: str, params: SubscriptionUpdateParams, *, key: str
) -> None:
    """Request a change of plan that begins when the subscriber has confirmed its payment.

    The bank has asked for that. Stripe makes an open invoice, and applies the update when it is paid. It
    voids the invoice, and forgets the update, after at most 23 hours. Such an update has no metadata:
    the plan is noted with its price. https://docs.stripe.com/billing/subscriptions/pending-updates
    """
    pending = params.copy()
    pending.pop("metadata")
    pending["payment_behavior"] = "pending_if_incomplete"
    client.v1.subscriptions.update(external_id, pending, with_key(f"{key}:confirm"))


def _change_now(
    client: stripe.StripeClient, subscription: Json, plan: PlanTerms, period_value: int
) -> SubscriptionUpdateParams:
    """Return the request that replaces the plan, starts a new period and charges it at once.

    Its price is reduced by the unused part of ``period_value``, as an invoice item of its own: Stripe's
    proration counts prices, and knows nothing of refunds, disputes and earlier credits.
    """
    item = mapping.first_item(subscription)
    params: SubscriptionUpdateParams = {
        "items": [
            {"id": required_text(item, "id"), "price": subscriptions.ensure_plan(client, plan)}
        ],
        "metadata": {mapping.PLAN: plan.code},
        "payment_behavior": "error_if_incomplete",
        "proration_behavior": "none",
    }
    if subscription["status"] == "trialing":  # the trial goes on, and nothing is charged
        return params
    start, end = mapping.current_period(subscription)
    # Stripe counts in seconds, and no two periods of a subscription may begin in the same one.
    time.sleep(min(1, max(0, start.timestamp() + 1 - time.time())))
    now = timezone.now()
    unused = unused_part(period_value, start, end, now)
    credit = plan.amount - chargeable(plan.amount - unused, plan.currency)
    params["billing_cycle_anchor"] = {"type": "now"}
    if mapping.ends_with_period(subscription) or mapping.ends_by(
        subscription, next_renewal(now, now, plan.interval)
    ):
        # The Customer Portal sets `cancel_at`, a moment that does not move with the period.
        params["cancel_at_period_end"] = True
    if credit:
        params["add_invoice_items"] = [
            {
                "price_data": {
                    "currency": plan.currency.lower(),
                    "product": id_of(nested(item, "price").get("product")),
                    "unit_amount": -to_gateway(credit, plan.currency),
                }
            }
        ]
    return params
