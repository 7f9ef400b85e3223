"""Who changes a subscription, while its gateway carries the change out."""

from collections.abc import Iterator
from contextlib import contextmanager

from accounts.models import User
from config.errors import DomainError
from payments.errors import GatewayUnavailable
from payments.models import Subscription


@contextmanager
def changing(subscription: Subscription, *, by: User) -> Iterator[None]:
    """Note who changes the subscription at the gateway, until the change is applied or refused.

    The change may be applied by a webhook event before the gateway answers here, or after this process
    has died. Its audit entry names this user all the same.
    """
    row = Subscription.objects.filter(pk=subscription.pk)
    row.update(changing_by=by)
    try:
        yield
    except GatewayUnavailable:  # it may have been carried out
        raise
    except DomainError:
        row.update(changing_by=None)
        raise
    row.filter(changing_by=by).update(changing_by=None)  # nothing has changed
