"""The hold on the payouts of creators whom a moderator has suspended."""

from accounts.models import User
from payments.errors import PayoutsOnHold


def refuse_on_hold(creator: User) -> None:
    """Raise PayoutsOnHold while the creator is suspended. The balance stays as it is."""
    if creator.suspended_at is not None:
        raise PayoutsOnHold()
