"""What the books must hold for one payment: a pure function of its facts."""

from dataclasses import dataclass

from config.money import creator_share


@dataclass(frozen=True, slots=True)
class Positions:
    """Target balances in minor units; each change posts the difference to what is booked.

    A function of facts, not of events: repeats, duplicates and any order of events end at the same
    books, and partial refunds add up exactly.
    """

    creator: int
    platform: int
    losses: int


def positions(*, captured: int, refunded: int, disputed: int = 0, fee_bps: int) -> Positions:
    """Split what is left of a payment. What went back beyond it is the platform's loss.

    >>> positions(captured=1999, refunded=0, fee_bps=2000)
    Positions(creator=1600, platform=399, losses=0)
    >>> positions(captured=1999, refunded=1999, fee_bps=2000)
    Positions(creator=0, platform=0, losses=0)
    """
    left = captured - refunded - disputed
    net = max(0, left)
    share = creator_share(net, fee_bps)
    return Positions(creator=share, platform=net - share, losses=max(0, -left))
