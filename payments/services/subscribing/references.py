"""Calls about a subscription with the gateway's own plan and customer."""

from collections.abc import Callable
from typing import TypeVar

from payments.gateways.base import Gateway, PlanTerms
from payments.models import Subscription
from payments.services.offers import gateway_plans
from payments.services.settling import customers

Snapshot = TypeVar("Snapshot")


def with_references(
    subscription: Subscription,
    gateway: Gateway,
    call: Callable[[PlanTerms, str, str], Snapshot],
    *,
    trial_days: int,
    key: str,
) -> Snapshot:
    """Make a call with the gateway's own plan and customer; each is made anew, once, if it is gone.

    ``call`` gets the plan, the customer's id and the idempotency key. Raises OSError, and what ``call``
    raises.
    """
    return customers.with_customer(
        subscription.user,
        gateway,
        lambda customer, customer_key: gateway_plans.with_plan(
            subscription.plan,
            gateway,
            lambda terms: call(terms, customer, terms.key(customer_key)),
            trial_days=trial_days,
        ),
        key=key,
    )
