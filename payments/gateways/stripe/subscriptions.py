"""Subscriptions at Stripe: its products Billing and Subscription Schedules.

The functions raise the SDK's errors; `StripeGateway` translates them.
"""

from contextlib import suppress
from typing import Literal
from uuid import uuid4

import stripe
from stripe.params import (
    SubscriptionCreateParams,
    SubscriptionScheduleCreateParams,
    SubscriptionScheduleUpdateParamsPhase,
    SubscriptionUpdateParams,
)

from payments.gateways.base import MethodUnknown, PlanTerms, SubscriptionSnapshot
from payments.gateways.json_fields import (
    Json,
    id_of,
    nested,
    objects,
    required_integer,
    required_text,
    text,
)
from payments.gateways.stripe import mapping
from payments.gateways.stripe.amounts import to_gateway
from payments.gateways.stripe.client import (
    ACTION_CODES,
    all_rows,
    as_json,
    key_is_used,
    with_key,
    with_new_key,
)

ENDED = {"canceled", "incomplete_expired"}


def ensure_plan(client: stripe.StripeClient, plan: PlanTerms) -> str:
    """Return the id of the plan's Price at Stripe; create the Price if it is missing."""
    if plan.ref and plan.ref != plan.gone:
        return plan.ref
    # The terms of a plan never change, so its code and price name one Price for good.
    lookup_key = f"{plan.code}:{plan.amount}:{plan.currency}:{plan.interval}"
    page = client.v1.prices.list({"lookup_keys": [lookup_key], "active": True, "limit": 100})
    known = [price.id for price in page.data if price.id != plan.gone]
    if known:
        return known[0]
    price = client.v1.prices.create(
        {
            "currency": plan.currency.lower(),
            "unit_amount": to_gateway(plan.amount, plan.currency),
            "recurring": {"interval": plan.interval},
            "lookup_key": lookup_key,
            "transfer_lookup_key": True,  # an archived price would keep it
            "product_data": {"name": plan.name, "metadata": {mapping.PLAN: plan.code}},
            "metadata": {mapping.PLAN: plan.code},
        },
        # Stripe repeats its answer to a key, so a price that is gone would be answered again.
        with_key(f"plan:{lookup_key}:{plan.gone}" if plan.gone else f"plan:{lookup_key}"),
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
    """Start a subscription: see `Gateway.start_subscription`."""
    if not payment_method and not plan.trial_days:
        raise MethodUnknown("no payment method")
    params: SubscriptionCreateParams = {
        "customer": customer,
        "items": [{"price": ensure_plan(client, plan)}],
        "metadata": {mapping.SUBSCRIPTION: reference, mapping.PLAN: plan.code},
        "payment_settings": {"save_default_payment_method": "on_subscription"},
    }
    if plan.trial_days:
        params["trial_period_days"] = plan.trial_days
        # By default Stripe bills a trial without a card, and its unpaid period begins.
        # https://docs.stripe.com/billing/subscriptions/trials/free-trials
        params["trial_settings"] = {"end_behavior": {"missing_payment_method": "cancel"}}
    if payment_method:
        # The card's name is part of the key. An unknown card then leaves the key unused, and the
        # buyer's next card can be attached.
        card = _attach(
            client, payment_method, customer=customer, key=f"{key}:attach:{payment_method}"
        )
        params["default_payment_method"] = card
        params["payment_behavior"] = "error_if_incomplete"
    try:
        started = client.v1.subscriptions.create(params, with_key(key))
    except stripe.IdempotencyError:
        started = _started_before(client, customer, reference)
    except stripe.CardError as error:
        if error.code not in ACTION_CODES:
            raise
        # Stripe has started nothing, because the bank wants the buyer to authenticate. The buyer is
        # present and can be asked, so start a subscription that waits for its first payment.
        params["payment_behavior"] = "allow_incomplete"
        started = client.v1.subscriptions.create(params, with_key(f"{key}:incomplete"))
    if payment_method:
        _make_default(client, customer, card)
    return fetch(client, started.id)


def _started_before(
    client: stripe.StripeClient, customer: str, reference: str
) -> stripe.Subscription:
    """Return the subscription that an earlier request with this key and another card has started."""
    page = client.v1.subscriptions.list({"customer": customer, "status": "all", "limit": 100})
    for subscription in page.auto_paging_iter():
        metadata = nested(as_json(subscription), "metadata")
        if metadata.get(mapping.SUBSCRIPTION) == reference:
            return subscription
    raise key_is_used("subscription")


def _attach(client: stripe.StripeClient, payment_method: str, *, customer: str, key: str) -> str:
    """Attach a card to a customer and return the id that the card has from now on.

    Raises MethodUnknown, and the SDK's CardError for a card that can never be charged.
    """
    try:
        return client.v1.payment_methods.attach(
            payment_method, {"customer": customer}, with_key(key)
        ).id
    except stripe.InvalidRequestError as error:
        if error.param == "customer":
            raise
        raise MethodUnknown(str(error.user_message)) from error


def _make_default(client: stripe.StripeClient, customer: str, card: str) -> None:
    """Make a card the one that the customer's invoices are charged to."""
    client.v1.customers.update(
        customer, {"invoice_settings": {"default_payment_method": card}}, with_new_key()
    )


def fetch(client: stripe.StripeClient, external_id: str) -> SubscriptionSnapshot:
    """Return the current state of a subscription, with its invoices and its planned change."""
    subscription = retrieve(client, external_id)
    invoices = client.v1.invoices.list(
        {"subscription": external_id, "limit": 100, "expand": ["data.payments"]}
    )
    return mapping.subscription(subscription, all_rows(invoices), _schedule(client, subscription))


def retrieve(client: stripe.StripeClient, external_id: str) -> Json:
    return as_json(client.v1.subscriptions.retrieve(external_id))


def _schedule(client: stripe.StripeClient, subscription: Json) -> Json | None:
    """Return the schedule that a subscription is attached to, if there is one.

    One that is gone changes nothing any more, and says nothing about its subscription.
    """
    schedule_id = id_of(subscription.get("schedule"))
    if not schedule_id:
        return None
    try:
        return as_json(client.v1.subscription_schedules.retrieve(schedule_id))
    except stripe.InvalidRequestError as error:
        if error.code != "resource_missing":
            raise
        return None


def release(client: stripe.StripeClient, subscription: Json) -> Json | None:
    """Undo a planned change, and return its schedule; None if there was none.

    Stripe refuses to change or cancel a subscription that has a schedule.
    """
    schedule = _schedule(client, subscription)
    if schedule is None or not mapping.is_scheduled(schedule):
        return None
    client.v1.subscription_schedules.release(required_text(schedule, "id"), {}, with_new_key())
    return schedule


def cancel(
    client: stripe.StripeClient, external_id: str, *, at_period_end: bool
) -> SubscriptionSnapshot:
    """Cancel a subscription: see `Gateway.cancel_subscription`."""
    subscription = retrieve(client, external_id)
    if subscription["status"] not in ENDED:
        release(client, subscription)
        if at_period_end and mapping.ends_with_period(subscription):
            pass
        elif at_period_end and subscription["status"] != "incomplete":
            client.v1.subscriptions.update(
                external_id, {"cancel_at_period_end": True}, with_new_key()
            )
        else:
            _end(client, external_id)
    return fetch(client, external_id)


def _end(client: stripe.StripeClient, external_id: str) -> None:
    """End a subscription at once, without a last invoice, and void its unpaid invoices.

    Stripe collects the invoice of a renewal after about an hour as a draft. The draft of a subscription
    cannot be deleted or voided, so it is finalised first, without being collected.
    """
    for invoice_id in _invoices(client, external_id, "draft"):
        with suppress(stripe.InvalidRequestError):  # Stripe has finalised it in the meantime
            client.v1.invoices.finalize_invoice(invoice_id, {"auto_advance": False}, with_new_key())
    client.v1.subscriptions.cancel(
        external_id, {"invoice_now": False, "prorate": False}, with_new_key()
    )
    for invoice_id in _invoices(client, external_id, "open"):
        # It may be paid or voided in the meantime: the caller fetches its state next.
        with suppress(stripe.InvalidRequestError):
            client.v1.invoices.void_invoice(invoice_id, {}, with_new_key())


def _invoices(
    client: stripe.StripeClient, external_id: str, status: Literal["draft", "open"]
) -> list[str]:
    """Return the ids of a subscription's invoices with a status."""
    page = client.v1.invoices.list({"subscription": external_id, "status": status, "limit": 100})
    return [required_text(invoice, "id") for invoice in all_rows(page)]


def resume(client: stripe.StripeClient, external_id: str) -> SubscriptionSnapshot:
    """Undo a cancellation: see `Gateway.resume_subscription`."""
    subscription = retrieve(client, external_id)
    if subscription["status"] not in ENDED and mapping.ends_with_period(subscription):
        # While a schedule decides about the end, Stripe refuses to change it at the subscription.
        planned = release(client, subscription)
        # The Customer Portal sets only `cancel_at`, and `cancel_at_period_end` does not clear that.
        undone: SubscriptionUpdateParams = {"cancel_at": ""}
        if subscription.get("cancel_at_period_end"):
            undone = {"cancel_at_period_end": False}
        client.v1.subscriptions.update(external_id, undone, with_new_key())
        if planned is not None and mapping.next_plan_code(planned):
            plan_again(client, subscription, planned)
    return fetch(client, external_id)


def change_at_period_end(
    client: stripe.StripeClient, subscription: Json, plan: PlanTerms, *, key: str
) -> None:
    """Plan the change with a schedule: a phase up to the period's end, then one with the new plan."""
    schedule = _schedule(client, subscription)
    if schedule is None or not mapping.is_scheduled(schedule):
        schedule = _new_schedule(client, subscription, key=f"{key}:schedule")
    next_phase: SubscriptionScheduleUpdateParamsPhase = {
        "items": [{"price": ensure_plan(client, plan)}],
        "duration": {"interval": plan.interval, "interval_count": 1},
        "metadata": {mapping.PLAN: plan.code},
        "proration_behavior": "none",
    }
    _plan_phase(client, schedule, next_phase, code=plan.code, key=key)


def plan_again(client: stripe.StripeClient, subscription: Json, planned: Json) -> None:
    """Plan the change of a released schedule once more, because the change that replaced it failed."""
    phase = objects(planned["phases"])[-1]
    code = text(nested(planned, "metadata"), mapping.NEXT_PLAN)
    next_phase: SubscriptionScheduleUpdateParamsPhase = {
        "items": [{"price": id_of(item["price"])} for item in objects(phase["items"])],
        "end_date": required_integer(phase, "end_date"),
        "metadata": {mapping.PLAN: code},
        "proration_behavior": "none",
    }
    schedule = _new_schedule(client, subscription, key=str(uuid4()))
    _plan_phase(client, schedule, next_phase, code=code, key=str(uuid4()))


def _new_schedule(client: stripe.StripeClient, subscription: Json, *, key: str) -> Json:
    """Return a new schedule whose only phase is the subscription's current period."""
    params: SubscriptionScheduleCreateParams = {
        "from_subscription": required_text(subscription, "id")
    }
    return as_json(client.v1.subscription_schedules.create(params, with_key(key)))


def _plan_phase(
    client: stripe.StripeClient,
    schedule: Json,
    next_phase: SubscriptionScheduleUpdateParamsPhase,
    *,
    code: str,
    key: str,
) -> None:
    """Let a phase with the plan of this code follow the running phase of a schedule."""
    client.v1.subscription_schedules.update(
        required_text(schedule, "id"),
        {
            "phases": [_running_phase(schedule), next_phase],
            "end_behavior": "release",
            "metadata": {mapping.NEXT_PLAN: code},
        },
        with_key(key),
    )


def _running_phase(schedule: Json) -> SubscriptionScheduleUpdateParamsPhase:
    """Return a schedule's first phase as it is: Stripe wants it again with each update."""
    running = objects(schedule["phases"])[0]
    phase: SubscriptionScheduleUpdateParamsPhase = {
        "items": [{"price": id_of(item["price"])} for item in objects(running["items"])],
        "start_date": required_integer(running, "start_date"),
        "end_date": required_integer(running, "end_date"),
        "proration_behavior": "none",
    }
    if running.get("trial_end"):
        phase["trial_end"] = required_integer(running, "trial_end")
    return phase


def set_payment_method(
    client: stripe.StripeClient, external_id: str, payment_method: str, *, customer: str
) -> SubscriptionSnapshot:
    """Replace a subscription's card: see `Gateway.set_payment_method`.

    Open invoices are paid before the card is replaced, so that a declined card replaces none.
    """
    retrieve(client, external_id)  # an unknown subscription must not leave a card attached
    card = _attach(client, payment_method, customer=customer, key=str(uuid4()))
    for invoice_id in _invoices(client, external_id, "open"):
        client.v1.invoices.pay(invoice_id, {"payment_method": card}, with_new_key())
    client.v1.subscriptions.update(external_id, {"default_payment_method": card}, with_new_key())
    _make_default(client, customer, card)
    return fetch(client, external_id)
