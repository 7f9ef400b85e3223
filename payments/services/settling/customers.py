"""Customers: the gateway's own records of our users."""

from collections.abc import Callable
from typing import TypeVar

from django.db import IntegrityError, transaction

from accounts.models import User
from payments.gateways.base import Gateway, ReferenceGone
from payments.models import GatewayCustomer

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
