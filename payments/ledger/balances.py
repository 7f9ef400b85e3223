"""Reading the books."""

import uuid

from django.db.models import Case, F, Q, Sum, Value, When
from django.db.models.functions import StrIndex, Substr

from payments.models import LedgerAccount, Transfer


def trial_balance() -> list[dict]:
    """Every account with its debits, credits and balance (debits minus credits), in minor units."""
    rows: dict[int, dict] = {
        account.pk: {
            "code": account.code,
            "kind": account.kind,
            "currency": account.currency,
            "debit": 0,
            "credit": 0,
        }
        for account in LedgerAccount.objects.order_by("code")
    }
    for side in ("debit", "credit"):
        for account_id, total in Transfer.objects.values_list(side).annotate(total=Sum("amount")):
            rows[account_id][side] = total
    return [{**row, "balance": row["debit"] - row["credit"]} for row in rows.values()]


def owed_to(owner_id: uuid.UUID, transfers: Q) -> dict[str, int]:
    """By currency, what the transfers added to the accounts of an owner. One query."""
    mine = Q(credit__owner_id=owner_id) | Q(debit__owner_id=owner_id)
    signed = Case(When(credit__owner_id=owner_id, then=F("amount")), default=-F("amount"))
    rows = Transfer.objects.filter(mine, transfers).values("currency").annotate(total=Sum(signed))
    return {row["currency"]: row["total"] for row in rows}


def net_credits(transfers: Q) -> dict[str, dict[str, int]]:
    """Credits minus debits by role of account (the first word of its code), then by currency.

    One query, whatever the number of accounts.
    """
    found: dict[str, dict[str, int]] = {}
    rows = (
        Transfer.objects.filter(transfers)
        .values("currency", credited=_role("credit"), debited=_role("debit"))
        .annotate(total=Sum("amount"))
    )
    for row in rows:
        for role, sign in ((row["credited"], 1), (row["debited"], -1)):
            by_currency = found.setdefault(role, {})
            by_currency[row["currency"]] = by_currency.get(row["currency"], 0) + sign * row["total"]
    return found


def _role(side: str):
    code = f"{side}__code"
    return Substr(code, 1, StrIndex(code, Value(":")) - 1)
