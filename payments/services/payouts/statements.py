"""Monthly statements: a creator's earnings and payouts in one currency, computed from the ledger."""

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NotRequired, TypedDict

from django.db import transaction
from django.db.models import Count, Q, Sum, UUIDField
from django.db.models.functions import Coalesce
from django.utils import timezone

from config import bulk
from config.ids import uuid7
from config.money import to_text
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

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
SALES = (Kind.CAPTURE, Kind.GIFT)
RETURNS = (
    Kind.REFUND, Kind.REFUND_REVERSED, Kind.DISPUTE, Kind.DISPUTE_REINSTATED, Kind.GIFT_REVERSED,
)  # fmt: skip
PAYOUTS = (Kind.PAYOUT, Kind.PAYOUT_RETURNED)
BATCH = 2000
_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_STORED = ("id", "creator", "period", "currency", "body", "sha256", "created_at")


class SaleLine(TypedDict):
    """The sales of one video. Amounts are decimal strings.

    ``gross`` was paid by buyers, ``returned`` went back to them: refunds and disputes. The line has
    ``promotions`` if the platform paid discounts; the creator has a ``share`` of them too.
    """

    video: str
    count: int
    gross: str
    returned: str
    promotions: NotRequired[str]
    share: str


class PoolLine(TypedDict):
    """The creator's share of the month's pool. Amounts are decimal strings."""

    amount: str
    total_seconds: int
    own_seconds: int
    share: str
    algorithm: str
    input_sha256: str


class AdjustmentLine(TypedDict):
    """A change of the balance that no other line explains."""

    kind: str
    amount: str


class PayoutLine(TypedDict):
    """A payout: negative when money left the balance, positive when it came back."""

    payout: str
    amount: str


class Body(TypedDict):
    """The content of a statement. ``closing`` is ``opening`` plus all lines."""

    creator: str
    currency: str
    period: str
    opening: str
    sales: list[SaleLine]
    pool: PoolLine | None
    adjustments: list[AdjustmentLine]
    payouts: list[PayoutLine]
    closing: str


@dataclass(slots=True)
class _Sales:
    """The sales of one video in minor units; see `_sales`."""

    count: int = 0
    gross: int = 0
    returned: int = 0
    promotions: int = 0
    share: int = 0
    # The base of the shares: older releases wrote these as the gross and as returned.
    base: int = 0
    base_returned: int = 0
    has_base: bool = False


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
    seconds = {str(creator): seconds for creator, seconds in shares}
    return {
        creator: canonical(
            _body(
                creator,
                month,
                currency,
                is_older=is_older,
                opening=opening.get(creator, {}).get(currency, 0),
                by_kind=by_kind.get(creator, {}),
                sales=sales.get(creator, {}),
                payouts=payouts.get(creator, {}),
                pool=pool if creator in seconds else None,
                seconds=seconds.get(creator, 0),
            )
        )
        for creator in sorted(by_kind.keys() | sales.keys() | seconds.keys())
    }


def write(month: Month, currency: str) -> int:
    """Store the statements of a month that is being closed; return their number.

    Each batch has a transaction of its own. Safe to repeat: a statement that is stored stays as it is.
    """
    bodies = compute(month, currency)
    now = timezone.now()
    items, turns = list(bodies.items()), Turns()
    for begin in range(0, len(items), BATCH):
        rows = [
            (uuid7(), creator, str(month), currency, body, sha256(body), now)
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
    stored = Statement.objects.filter(period=str(month), currency=currency).order_by("creator_id")
    for creator_id, body, digest in stored.values_list("creator_id", "body", "sha256").iterator(
        chunk_size=BATCH
    ):
        statement = f"the statement {month} {currency} of creator {creator_id}"
        wanted = expected.pop(str(creator_id), None)
        if sha256(body) != digest:
            yield f"{statement} does not match its hash"
        elif body != wanted:
            # Few months are of an older release; so its bytes are computed when they are needed.
            as_older = as_older or compute(month, currency, is_older=True)
            if body != as_older.get(str(creator_id)):
                yield f"{statement} differs from the ledger"
    for creator in expected:
        yield f"the statement {month} {currency} of creator {creator} is missing"


def canonical(body: Body) -> str:
    """Return a statement as JSON with sorted keys, without spaces and in ASCII."""
    return _JSON.encode(body)


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


def _body(
    creator: str,
    month: Month,
    currency: str,
    *,
    is_older: bool,
    opening: int,
    by_kind: dict[str, int],
    sales: dict[str, _Sales],
    payouts: dict[str, int],
    pool: Pool | None,
    seconds: int,
) -> Body:
    """Return the content of a statement from sums in minor units.

    The lines add up to the change of the balance: a part that no line explains is an adjustment.
    """

    def text(minor: int) -> str:
        return to_text(minor, currency)

    def sale_line(video: str, sale: _Sales) -> SaleLine:
        line: SaleLine = {
            "video": video,
            "count": sale.count,
            "gross": text(sale.base if is_older else sale.gross),
            "returned": text(sale.base_returned if is_older else sale.returned),
            "share": text(sale.share),
        }
        if sale.promotions and not is_older:
            line["promotions"] = text(sale.promotions)
        return line

    shown_as_sales = (*SALES, *RETURNS, Kind.ADJUSTMENT)
    others = {
        kind: net
        for kind, net in by_kind.items()
        if kind not in {*shown_as_sales, *PAYOUTS, Kind.POOL}
    }
    of_sales = sum(by_kind.get(kind, 0) for kind in shown_as_sales)
    if unexplained := of_sales - sum(sale.share for sale in sales.values()):
        others["other"] = unexplained
    pool_line: PoolLine | None = None
    if pool is not None:
        pool_line = {
            "amount": text(pool.amount),
            "total_seconds": pool.total_seconds,
            "own_seconds": seconds,
            "share": text(by_kind.get(Kind.POOL, 0)),
            "algorithm": pool.algorithm,
            "input_sha256": pool.input_sha256,
        }
    return {
        "creator": creator,
        "currency": currency,
        "period": str(month),
        "opening": text(opening),
        "sales": [
            sale_line(video, sale)
            for video, sale in sorted(sales.items())
            if sale.has_base or not is_older
        ],
        "pool": pool_line,
        "adjustments": [
            {"kind": kind, "amount": text(net)} for kind, net in sorted(others.items())
        ],
        "payouts": [
            {"payout": payout, "amount": text(net)} for payout, net in sorted(payouts.items())
        ],
        "closing": text(opening + sum(by_kind.values())),
    }


def _net_by_creator(currency: str, transfers: Q, key: str) -> dict[str, dict[str, int]]:
    """Return credits minus debits on creators' accounts, by creator and then by a transfers' field."""
    selected = Transfer.objects.filter(transfers, currency=currency).touching(role=Role.CREATOR)
    by_creator: dict[str, dict[str, int]] = defaultdict(dict)
    for (value, role, owner), net in selected.net_by(key, account=("role", "owner")).items():
        if role == Role.CREATOR:
            by_creator[str(owner)][str(value)] = net
    return by_creator


def _sales(currency: str, during: Q) -> dict[str, dict[str, _Sales]]:
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
    sales: defaultdict[str, defaultdict[str, _Sales]] = defaultdict(lambda: defaultdict(_Sales))
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
