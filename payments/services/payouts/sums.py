"""The sums that statements are made of, added up from the ledger. Amounts are in minor units.

Creators are given by their ids as `bulk.read` gives them.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from django.db import connections, router
from django.db.models import Count, Q, Sum, UUIDField
from django.db.models.functions import Coalesce

from config import bulk
from payments import modes
from payments.ledger.accounts import GATEWAY_SIDE
from payments.models import JournalEntry, LedgerAccount, Payment, Transfer
from payments.models.books import net_of
from payments.periods import Month
from payments.services.payouts.bodies import PAYOUTS, RETURNS, SALES, Sales

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
ALL, DURING, AFTER, BEFORE_MODE = range(4)

# The transfers between two accounts, added up. One statement, so that all sums are of one moment: sales
# go on while it runs. CROSS JOIN makes the databases begin with the entries of the time, by the index of
# their moments; and the + keeps SQLite from reading the table of transfers in the order of an account.
_OF_ENTRIES = """
    FROM payments_journalentry AS entry CROSS JOIN payments_transfer AS transfer
    WHERE transfer.entry_id = entry.id AND transfer.currency = %s AND entry.effective_at
"""
_SUMS = f"""
    SELECT CASE WHEN credit.role = '{Role.CREATOR}' THEN credit.owner_id END,
        CASE WHEN debit.role = '{Role.CREATOR}' THEN debit.owner_id END,
        part, sums.kind, payout_id, total
    FROM (
        SELECT +credit_id AS credit_id, +debit_id AS debit_id, {ALL} AS part, '' AS kind,
            NULL AS payout_id, SUM(amount) AS total
        FROM payments_transfer WHERE currency = %s GROUP BY 1, 2
        UNION ALL
        SELECT credit_id, debit_id, CASE WHEN entry.effective_at < %s THEN {DURING} ELSE {AFTER} END,
            entry.kind, entry.payout_id, SUM(amount)
        {_OF_ENTRIES} >= %s GROUP BY 1, 2, 3, 4, 5
        UNION ALL
        SELECT credit_id, debit_id, {BEFORE_MODE}, '', NULL, SUM(amount) {_OF_ENTRIES} < %s GROUP BY 1, 2
    ) AS sums
    JOIN payments_ledgeraccount AS credit ON credit.id = credit_id
    JOIN payments_ledgeraccount AS debit ON debit.id = debit_id
    WHERE credit.role = '{Role.CREATOR}' OR debit.role = '{Role.CREATOR}'
"""  # noqa: S608 - no values


@dataclass(slots=True)
class Nets:
    """Credits minus debits on creators' accounts in one currency: before a month, and in it."""

    opening: dict[Any, int] = field(default_factory=dict)
    by_kind: dict[Any, dict[str, int]] = field(default_factory=dict)  # of journal entries
    payouts: dict[Any, dict[Any, int]] = field(default_factory=dict)  # by the payout's id


def nets(month: Month, currency: str) -> Nets:
    """Return the nets of a month in the mode that the database had at its end. Two queries.

    The opening balances are added up from the transfers, as all others: each transfer is read once,
    without its entry, and those of the month and of later ones are taken off again.
    """
    connection = connections[router.db_for_read(Transfer)]
    mode_began = modes.began_before(month.end)
    end, begin, mode_began_at = (
        connection.ops.adapt_datetimefield_value(moment)
        for moment in (month.end, max(month.start, mode_began), mode_began)
    )
    values = [currency, end, currency, begin, currency, mode_began_at]
    found = Nets()
    opening = found.opening
    with connection.cursor() as cursor:
        cursor.execute(_SUMS, values)
        while rows := cursor.fetchmany(2000):
            for payee, payer, part, kind, payout, total in rows:
                amount = int(total)
                for creator, net in ((payee, amount), (payer, -amount)):
                    if creator is None:  # the platform's account, or another one
                        continue
                    # Before the month is all, without the month, what came later, and earlier modes.
                    before = net if part == ALL else -net
                    opening[creator] = opening.get(creator, 0) + before
                    if part == DURING:
                        _add(found.by_kind, creator, kind, net)
                        if kind in PAYOUTS:
                            _add(found.payouts, creator, payout, net)
    return found


def _add(nets: dict[Any, dict[Any, int]], creator: Any, key: Any, net: int) -> None:
    own = nets.setdefault(creator, {})
    own[key] = own.get(key, 0) + net


def sales(month: Month, currency: str) -> dict[Any, dict[str, Sales]]:
    """Return, by creator and then by video, the number of sales, their gross, and their refunds.

    Money that was paid twice is no sale and is left out.
    """

    def of_order(name: str) -> Coalesce:
        return Coalesce(f"payment__order__{name}_id", f"order__{name}_id", output_field=UUIDField())

    def net(**account: object) -> Sum:
        return Sum(net_of("transfers", **account))

    about_sales = Q(order__isnull=False) | Q(
        payment__order__isnull=False, payment__disposition=Payment.Disposition.APPLIED
    )
    earners = (Role.CREATOR, Role.PLATFORM)
    rows = (
        JournalEntry.objects.filter(
            about_sales,
            modes.of_present("effective_at", until=month.end),
            effective_at__gte=month.start,
            effective_at__lt=month.end,
            transfers__currency=currency,
        )
        .order_by()
        .values_list(of_order("creator"), of_order("video"), "kind")
        .annotate(
            paid=-net(role__in=GATEWAY_SIDE),
            promotions=-net(role=Role.PROMOTIONS),
            base=net(role__in=earners),
            share=net(role=Role.CREATOR),
            entries=Count("pk", filter=Q(transfers__credit__role__in=earners), distinct=True),
        )
    )
    found: defaultdict[Any, defaultdict[str, Sales]] = defaultdict(lambda: defaultdict(Sales))
    for creator, video, kind, *sums, entries in bulk.read(rows):
        paid, promotions, base, share = map(int, sums)
        if not (paid or promotions or base or share):
            continue  # a gateway's fee
        sale = found[creator][bulk.id_text(video)]
        sale.has_base |= bool(base or share)
        sale.share += share
        sale.promotions += promotions
        if kind == Kind.CAPTURE:
            sale.gross += paid
        else:
            sale.returned -= paid
        if kind in RETURNS:
            sale.base_returned -= base
        else:
            sale.base += base
            sale.count += entries if kind in SALES else 0
    return {creator: dict(videos) for creator, videos in found.items()}
