"""Subscriptions at Stripe."""

from uuid import uuid4

import stripe

from payments.gateways.base import MethodUnknown, PlanTerms, SubscriptionSnapshot
from payments.gateways.stripe import mapping
from payments.gateways.stripe.amounts import to_gateway
from payments.gateways.stripe.client import ACTION_CODES, every, plain

ENDED = {"canceled", "incomplete_expired"}


def once() -> stripe.RequestOptions:
    """A key of its own for what may be asked again with another answer: cancel, resume, cancel."""
    return keyed(str(uuid4()))


def keyed(key: str) -> stripe.RequestOptions:
    return {"idempotency_key": key}


def ensure_plan(client: stripe.StripeClient, plan: PlanTerms) -> str:
    if plan.ref:
        return plan.ref
    # A plan never changes, so its code and price name one price for good.
    lookup = f"{plan.code}:{plan.amount}:{plan.currency}:{plan.interval}"
    known = client.v1.prices.list({"lookup_keys": [lookup], "active": True, "limit": 1}).data
    if known:
        return known[0].id
    price = client.v1.prices.create(
        {
            "currency": plan.currency.lower(),
            "unit_amount": to_gateway(plan.amount, plan.currency),
            "recurring": {"interval": plan.interval},
            "lookup_key": lookup,
            "product_data": {"name": plan.name, "metadata": {mapping.PLAN: plan.code}},
            "metadata": {mapping.PLAN: plan.code},
        },
        keyed(f"plan:{lookup}"),
    )
    return price.id


def start(
    client: stripe.StripeClient,
    plan: PlanTerms,
    *,
    reference: str,
    customer: str,
    payment_method: str,
    key: str,
) -> SubscriptionSnapshot:
    if not payment_method and not plan.trial_days:
        raise MethodUnknown("no payment method")
    params: dict = {
        "customer": customer,
        "items": [{"price": ensure_plan(client, plan)}],
        "metadata": {mapping.SUBSCRIPTION: reference, mapping.PLAN: plan.code},
        "payment_settings": {"save_default_payment_method": "on_subscription"},
    }
    if plan.trial_days:
        params["trial_period_days"] = plan.trial_days
    if payment_method:
        # A key of the card's own: one that is not there must not use up what the next one needs.
        card = attach(
            client, payment_method, customer=customer, key=f"{key}:attach:{payment_method}"
        )
        params["default_payment_method"] = card
        params["payment_behavior"] = "error_if_incomplete"
    try:
        begun = client.v1.subscriptions.create(params, keyed(key))
    except stripe.IdempotencyError:
        begun = _begun_before(client, customer, reference)
    except stripe.CardError as error:
        if error.code not in ACTION_CODES:
            raise
        # Stripe has begun nothing: the bank wants its client, whom we can ask. So begin, and wait.
        params["payment_behavior"] = "allow_incomplete"
        begun = client.v1.subscriptions.create(params, keyed(f"{key}:incomplete"))
    if payment_method:
        make_default(client, customer, card)
    return fetch(client, begun.id)


def _begun_before(client: stripe.StripeClient, customer: str, reference: str):
    """What a key has begun, when it was another card's: Stripe then says only that it has."""
    page = client.v1.subscriptions.list({"customer": customer, "status": "all", "limit": 100})
    for found in page.auto_paging_iter():
        noted = mapping.child(plain(found), "metadata")
        if noted.get(mapping.SUBSCRIPTION) == reference:
            return found
    raise stripe.APIConnectionError("the key is taken, and its subscription not to be found")


def attach(client: stripe.StripeClient, payment_method: str, *, customer: str, key: str) -> str:
    """The card's name as the customer's own. A card that can never be charged is declined here."""
    try:
        return client.v1.payment_methods.attach(
            payment_method, {"customer": customer}, keyed(key)
        ).id
    except stripe.InvalidRequestError as error:
        if error.param == "customer":
            raise
        raise MethodUnknown(str(error.user_message)) from error


def make_default(client: stripe.StripeClient, customer: str, card: str) -> None:
    client.v1.customers.update(
        customer, {"invoice_settings": {"default_payment_method": card}}, once()
    )


def fetch(client: stripe.StripeClient, external_id: str) -> SubscriptionSnapshot:
    found = plain(client.v1.subscriptions.retrieve(external_id))
    invoices = client.v1.invoices.list(
        {"subscription": external_id, "limit": 100, "expand": ["data.payments"]}
    )
    return mapping.subscription(found, every(invoices), _schedule(client, found))


def _schedule(client: stripe.StripeClient, found: dict) -> dict | None:
    name = mapping.reference(found.get("schedule"))
    return plain(client.v1.subscription_schedules.retrieve(name)) if name else None


def _release(client: stripe.StripeClient, found: dict) -> None:
    """Take a planned change back: Stripe lets nobody else touch a subscription that has one."""
    schedule = _schedule(client, found)
    if schedule is not None and mapping.is_scheduled(schedule):
        client.v1.subscription_schedules.release(schedule["id"], {}, once())


def cancel(
    client: stripe.StripeClient, external_id: str, *, at_period_end: bool
) -> SubscriptionSnapshot:
    found = plain(client.v1.subscriptions.retrieve(external_id))
    if found["status"] not in ENDED:
        _release(client, found)
        if at_period_end and found["status"] != "incomplete":
            client.v1.subscriptions.update(external_id, {"cancel_at_period_end": True}, once())
        else:
            _end(client, external_id)
    return fetch(client, external_id)


def _end(client: stripe.StripeClient, external_id: str) -> None:
    client.v1.subscriptions.cancel(external_id, {"invoice_now": False, "prorate": False}, once())
    for name in _open_invoices(client, external_id):
        try:
            client.v1.invoices.void_invoice(name, {}, once())
        except stripe.InvalidRequestError:
            continue  # paid or void by now: the next look at it tells


def _open_invoices(client: stripe.StripeClient, external_id: str) -> list[str]:
    page = client.v1.invoices.list({"subscription": external_id, "status": "open", "limit": 100})
    return [row["id"] for row in every(page)]


def resume(client: stripe.StripeClient, external_id: str) -> SubscriptionSnapshot:
    found = plain(client.v1.subscriptions.retrieve(external_id))
    if found["status"] not in ENDED and found.get("cancel_at_period_end"):
        client.v1.subscriptions.update(external_id, {"cancel_at_period_end": False}, once())
    return fetch(client, external_id)


def change_plan(
    client: stripe.StripeClient,
    external_id: str,
    plan: PlanTerms,
    *,
    at_period_end: bool,
    key: str,
) -> SubscriptionSnapshot:
    found = plain(client.v1.subscriptions.retrieve(external_id))
    if mapping.plan_code(found) == plan.code:
        if at_period_end:
            _release(client, found)
    elif at_period_end:
        _change_later(client, found, plan, key=key)
    else:
        _release(client, found)
        _change_now(client, found, plan, key=key)
    return fetch(client, external_id)


def _change_now(client: stripe.StripeClient, found: dict, plan: PlanTerms, *, key: str) -> None:
    params: dict = {
        "items": [{"id": mapping.first_item(found)["id"], "price": ensure_plan(client, plan)}],
        "metadata": {mapping.PLAN: plan.code},
        "payment_behavior": "error_if_incomplete",
        "proration_behavior": "none",
    }
    if found["status"] != "trialing":  # free days stay free
        params["proration_behavior"] = "always_invoice"
        params["billing_cycle_anchor"] = {"type": "now"}
    client.v1.subscriptions.update(found["id"], params, keyed(key))


def _change_later(client: stripe.StripeClient, found: dict, plan: PlanTerms, *, key: str) -> None:
    schedule = _schedule(client, found)
    if not mapping.is_scheduled(schedule):
        schedule = plain(
            client.v1.subscription_schedules.create(
                {"from_subscription": found["id"]}, keyed(f"{key}:schedule")
            )
        )
    running = schedule["phases"][0]
    first: dict = {
        "items": [{"price": mapping.reference(row["price"])} for row in running["items"]],
        "start_date": running["start_date"],
        "end_date": running["end_date"],
        "proration_behavior": "none",
    }
    if running.get("trial_end"):
        first["trial_end"] = running["trial_end"]
    then: dict = {
        "items": [{"price": ensure_plan(client, plan)}],
        "duration": {"interval": plan.interval, "interval_count": 1},
        "metadata": {mapping.PLAN: plan.code},
        "proration_behavior": "none",
    }
    client.v1.subscription_schedules.update(
        schedule["id"],
        {
            "phases": [first, then],
            "end_behavior": "release",
            "metadata": {mapping.NEXT_PLAN: plan.code},
        },
        keyed(key),
    )


def set_payment_method(
    client: stripe.StripeClient, external_id: str, payment_method: str, *, customer: str
) -> SubscriptionSnapshot:
    """What is unpaid is paid first: a card that cannot do that replaces none."""
    client.v1.subscriptions.retrieve(external_id)  # no card is attached for one that is not there
    card = attach(client, payment_method, customer=customer, key=str(uuid4()))
    for name in _open_invoices(client, external_id):
        client.v1.invoices.pay(name, {"payment_method": card}, once())
    client.v1.subscriptions.update(external_id, {"default_payment_method": card}, once())
    make_default(client, customer, card)
    return fetch(client, external_id)
