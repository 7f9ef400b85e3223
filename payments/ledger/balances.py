"""Reading the books."""

import uuid

from django.db.models import Case, F, Q, Sum, When

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


def owed_to(creator_id: uuid.UUID, transfers: Q) -> dict[str, int]:
    """By currency, what the transfers added to the accounts of a creator. One query."""
    credited = Q(credit__owner_id=creator_id, credit__role="creator")
    debited = Q(debit__owner_id=creator_id, debit__role="creator")
    signed = Case(When(credited, then=F("amount")), default=-F("amount"))
    rows = (
        Transfer.objects.filter(credited | debited, transfers)
        .values("currency")
        .annotate(total=Sum(signed))
    )
    return {row["currency"]: row["total"] for row in rows}


def net_credits(transfers: Q) -> list[dict]:
    """Credits minus debits by kind of entry, role of account and currency.

    One query, whatever the number of accounts.
    """
    found: dict[tuple, int] = {}
    rows = (
        Transfer.objects.filter(transfers)
        .values("currency", "entry__kind", credited=F("credit__role"), debited=F("debit__role"))
        .annotate(total=Sum("amount"))
    )
    for row in rows:
        for role, sign in ((row["credited"], 1), (row["debited"], -1)):
            key = row["entry__kind"], role, row["currency"]
            found[key] = found.get(key, 0) + sign * row["total"]
    return [
        {"kind": kind, "role": role, "currency": currency, "credit": credit}
        for (kind, role, currency), credit in found.items()
    ]
