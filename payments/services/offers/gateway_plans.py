"""Plans at a gateway: each is created there once, and made anew when it is gone."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from django.db import transaction

from payments import locks
from payments.gateways.base import Gateway, PlanTerms, ReferenceGone
from payments.models import Plan

Result = TypeVar("Result")


def with_plan(
    plan: Plan, gateway: Gateway, call: Callable[[PlanTerms], Result], *, trial_days: int
) -> Result:
    """Make a call at the gateway about a plan, and return the call's result.

    The plan is created there first if it is missing. One that is gone at the gateway is made anew, once
    for all calls at the same moment, and the call is made again. ``call`` must pass its idempotency key
    through `PlanTerms.key`: the gateway repeats its answer to the first one.

    Call it outside of any transaction. Raises OSError, and what ``call`` raises.
    """
    terms = _terms_of(plan, gateway, trial_days=trial_days)
    if not terms.ref:
        terms = _stored(plan, gateway, terms, gateway.ensure_plan(terms))
    try:
        return call(terms)
    except ReferenceGone as gone:
        if gone.kind != "plan":
            raise
    terms = replace(terms, gone=terms.ref, renewals=terms.renewals + 1)
    return call(_stored(plan, gateway, terms, gateway.ensure_plan(terms)))


def _terms_of(plan: Plan, gateway: Gateway, *, trial_days: int) -> PlanTerms:
    return PlanTerms(
        code=plan.code,
        name=plan.name,
        amount=plan.amount,
        currency=plan.currency,
        interval=plan.interval,
        trial_days=trial_days,
        ref=plan.gateway_refs.get(gateway.name) or "",
        renewals=plan.gateway_refs.get(_renewals(gateway), 0),
    )


def _stored(plan: Plan, gateway: Gateway, terms: PlanTerms, ref: str) -> PlanTerms:
    """Store the gateway's new id of a plan, unless another request has; return the plan's terms."""
    with transaction.atomic():
        locked = locks.lock_plan(plan.pk)
        if locked is not None and (locked.gateway_refs.get(gateway.name) or "") == terms.gone:
            locked.gateway_refs = {**locked.gateway_refs, gateway.name: ref}
            if terms.renewals:
                locked.gateway_refs[_renewals(gateway)] = terms.renewals
            locked.save(update_fields=["gateway_refs"])
    plan.refresh_from_db(fields=["gateway_refs"])
    return _terms_of(plan, gateway, trial_days=terms.trial_days)


def _renewals(gateway: Gateway) -> str:
    """Return the name under which `Plan.gateway_refs` counts how often a plan was made anew."""
    return f"{gateway.name}:renewals"
