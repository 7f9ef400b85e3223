"""Customers: the gateway's own records of our users."""

import uuid

from django.db import IntegrityError, transaction

from accounts.models import User
from payments.gateways.base import Gateway
from payments.models import GatewayCustomer


def known(user_id: uuid.UUID, gateway: str) -> str:
    """Return the gateway's id of a user's customer record; "" when there is none yet."""
    customers = GatewayCustomer.objects.filter(user_id=user_id, gateway=gateway)
    return customers.values_list("external_id", flat=True).first() or ""


def ensure(user: User, gateway: Gateway) -> str:
    """Return the gateway's id of a user's customer record, which is created if it is missing.

    Returns "" for a gateway that needs no customer records. Safe to repeat: the idempotency key is the
    user's own. Call it outside of any transaction. Raises OSError.
    """
    external_id = known(user.pk, gateway.name)
    if external_id:
        return external_id
    external_id = gateway.create_customer(
        user_id=str(user.pk), email=user.email, key=f"customer:{user.pk}"
    )
    if external_id:
        try:
            with transaction.atomic():
                GatewayCustomer.objects.create(
                    user=user, gateway=gateway.name, external_id=external_id
                )
        except IntegrityError:  # a request at the same moment stored it first
            return known(user.pk, gateway.name)
    return external_id
