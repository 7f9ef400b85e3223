"""The credits that the books must hold for one payment, as pure functions of its facts.

They are computed from facts (how much was captured, how much went back), not from events. Each change
of a payment books the difference to its earlier entries. So repeated, duplicate and reordered events
lead to the same books, and partial refunds add up exactly. All amounts are in minor units; positive
numbers are credits, negative ones debits.
"""

from config.money import creator_share
from payments.models import LedgerAccount

Role = LedgerAccount.Role
Credits = dict[LedgerAccount.Role, int]


def of_sale(*, captured: int, back: int, fee_bps: int, subsidy: int = 0) -> Credits:
    """Return the split of a paid order between creator and platform.

    ``back`` is the sum of its refunds and of the money that banks hold for disputes; the part of it
    beyond the capture is the platform's loss. ``subsidy`` is a discount that the platform pays: the
    creator gets their part of the full price, in proportion to what is left of the payment.

    >>> list(of_sale(captured=1999, back=0, fee_bps=2000).values())  # in the order of the roles below
    [1600, 399, 0, 0]
    >>> list(of_sale(captured=1999, back=2099, fee_bps=2000).values())
    [0, 0, 0, -100]
    """
    left, lost = _left_and_lost(captured, back)
    subsidised = subsidy * left // captured if captured else 0
    shared = left + subsidised
    share = creator_share(shared, fee_bps)
    return {
        Role.CREATOR: share,
        Role.PLATFORM: shared - share,
        Role.PROMOTIONS: -subsidised,
        Role.LOSSES: -lost,
    }


def of_gift(*, subsidy: int, fee_bps: int) -> Credits:
    """Return the split of a free order: the platform pays its price, the ``subsidy``."""
    share = creator_share(subsidy, fee_bps)
    return {Role.CREATOR: share, Role.PLATFORM: subsidy - share, Role.PROMOTIONS: -subsidy}


def of_invoice(*, captured: int, back: int, recognised: int, fee_bps: int) -> Credits:
    """Return the split of a subscription's period: ``recognised`` is earned, the remainder deferred.

    ``back`` is the sum of its refunds and of the money that banks hold for disputes.

    >>> list(of_invoice(captured=999, back=0, recognised=500, fee_bps=2000).values())
    [499, 400, 100, 0]
    """
    left, lost = _left_and_lost(captured, back)
    earned = min(recognised, left)
    share = creator_share(earned, fee_bps)
    return {
        Role.DEFERRED: left - earned,
        Role.POOL: share,
        Role.PLATFORM: earned - share,
        Role.LOSSES: -lost,
    }


def of_duplicate(*, captured: int, back: int) -> Credits:
    """Return the credits of a payment beside another one: the payer gets back all that is left."""
    left, lost = _left_and_lost(captured, back)
    return {Role.CUSTOMER_REFUND: left, Role.LOSSES: -lost}


def of_unmatched(*, captured: int, back: int) -> Credits:
    """Return the credits of a payment of no known order or invoice: it waits in suspense."""
    left, lost = _left_and_lost(captured, back)
    return {Role.SUSPENSE: left, Role.LOSSES: -lost}


def _left_and_lost(captured: int, back: int) -> tuple[int, int]:
    """Return how much is left of a payment, and how much went back beyond it."""
    left = captured - back
    return max(0, left), max(0, -left)
