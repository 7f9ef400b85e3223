"""Reading the books."""

from django.db.models import Sum

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
