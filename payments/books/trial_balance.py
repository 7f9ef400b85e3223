"""The trial balance: every ledger account with its sums. All amounts are in minor units."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import Sum

from payments.books.columns import amount, same_as
from payments.models import LedgerAccount, Transfer


@dataclass(frozen=True, slots=True)
class TrialBalanceTotal:
    """The sums of all ledger accounts in one currency. The balance of correct books is zero."""

    currency: str
    debit: int = amount("Debits")
    credit: int = amount("Credits")
    balance: int = amount("Balance", help_text="Debits minus credits; always zero.")


@dataclass(frozen=True, slots=True)
class TrialBalanceRow:
    """One ledger account with its sums. An asset has a positive balance here."""

    code: str
    kind: str
    currency: str
    debit: int = same_as(TrialBalanceTotal, "debit")
    credit: int = same_as(TrialBalanceTotal, "credit")
    balance: int = amount("Balance", help_text="Debits minus credits.")


def accounts() -> list[TrialBalanceRow]:
    """Return every ledger account with its sums of debits and credits, by code. Three queries."""
    debits, credits = (
        dict(Transfer.objects.order_by().values_list(side).annotate(total=Sum("amount")))
        for side in ("debit", "credit")
    )
    rows = LedgerAccount.objects.order_by("code").values_list("pk", "code", "kind", "currency")
    return [
        TrialBalanceRow(code, kind, currency, debit, credit, debit - credit)
        for pk, code, kind, currency in rows
        for debit, credit in [(debits.get(pk, 0), credits.get(pk, 0))]
    ]


def totals(rows: Iterable[TrialBalanceRow]) -> list[TrialBalanceTotal]:
    """Return the sums of a trial balance by currency."""
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for row in rows:
        sums[row.currency][0] += row.debit
        sums[row.currency][1] += row.credit
    return [
        TrialBalanceTotal(currency, debit, credit, debit - credit)
        for currency, (debit, credit) in sorted(sums.items())
    ]
