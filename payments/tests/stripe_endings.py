"""How subscriptions of the stand-in for Stripe end: on the Customer Portal, and with their trial.

https://docs.stripe.com/billing/subscriptions/cancel and …/trials/free-trials
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from payments.tests.stripe_stand_in import StripeStandIn


def cancel_in_portal(stripe: "StripeStandIn", name: str) -> None:
    """Cancel a subscription as its subscriber does on the Customer Portal.

    The portal sets the moment ``cancel_at``, and leaves ``cancel_at_period_end`` false.
    """
    subscription = stripe.find("subscription", name)
    subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"]
    stripe.tell("customer.subscription.updated", subscription)


def cancel_by_schedule(stripe: "StripeStandIn", name: str) -> None:
    """Let a subscription end with its period by a schedule, as on Stripe's own pages."""
    schedule = stripe.create_schedule(name)
    schedule["end_behavior"] = "cancel"
    subscription = stripe.find("subscription", name)
    subscription["cancel_at"] = schedule["phases"][-1]["end_date"]
    stripe.tell("customer.subscription.updated", subscription)


def plan_end(subscription: dict, params: dict) -> None:
    """Set the end of a subscription as an update of it asks for.

    With ``cancel_at_period_end``, the moment ``cancel_at`` is the period's end, and moves with it. A
    moment that was set by itself stays as it is.
    """
    was_with_period = subscription["cancel_at_period_end"]
    if "cancel_at_period_end" in params:
        subscription["cancel_at_period_end"] = params["cancel_at_period_end"] == "true"
    if "cancel_at" in params:
        subscription["cancel_at"] = int(params["cancel_at"]) if params["cancel_at"] else None
    elif subscription["cancel_at_period_end"]:
        subscription["cancel_at"] = subscription["items"]["data"][0]["current_period_end"]
    elif was_with_period:
        subscription["cancel_at"] = None


def ends_now(subscription: dict) -> bool:
    """Return whether a subscription ends with the period that is over now.

    It was canceled, or its trial ends without a card and it was to be canceled then. By default Stripe
    bills it, which fails.
    """
    until = subscription["items"]["data"][0]["current_period_end"]
    cancel_at = subscription["cancel_at"]
    settings = (subscription["trial_settings"] or {}).get("end_behavior", {})
    without_card = (
        subscription["status"] == "trialing" and not subscription["default_payment_method"]
    )
    return (
        subscription["cancel_at_period_end"]
        or (cancel_at is not None and cancel_at <= until)
        or (without_card and settings.get("missing_payment_method") == "cancel")
    )
