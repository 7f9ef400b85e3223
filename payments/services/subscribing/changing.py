"""One change of a subscription at a time, and who makes it, while its gateway carries it out."""

from collections.abc import Iterator
from contextlib import contextmanager

from accounts.models import User
from config.errors import DomainError
from payments import idempotency
from payments.errors import ChangeInProgress, GatewayUnavailable, KeyInProgress
from payments.models import Subscription

# No client can send this key: those of clients are ASCII.
ONE_CHANGE = "§change of plan"


@contextmanager
def one_at_a_time(user: User) -> Iterator[None]:
    """Let one request change the plan of a user's subscription at a time. Raises ChangeInProgress.

    What a change costs depends on the period in which it is made, and a change begins a new period. The
    claim of a process that has died is free again after two minutes.
    """
    try:
        claim = idempotency.begin(user=user, key=ONE_CHANGE, request_fingerprint="")
    except KeyInProgress:
        raise ChangeInProgress() from None
    try:
        yield
    finally:
        idempotency.forget(claim)


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
