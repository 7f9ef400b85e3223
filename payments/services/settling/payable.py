"""The first payment of an order or a subscription: the payer's next step, the checkout, declines."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import transaction
from django.db.models import F, QuerySet

import audit.services as audit
from audit.actions import AuditAction
from payments import gateways
from payments.errors import AmountBelowMinimum, CardDeclined, PaymentMethodUnknown
from payments.gateways.base import CheckoutSnapshot, CheckoutStatus, Gateway, PaymentSnapshot
from payments.gateways.translation import translate_errors
from payments.models import Order, Payment, Subscription
from payments.services.settling import fetching
from payments.services.settling.facts import sync_payment

NextAction = dict[str, str | None]


def next_action(
    payable: Order | Subscription,
    *,
    payments: QuerySet[Payment],
    create_checkout: Callable[[Gateway], CheckoutSnapshot],
) -> NextAction | None:
    """Return the step that the payer must take next, or None when there is none.

    The step is to pay on the checkout ("redirect"), or to confirm one of the ``payments`` at their
    bank ("authenticate"), each at the ``url``. ``create_checkout`` is called once for a payable, and
    again when its checkout is closed. A payment or a checkout that is gone at the gateway is over.
    Raises GatewayUnavailable; the call is safe to repeat.
    """
    if payable.status not in payable.OPEN:
        return None
    gateway = gateways.by_name(payable.gateway)
    with translate_errors():
        if payable.is_at_gateway:
            waiting = waiting_payment(payable, payments)
            if waiting is not None:
                url = waiting.action_url
                return {"type": "authenticate", "url": url, "client_secret": None}
            if payable.is_at_gateway:
                return None
        if payable.checkout_url and not payable.checkout_closed:
            known = fetching.checkout(gateway.name, payable.checkout_id or "")
            payable.checkout_closed = known.status == CheckoutStatus.EXPIRED
        if not payable.checkout_url or payable.checkout_closed:
            checkout = create_checkout(gateway)
            payable.checkout_id, payable.checkout_url = checkout.external_id, checkout.url
            payable.checkout_closed = False
            payable.save(update_fields=["checkout_id", "checkout_url", "checkout_closed"])
    return {"type": "redirect", "url": payable.checkout_url, "client_secret": None}


def waiting_payment(
    payable: Order | Subscription, payments: QuerySet[Payment]
) -> PaymentSnapshot | None:
    """Return the one of the ``payments`` that waits for the payer's bank, as it is at the gateway.

    Return None without one, and for one that was canceled there or is gone: this is taken over, so that
    the payable can be paid by a new attempt. Raises OSError.
    """
    row = payments.filter(status=Payment.Status.REQUIRES_ACTION).last()
    if row is None:
        return None
    snapshot = fetching.payment(row.gateway, row.external_id)
    if snapshot.status != Payment.Status.CANCELED:
        return snapshot
    sync_payment(gateway=row.gateway, external_id=row.external_id, snapshot=snapshot)
    payable.refresh_from_db(fields=["status", "attempt"])
    return None


@contextmanager
def charging(payable: Order | Subscription) -> Iterator[None]:
    """Guard a call that charges the payer's card: translate the gateway's errors and note a decline.

    After CardDeclined, PaymentMethodUnknown or AmountBelowMinimum no money has moved, so that an
    open payable waits for another card again. After GatewayUnavailable the outcome is unknown, so
    that it stays as it is: the same call with the same key finds out.
    """
    try:
        with translate_errors():
            yield
    except CardDeclined as declined:
        with transaction.atomic():
            _reopen(payable)
            # The gateway's answer to this key is final: the next attempt needs another one.
            _unchanged(payable).update(attempt=F("attempt") + 1)
            audit.record(
                actor=payable.payer,
                action=AuditAction.PAYMENT_DECLINED,
                target=payable,
                decline_code=declined.decline_code,
            )
        raise
    except (PaymentMethodUnknown, AmountBelowMinimum):
        _reopen(payable)
        raise


def _reopen(payable: Order | Subscription) -> None:
    """Let another card be charged, unless the payable has moved on in the meantime."""
    _unchanged(payable).filter(status=payable.CHARGING).update(status=payable.CHARGEABLE)


def _unchanged(payable: Order | Subscription) -> QuerySet[Order] | QuerySet[Subscription]:
    """Return the payable's row, unless another request has had a decline in the meantime."""
    return type(payable).objects.filter(pk=payable.pk, attempt=payable.attempt)
