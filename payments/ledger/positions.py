"""What the books must hold for one payment: pure functions of its facts.

Of facts, not of events: each change posts the difference to what is booked, so repeats, duplicates
and any order of events end at the same books, and partial refunds add up exactly. All amounts are
minor units; positive numbers are credits.
"""

from config.money import creator_share


def of_sale(*, captured: int, back: int, fee_bps: int, subsidy: int = 0) -> dict[str, int]:
    """The split of a sale. ``back`` has been refunded or taken back by banks.

    What went back beyond the capture is the platform's loss. ``subsidy`` is a discount that the
    platform pays: the creator shares the full price, in proportion to what is left of the payment.

    >>> of_sale(captured=1999, back=0, fee_bps=2000)
    {'creator': 1600, 'platform': 399, 'promotions': 0, 'losses': 0}
    >>> of_sale(captured=1999, back=1999, fee_bps=2000)
    {'creator': 0, 'platform': 0, 'promotions': 0, 'losses': 0}
    """
    net, lost = _left(captured, back)
    subsidised = subsidy * net // captured if captured else 0
    base = net + subsidised
    share = creator_share(base, fee_bps)
    return {
        "creator": share,
        "platform": base - share,
        "promotions": -subsidised,
        "losses": -lost,
    }


def of_gift(*, subsidy: int, fee_bps: int) -> dict[str, int]:
    """The split of a video that cost its buyer nothing because the platform paid for it all."""
    share = creator_share(subsidy, fee_bps)
    return {"creator": share, "platform": subsidy - share, "promotions": -subsidy}


def of_invoice(*, captured: int, back: int, recognised: int, fee_bps: int) -> dict[str, int]:
    """A subscription's period: ``recognised`` of it is earned and split, the rest is still owed.

    >>> of_invoice(captured=999, back=0, recognised=500, fee_bps=2000)
    {'deferred': 499, 'pool': 400, 'platform': 100, 'losses': 0}
    """
    net, lost = _left(captured, back)
    earned = min(recognised, net)
    share = creator_share(earned, fee_bps)
    return {
        "deferred": net - earned,
        "pool": share,
        "platform": earned - share,
        "losses": -lost,
    }


def _left(captured: int, back: int) -> tuple[int, int]:
    """What is left of a payment, and what went back beyond it."""
    left = captured - back
    return max(0, left), max(0, -left)
