"""What a creator earned and was paid in a month and currency, as it stands in the ledger."""

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Count, F, Q, Sum, UUIDField
from django.db.models.functions import Coalesce

from config.money import to_text
from payments.models import JournalEntry, LedgerAccount, Pool, PoolShare, Statement, Transfer
from payments.models.books import net_of
from payments.periods import Month

Kind = JournalEntry.Kind
Role = LedgerAccount.Role
SOLD = (Kind.CAPTURE, Kind.GIFT, Kind.ADJUSTMENT)
BACK = (Kind.REFUND, Kind.REFUND_REVERSED, Kind.DISPUTE, Kind.DISPUTE_REINSTATED)
PAYOUT = (Kind.PAYOUT, Kind.PAYOUT_RETURNED)
BATCH = 2000


def compute(month: Month, currency: str) -> dict[str, str]:
    """The canonical JSON of every creator's statement, by creator; from entries of that month only.

    Computed from the ledger and the closed pool, for all creators in a fixed number of queries. The
    same books give the same bytes. Who had neither an entry nor a share has no statement.
    """
    opening = _movements(currency, Q(entry__effective_at__lt=month.start))
    during = Q(entry__effective_at__gte=month.start, entry__effective_at__lt=month.end)
    by_kind = _movements(currency, during, "entry__kind")
    sales = _sales(currency, during)
    payouts = _movements(currency, during & Q(entry__kind__in=PAYOUT), "entry__payout")
    pool = Pool.objects.filter(period=str(month), currency=currency).first()
    shares = {
        str(creator): seconds
        for creator, seconds in PoolShare.objects.filter(pool=pool).values_list(
            "creator", "seconds"
        )
    }
    return {
        creator: canonical(
            _statement(
                creator,
                month,
                currency,
                opening=sum(opening.get(creator, {}).values()),
                by_kind=by_kind.get(creator, {}),
                sales=sales.get(creator, []),
                payouts=payouts.get(creator, {}),
                pool=pool if creator in shares else None,
                seconds=shares.get(creator, 0),
            )
        )
        for creator in sorted(by_kind.keys() | sales.keys() | shares.keys())
    }


def write(month: Month, currency: str) -> int:
    """Store the statements of a month that is being closed, in the caller's transaction."""
    bodies = compute(month, currency)
    Statement.objects.bulk_create(
        (
            Statement(
                creator_id=creator,
                period=str(month),
                currency=currency,
                body=body,
                sha256=sha256(body),
            )
            for creator, body in bodies.items()
        ),
        batch_size=BATCH,
    )
    return len(bodies)


def discrepancies(month: Month, currency: str) -> Iterable[str]:
    """What the stored statements say that the ledger does not, byte for byte."""
    wanted = compute(month, currency)
    stored = Statement.objects.filter(period=str(month), currency=currency).order_by("creator_id")
    for creator_id, body, digest in stored.values_list("creator_id", "body", "sha256").iterator(
        chunk_size=BATCH
    ):
        creator = str(creator_id)
        if sha256(body) != digest:
            yield f"statement {month} {currency} of {creator}: its hash is of another text"
        elif wanted.get(creator) != body:
            yield f"statement {month} {currency} of {creator} is not what the ledger says"
        wanted.pop(creator, None)
    for creator in wanted:
        yield f"statement {month} {currency} of {creator} is missing"


def canonical(content: dict) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def sha256(body: str) -> str:
    return hashlib.sha256(body.encode()).hexdigest()


def as_csv(statement: Statement) -> str:
    """A view of the same numbers: one line for each, amounts as decimal numbers."""
    content = json.loads(statement.body)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(["line", "about", "count", "gross", "returned", "amount"])
    rows.writerow(["opening", content["period"], "", "", "", content["opening"]])
    for sale in content["sales"]:
        rows.writerow(
            ["sales", sale["video"], sale["count"], sale["gross"], sale["returned"], sale["share"]]
        )
    if content["pool"]:
        pool = content["pool"]
        about = f"{pool['own_seconds']} of {pool['total_seconds']} seconds"
        rows.writerow(["pool", about, "", pool["amount"], "", pool["share"]])
    for line in content["adjustments"]:
        rows.writerow(["adjustment", line["kind"], "", "", "", line["amount"]])
    for line in content["payouts"]:
        rows.writerow(["payout", line["payout"], "", "", "", line["amount"]])
    rows.writerow(["closing", content["period"], "", "", "", content["closing"]])
    return text.getvalue()


def _statement(
    creator: str,
    month: Month,
    currency: str,
    *,
    opening: int,
    by_kind: dict,
    sales: list[dict],
    payouts: dict,
    pool: Pool | None,
    seconds: int,
) -> dict:
    """All lines add up to what the ledger moved: what no line explains is an adjustment."""

    def text(minor: int) -> str:
        return to_text(minor, currency)

    of_sales = sum(by_kind.get(kind, 0) for kind in SOLD + BACK)
    unexplained = of_sales - sum(sale["share"] for sale in sales)
    known = {*SOLD, *BACK, *PAYOUT, Kind.POOL}
    others = {kind: moved for kind, moved in by_kind.items() if kind not in known}
    if unexplained:
        others["other"] = unexplained
    return {
        "creator": creator,
        "currency": currency,
        "period": str(month),
        "opening": text(opening),
        "sales": [
            {
                "video": sale["video"],
                "count": sale["count"],
                "gross": text(sale["gross"]),
                "returned": text(sale["returned"]),
                "share": text(sale["share"]),
            }
            for sale in sorted(sales, key=lambda sale: sale["video"])
        ],
        "pool": pool
        and {
            "amount": text(pool.amount),
            "total_seconds": pool.total_seconds,
            "own_seconds": seconds,
            "share": text(by_kind.get(Kind.POOL, 0)),
            "algorithm": pool.algorithm,
            "input_sha256": pool.input_sha256,
        },
        "adjustments": [
            {"kind": kind, "amount": text(moved)} for kind, moved in sorted(others.items())
        ],
        "payouts": [
            {"payout": payout, "amount": text(moved)} for payout, moved in sorted(payouts.items())
        ],
        "closing": text(opening + sum(by_kind.values())),
    }


def _movements(currency: str, transfers: Q, by: str = "currency") -> dict[str, dict[str, int]]:
    """Credits minus debits on creators' accounts: by creator, then by a field of the transfers."""
    moved = Transfer.objects.filter(transfers, currency=currency).touching(role=Role.CREATOR)
    by_creator: dict[str, dict[str, int]] = defaultdict(dict)
    for (key, role, owner), net in moved.net_by(by, account=("role", "owner")).items():
        if role == Role.CREATOR:
            by_creator[str(owner)][str(key)] = net
    return by_creator


def _sales(currency: str, during: Q) -> dict[str, list[dict]]:
    """By creator and video: how many were sold, what for, what went back, and the creator's part.

    ``gross`` is what is shared: the price paid, and what the platform added to it. What a buyer
    paid twice, or what went back beyond the price, is none of the creator's business.
    """

    def either(field: str) -> Coalesce:
        return Coalesce(
            f"entry__payment__order__{field}_id",
            f"entry__order__{field}_id",
            output_field=UUIDField(),
        )

    about_sales = Q(entry__order__isnull=False) | Q(entry__payment__order__isnull=False)
    earners = (Role.CREATOR, Role.PLATFORM)
    rows = (
        Transfer.objects.filter(during, about_sales, currency=currency)
        .touching(role__in=earners)
        .values(
            creator=either("creator"),
            video=either("video"),
            kind=F("entry__kind"),
        )
        .annotate(
            base=Sum("net"),
            share=Sum(net_of(role=Role.CREATOR)),
            entries=Count("entry", filter=Q(credit__role__in=earners), distinct=True),
        )
    )
    videos: dict[tuple[str, str], dict] = {}
    for row in rows.order_by().iterator(chunk_size=BATCH):
        key = str(row["creator"]), str(row["video"])
        sale = videos.setdefault(
            key, {"video": key[1], "count": 0, "gross": 0, "returned": 0, "share": 0}
        )
        sale["share"] += row["share"]
        if row["kind"] in BACK:
            sale["returned"] -= row["base"]
        else:
            sale["gross"] += row["base"]
            sale["count"] += row["entries"] if row["kind"] in {Kind.CAPTURE, Kind.GIFT} else 0
    found: dict[str, list[dict]] = defaultdict(list)
    for (creator, _), sale in videos.items():
        found[creator].append(sale)
    return found
