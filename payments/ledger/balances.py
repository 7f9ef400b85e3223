"""Reading the books."""

from django.db.models import BigIntegerField, Q, Sum, Value
from django.db.models.functions import Coalesce

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


def net_credits(accounts: Q, transfers: Q = Q()) -> dict[str, int]:  # noqa: B008 - immutable
    """Credits minus debits by currency, over the accounts and transfers that meet the conditions."""
    found: dict[str, int] = {}
    zero = Value(0, output_field=BigIntegerField())
    for side, sign in (("credit", 1), ("debit", -1)):
        prefixed = Q(**{f"{side}__in": LedgerAccount.objects.filter(accounts)})
        for currency, total in (
            Transfer.objects.filter(transfers, prefixed)
            .values_list("currency")
            .annotate(total=Coalesce(Sum("amount"), zero))
        ):
            found[currency] = found.get(currency, 0) + sign * total
    return found
