"""Writing the books."""

from collections.abc import Mapping
from datetime import datetime

from payments.models import JournalEntry, LedgerAccount, Transfer

Leg = tuple[LedgerAccount, LedgerAccount, int]  # debit, credit, amount ≥ 0


def post(
    *,
    key: str,
    kind: str,
    currency: str,
    legs: list[Leg],
    at: datetime,
    available_on: datetime | None = None,
    **about,
) -> JournalEntry | None:
    """One entry with its transfers; legs of nothing are left out, an entry of nothing is not made.

    The key is unique: posting an entry a second time fails instead of booking twice. ``about``
    names what it is about: ``payment``, ``order``, ``pool`` or ``payout``.
    """
    legs = [leg for leg in legs if leg[2]]
    if not legs:
        return None
    entry = JournalEntry.objects.create(key=key, kind=kind, effective_at=at, **about)
    Transfer.objects.bulk_create(
        (
            Transfer(
                entry=entry,
                debit=debit,
                credit=credit,
                amount=amount,
                currency=currency,
                available_on=available_on,
            )
            for debit, credit, amount in legs
        ),
        batch_size=5000,  # a month that is shared has a leg for each creator
    )
    return entry


def legs(changes: Mapping[LedgerAccount, int], counter: LedgerAccount) -> list[Leg]:
    """Transfers that change each account's credit by the amount given, the rest by ``counter``.

    Amounts go from the debited accounts to the credited ones in the order given.

    >>> legs({creator: 1600, platform: 399}, clearing)  # doctest: +SKIP
    [(clearing, creator, 1600), (clearing, platform, 399)]
    """
    all_changes = [*changes.items(), (counter, -sum(changes.values()))]
    debits = [[account, -amount] for account, amount in all_changes if amount < 0]
    found: list[Leg] = []
    for account, missing in all_changes:
        while missing > 0:
            source = debits[0]
            moved = min(missing, source[1])
            found.append((source[0], account, moved))
            missing -= moved
            source[1] -= moved
            if not source[1]:
                debits.pop(0)
    return found
