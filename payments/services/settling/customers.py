"""Under which name a gateway knows a user."""

from django.db import IntegrityError, transaction

from payments.gateways.base import Gateway
from payments.models import GatewayCustomer


def known(user_id, gateway: str) -> str:
    """The gateway's name for a user; empty when it has none yet."""
    found = GatewayCustomer.objects.filter(user_id=user_id, gateway=gateway)
    return found.values_list("external_id", flat=True).first() or ""


def ensure(user, gateway: Gateway) -> str:
    """The gateway's name for a user, made once. Raises OSError."""
    name = known(user.pk, gateway.name)
    if name:
        return name
    name = gateway.create_customer(
        user_id=str(user.pk), email=user.email, key=f"customer:{user.pk}"
    )
    if name:
        try:
            with transaction.atomic():
                GatewayCustomer.objects.create(user=user, gateway=gateway.name, external_id=name)
        except IntegrityError:
            return known(user.pk, gateway.name)  # another tab was faster
    return name
