"""The first payment of an order or a subscription: the payer's next step, the checkout, declines."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.errors import GatewayUnavailable
from payments.gateways.base import Gateway, Item
from payments.models import Order, Payment, Subscription

NextAction = dict[str, str | None]


@dataclass(frozen=True, slots=True)
class CheckoutRequest:
    """All that a gateway must know to create a checkout. ``customer`` may be empty."""

    item: Item
    customer: str
    expires_at: datetime


def next_action(
    payable: Order | Subscription,
    *,
    payments: QuerySet[Payment],
    request: Callable[[Gateway], CheckoutRequest],
    return_url: str,
) -> NextAction | None:
    """Return the step that the payer must take next, or None when there is none.

    The step is to pay on the checkout ("redirect"), or to confirm a payment at their bank
    ("authenticate"), each at the ``url``. ``payments`` are those that are meant for the payable;
    ``request`` is called only when the checkout has to be created. Raises GatewayUnavailable; the
    call is safe to repeat.
    """
    if payable.status not in payable.OPEN:
        return None
    gateway = gateways.by_name(payable.gateway)
    try:
        if not payable.is_at_gateway:
            url = _checkout_url(payable, gateway, request, return_url)
            return {"type": "redirect", "url": url, "client_secret": None}
        waiting = payments.filter(status=Payment.Status.REQUIRES_ACTION).last()
        if waiting is None:
            return None
        url = gateway.fetch_payment(waiting.external_id).action_url
        return {"type": "authenticate", "url": url, "client_secret": None}
    except OSError as error:
        raise GatewayUnavailable() from error


def _checkout_url(
    payable: Order | Subscription,
    gateway: Gateway,
    request: Callable[[Gateway], CheckoutRequest],
    return_url: str,
) -> str:
    """Return the address of the payable's checkout. The checkout is created once."""
    if not payable.checkout_url:
        wanted = request(gateway)
        checkout = gateway.create_checkout(
            wanted.item,
            customer=wanted.customer,
            key=payable.checkout_key,
            return_url=return_url,
            expires_at=wanted.expires_at,
        )
        payable.checkout_id, payable.checkout_url = checkout.external_id, checkout.url
        payable.save(update_fields=["checkout_id", "checkout_url"])
    return payable.checkout_url


def reopen(payable: Order | Subscription, *, next_attempt: bool = False) -> None:
    """Let another card be charged after a charge that took no money.

    Do nothing when the payable has moved on in the meantime. ``next_attempt`` gives the next charge
    an idempotency key of its own, because the gateway's answer to this key is final.
    """
    changes = {"attempt": F("attempt") + 1} if next_attempt else {}
    type(payable).objects.filter(
        pk=payable.pk, attempt=payable.attempt, status=payable.CHARGING
    ).update(status=payable.CHARGEABLE, **changes)


@transaction.atomic
def note_decline(payable: Order | Subscription, *, decline_code: str) -> None:
    """Record that the payer's card was declined, and let another one be charged."""
    reopen(payable, next_attempt=True)
    audit.record(
        actor=payable.payer,
        action=AuditAction.PAYMENT_DECLINED,
        target=payable,
        decline_code=decline_code,
    )
