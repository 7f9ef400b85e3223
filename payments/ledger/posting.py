"""Writing the books."""

from datetime import datetime

from django.db.models import Case, F, Q, Sum, When

from payments.models import JournalEntry, LedgerAccount, Payment, Transfer

Leg = tuple[LedgerAccount, LedgerAccount, int]  # debit, credit, amount ≥ 0


def post(
    *, key: str, kind: str, currency: str, legs: list[Leg], at: datetime, payment=None
) -> JournalEntry | None:
    """One entry with its transfers; legs of nothing are left out, an entry of nothing is not made.

    The key is unique: posting an entry a second time fails instead of booking twice.
    """
    legs = [leg for leg in legs if leg[2]]
    if not legs:
        return None
    entry = JournalEntry.objects.create(key=key, kind=kind, payment=payment, effective_at=at)
    Transfer.objects.bulk_create(
        Transfer(entry=entry, debit=debit, credit=credit, amount=amount, currency=currency)
        for debit, credit, amount in legs
    )
    return entry


def move_to(counter: LedgerAccount, account: LedgerAccount, difference: int) -> Leg:
    """A leg that raises ``account``'s credit by ``difference`` (or lowers it, when negative)."""
    return (counter, account, difference) if difference >= 0 else (account, counter, -difference)


def booked(payment: Payment, account: LedgerAccount) -> int:
    """Credits minus debits of one account from one payment, so far."""
    return net_credit(account, Q(entry__payment=payment))


def net_credit(account: LedgerAccount, condition: Q = Q()) -> int:  # noqa: B008 - Q() is immutable
    """Credits minus debits of one account, over the transfers that meet the condition."""
    total = Transfer.objects.filter(condition, Q(credit=account) | Q(debit=account)).aggregate(
        total=Sum(Case(When(credit=account, then=F("amount")), default=-F("amount")))
    )["total"]
    return total or 0
