"""Customers: the gateway's own records of our users."""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef

import audit.services as audit
from accounts.models import User
from audit.actions import AuditAction
from payments import gateways
from payments.gateways.base import Gateway, ReferenceGone
from payments.models import GatewayCustomer, Subscription

AT_ONCE = 100

Result = TypeVar("Result")


def with_customer(
    user: User,
    gateway: Gateway,
    call: Callable[[str, str], Result],
    *,
    key: str,
    is_needed: bool = True,
) -> Result:
    """Make a call at the gateway with its record of a user, and return the call's result.

    ``call`` gets the customer's id and the idempotency key. The record is created if it is missing;
    with ``is_needed=False``, the id is "" then, as it is for a gateway that keeps no customers. A record
    that is gone at the gateway is made anew, once for all calls at the same moment, and the call is
    made again: with another key, because the gateway repeats its answer to the first one.

    Call it outside of any transaction. Raises OSError, and what ``call`` raises.
    """
    if not gateway.keeps_customers:
        return call("", key)
    customer = _known(user, gateway) or (_created(user, gateway) if is_needed else None)
    if customer is None:
        return call("", key)
    try:
        return call(customer.external_id, _key_for(customer, key))
    except ReferenceGone as gone:
        if gone.kind != "customer":
            raise
    customer = _renewed(customer, gateway)
    return call(customer.external_id, _key_for(customer, key))


def ensure(user: User, gateway: Gateway) -> str:
    """Return the gateway's id of a user's customer record, which is created if it is missing.

    Returns "" for a gateway that keeps no customers. Safe to repeat: the idempotency key is the user's
    own. Call it outside of any transaction. Raises OSError.
    """
    if not gateway.keeps_customers:
        return ""
    return (_known(user, gateway) or _created(user, gateway)).external_id


def due_to_delete() -> list[GatewayCustomer]:
    """Return up to 100 records of erased users at the open gateway.

    While a subscription runs, the record stays: to delete it would end the period that was paid.
    """
    live = Subscription.objects.filter(user=OuterRef("user"), status__in=Subscription.LIVE)
    erased = GatewayCustomer.objects.filter(user__erasure__isnull=False).exclude(Exists(live))
    return list(erased.filter(gateway=settings.PAYMENT_GATEWAY).order_by("pk")[:AT_ONCE])


def delete_at_gateway(customer: GatewayCustomer) -> None:
    """Delete an erased user's record at its gateway, and then the row that shows that this is due.

    Safe to repeat, and to run twice at once: the gateway takes a second deletion for done, and the one
    process that deletes the row writes the audit entry. Call it outside of any transaction. Raises
    OSError and RequestRefused; the row stays then.
    """
    gateways.by_name(customer.gateway).delete_customer(customer.external_id)
    with transaction.atomic():
        if GatewayCustomer.objects.filter(pk=customer.pk).delete()[0]:
            audit.record(
                actor=None,
                action=AuditAction.CUSTOMER_DELETED,
                target=customer.user,
                gateway=customer.gateway,
                customer=customer.external_id,
            )


def _known(user: User, gateway: Gateway) -> GatewayCustomer | None:
    return GatewayCustomer.objects.filter(user=user, gateway=gateway.name).first()


def _created(user: User, gateway: Gateway) -> GatewayCustomer:
    external_id = gateway.create_customer(
        user_id=str(user.pk), email=user.email, key=f"customer:{user.pk}"
    )
    try:
        with transaction.atomic():
            return GatewayCustomer.objects.create(
                user=user, gateway=gateway.name, external_id=external_id
            )
    except IntegrityError:  # a request at the same moment stored it first
        return GatewayCustomer.objects.get(user=user, gateway=gateway.name)


def _renewed(customer: GatewayCustomer, gateway: Gateway) -> GatewayCustomer:
    """Make a customer record anew at the gateway, and store its id.

    All requests that find the same record gone use one key, and get one new record.
    """
    user, number = customer.user, customer.renewals + 1
    external_id = gateway.create_customer(
        user_id=str(user.pk), email=user.email, key=f"customer:{user.pk}:{number}"
    )
    unchanged = GatewayCustomer.objects.filter(pk=customer.pk, renewals=customer.renewals)
    unchanged.update(external_id=external_id, renewals=number)
    customer.refresh_from_db()
    return customer


def _key_for(customer: GatewayCustomer, key: str) -> str:
    return f"{key}:customer{customer.renewals}" if customer.renewals else key
