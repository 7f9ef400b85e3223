"""What the books must hold for one payment: pure functions of its facts.

Of facts, not of events: each change posts the difference to what is booked, so repeats, duplicates
and any order of events end at the same books, and partial refunds add up exactly. All amounts are
minor units; positive numbers are credits.
"""

from config.money import creator_share
from payments.models import LedgerAccount

Role = LedgerAccount.Role
Credits = dict[LedgerAccount.Role, int]


def of_sale(*, captured: int, back: int, fee_bps: int, subsidy: int = 0) -> Credits:
    """The split of a sale. ``back`` has been refunded or taken back by banks.

    What went back beyond the capture is the platform's loss. ``subsidy`` is a discount that the
    platform pays: the creator shares the full price, in proportion to what is left of the payment.

    >>> list(of_sale(captured=1999, back=0, fee_bps=2000).values())  # in the order of the roles below
    [1600, 399, 0, 0]
    >>> list(of_sale(captured=1999, back=2099, fee_bps=2000).values())
    [0, 0, 0, -100]
    """
    net, lost = _left(captured, back)
    subsidised = subsidy * net // captured if captured else 0
    base = net + subsidised
    share = creator_share(base, fee_bps)
    return {
        Role.CREATOR: share,
        Role.PLATFORM: base - share,
        Role.PROMOTIONS: -subsidised,
        Role.LOSSES: -lost,
    }


def of_gift(*, subsidy: int, fee_bps: int) -> Credits:
    """The split of a video that cost its buyer nothing because the platform paid for it all."""
    share = creator_share(subsidy, fee_bps)
    return {Role.CREATOR: share, Role.PLATFORM: subsidy - share, Role.PROMOTIONS: -subsidy}


def of_invoice(*, captured: int, back: int, recognised: int, fee_bps: int) -> Credits:
    """A subscription's period: ``recognised`` of it is earned and split, the rest is still owed.

    >>> list(of_invoice(captured=999, back=0, recognised=500, fee_bps=2000).values())
    [499, 400, 100, 0]
    """
    net, lost = _left(captured, back)
    earned = min(recognised, net)
    share = creator_share(earned, fee_bps)
    return {
        Role.DEFERRED: net - earned,
        Role.POOL: share,
        Role.PLATFORM: earned - share,
        Role.LOSSES: -lost,
    }


def _left(captured: int, back: int) -> tuple[int, int]:
    """What is left of a payment, and what went back beyond it."""
    left = captured - back
    return max(0, left), max(0, -left)
