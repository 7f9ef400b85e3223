"""Monthly statements: a creator's earnings and payouts in one currency, computed from the ledger."""

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from types import MappingProxyType

from django.db import transaction
from django.db.models import Count, Q, Sum, UUIDField
from django.db.models.functions import Coalesce
from django.utils import timezone

from config import bulk
from config.bulk import id_text
from config.ids import uuid7_text
from config.turns import Turns
from payments import modes
from payments.ledger.accounts import GATEWAY_SIDE
from payments.models import (
    JournalEntry,
    LedgerAccount,
    Payment,
    Pool,
    PoolShare,
    Statement,
    Transfer,
)
from payments.models.books import net_of
from payments.periods import Month
from payments.services.payouts.bodies import (
    PAYOUTS,
    POOL_ALONE,
    RETURNS,
    SALES,
    Body,
    Sales,
    body_of,
    canonical,
    plain_writer,
)

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
BATCH = 5000
_NONE: Mapping[str, int] = MappingProxyType({})
_STORED = ("id", "creator", "period", "currency", "body", "sha256", "created_at")


def compute(month: Month, currency: str, *, is_older: bool = False) -> dict[str, str]:
    """Return the canonical JSON of each creator's statement, by the creator's id.

    A creator without an entry in the month and without a share of its pool has no statement. The same
    books give the same bytes. A fixed number of queries for all creators. ``is_older`` gives the bytes
    that older releases wrote.
    """
    # A statement tells of one mode's money: that of the month's end.
    present = modes.of_present("entry__effective_at", until=month.end)
    before = present & Q(entry__effective_at__lt=month.start)
    during = present & Q(entry__effective_at__gte=month.start, entry__effective_at__lt=month.end)
    opening = _net_by_creator(currency, before, "currency")
    by_kind = _net_by_creator(currency, during, "entry__kind")
    payouts = _net_by_creator(currency, during & Q(entry__kind__in=PAYOUTS), "entry__payout")
    sales = _sales(currency, during)
    pool = Pool.objects.filter(period=str(month), currency=currency).first()
    shares = PoolShare.objects.filter(pool=pool).values_list("creator", "seconds")
    seconds = {id_text(creator): own for creator, own in bulk.read(shares)}
    plain = plain_writer(pool, month, currency) if pool else None
    bodies = {}
    for creator in sorted(by_kind.keys() | sales.keys() | seconds.keys()):
        opened, nets = opening.get(creator, _NONE).get(currency, 0), by_kind.get(creator, _NONE)
        if plain and creator in seconds and creator not in sales and nets.keys() <= POOL_ALONE:
            bodies[creator] = plain(creator, opened, nets.get(Kind.POOL, 0), seconds[creator])
            continue
        body = body_of(
            creator,
            month,
            currency,
            is_older=is_older,
            opening=opened,
            by_kind=nets,
            sales=sales.get(creator, {}),
            payouts={id_text(pk): net for pk, net in payouts.get(creator, _NONE).items()},
            pool=pool if creator in seconds else None,
            seconds=seconds.get(creator, 0),
        )
        bodies[creator] = canonical(body)
    return bodies


def write(month: Month, currency: str) -> int:
    """Store the statements of a month that is being closed; return their number.

    Each batch has a transaction of its own. Safe to repeat: a statement that is stored stays as it is.
    """
    bodies = compute(month, currency)
    now, period = timezone.now(), str(month)
    items, turns = list(bodies.items()), Turns()
    for begin in range(0, len(items), BATCH):
        rows = [
            (uuid7_text(), creator, period, currency, body, sha256(body), now)
            for creator, body in items[begin : begin + BATCH]
        ]
        with transaction.atomic():
            bulk.insert(Statement, _STORED, rows, ignore_conflicts=True)
        turns.give()
    return len(bodies)


def discrepancies(month: Month, currency: str) -> Iterable[str]:
    """Return a line of text for each stored statement that differs from the ledger in any byte."""
    expected = compute(month, currency)
    as_older: dict[str, str] | None = None
    of_creator = f"the statement {month} {currency} of creator"
    stored = Statement.objects.filter(period=str(month), currency=currency).order_by("creator_id")
    rows = stored.values_list("creator", "body", "sha256")
    for creator_id, body, digest in bulk.read(rows):
        creator = id_text(creator_id)
        wanted = expected.pop(creator, None)
        if sha256(body) != digest:
            yield f"{of_creator} {creator} does not match its hash"
        elif body != wanted:
            # Few months are of an older release; so its bytes are computed when they are needed.
            as_older = as_older or compute(month, currency, is_older=True)
            if body != as_older.get(creator):
                yield f"{of_creator} {creator} differs from the ledger"
    for creator in expected:
        yield f"{of_creator} {creator} is missing"


def sha256(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, as hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def as_csv(statement: Statement) -> str:
    """Return a statement as CSV with a head line: the same lines and amounts as its body."""
    body: Body = json.loads(statement.body)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["line", "about", "count", "gross", "returned", "amount"])
    rows.writerow(["opening", body["period"], "", "", "", body["opening"]])
    for sale in body["sales"]:
        rows.writerow(
            ["sales", sale["video"], sale["count"], sale["gross"], sale["returned"], sale["share"]]
        )
        if promotions := sale.get("promotions"):
            rows.writerow(["promotions", sale["video"], "", promotions, "", ""])
    if pool := body["pool"]:
        about = f"{pool['own_seconds']} of {pool['total_seconds']} seconds"
        rows.writerow(["pool", about, "", pool["amount"], "", pool["share"]])
    for adjustment in body["adjustments"]:
        rows.writerow(["adjustment", adjustment["kind"], "", "", "", adjustment["amount"]])
    for payout in body["payouts"]:
        rows.writerow(["payout", payout["payout"], "", "", "", payout["amount"]])
    rows.writerow(["closing", body["period"], "", "", "", body["closing"]])
    return text.getvalue()


def _net_by_creator(currency: str, transfers: Q, key: str) -> dict[str, dict[str, int]]:
    """Return credits minus debits on creators' accounts, by creator and then by a transfers' field.

    The field's values are those of `bulk.read`.
    """
    by_creator: dict[str, dict[str, int]] = defaultdict(dict)
    for side, sign in (("credit", 1), ("debit", -1)):
        rows = (
            Transfer.objects.filter(transfers, currency=currency, **{f"{side}__role": Role.CREATOR})
            .order_by()
            .values_list(f"{side}__owner", key)
            .annotate(total=Sum("amount"))
        )
        for owner, value, total in bulk.read(rows):
            nets = by_creator[id_text(owner)]
            nets[value] = nets.get(value, 0) + sign * int(total)
    return by_creator


def _sales(currency: str, during: Q) -> dict[str, dict[str, Sales]]:
    """Return, by creator and then by video, the number of sales, their gross, and their refunds.

    Money that was paid twice is no sale and is left out.
    """

    def of_order(field: str) -> Coalesce:
        return Coalesce(
            f"entry__payment__order__{field}_id",
            f"entry__order__{field}_id",
            output_field=UUIDField(),
        )

    about_sales = Q(entry__order__isnull=False) | Q(
        entry__payment__order__isnull=False,
        entry__payment__disposition=Payment.Disposition.APPLIED,
    )
    earners = (Role.CREATOR, Role.PLATFORM)
    rows = (
        Transfer.objects.filter(during, about_sales, currency=currency)
        .values_list(of_order("creator"), of_order("video"), "entry__kind")
        .annotate(
            paid=-Sum(net_of(role__in=GATEWAY_SIDE)),
            promotions=-Sum(net_of(role=Role.PROMOTIONS)),
            base=Sum(net_of(role__in=earners)),
            share=Sum(net_of(role=Role.CREATOR)),
            entries=Count("entry", filter=Q(credit__role__in=earners), distinct=True),
        )
    )
    sales: defaultdict[str, defaultdict[str, Sales]] = defaultdict(lambda: defaultdict(Sales))
    for creator, video, kind, paid, promotions, base, share, entries in rows.order_by().iterator(
        chunk_size=BATCH
    ):
        if not (paid or promotions or base or share):
            continue  # a gateway's fee
        sale = sales[str(creator)][str(video)]
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
    return {creator: dict(videos) for creator, videos in sales.items()}
