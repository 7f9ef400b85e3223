"""Monthly statements: a creator's earnings and payouts in one currency, computed from the ledger."""

import csv
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from itertools import islice
from types import MappingProxyType
from typing import Any

from django.db import transaction
from django.utils import timezone

from config import bulk
from config.bulk import id_text
from config.ids import uuid7_text
from config.turns import Turns
from payments.models import JournalEntry, Pool, PoolShare, Statement
from payments.periods import Month
from payments.services.payouts import sums
from payments.services.payouts.bodies import POOL_ALONE, Body, body_of, canonical, plain_writer

Kind = JournalEntry.Kind
BATCH = 5000
_NONE: Mapping[Any, int] = MappingProxyType({})
_STORED = ("id", "creator", "period", "currency", "body", "sha256", "created_at")


def compute(month: Month, currency: str, *, is_older: bool = False) -> dict[str, str]:
    """Return the canonical JSON of each creator's statement, by the creator's id.

    A creator without an entry in the month and without a share of its pool has no statement. The same
    books give the same bytes. A fixed number of queries for all creators. ``is_older`` gives the bytes
    that older releases wrote.
    """
    return dict(_computed(month, currency, is_older=is_older))


def _computed(month: Month, currency: str, *, is_older: bool = False) -> Iterator[tuple[str, str]]:
    """Yield what `compute` returns, by the creator's id in order."""
    # A statement tells of one mode's money: that of the month's end.
    nets, sales = sums.nets(month, currency), sums.sales(month, currency)
    pool = Pool.objects.filter(period=str(month), currency=currency).first()
    shares = PoolShare.objects.filter(pool=pool).values_list("creator", "seconds")
    seconds = dict(bulk.read(shares))
    plain = plain_writer(pool, month, currency) if pool else None
    creators = nets.by_kind.keys() | sales.keys() | seconds.keys()
    for pk in sorted(creators, key=str):  # in the order of their texts, on every database
        creator = id_text(pk)
        opened, by_kind = nets.opening.get(pk, 0), nets.by_kind.get(pk, _NONE)
        if plain and pk in seconds and pk not in sales and by_kind.keys() <= POOL_ALONE:
            yield creator, plain(creator, opened, by_kind.get(Kind.POOL, 0), seconds[pk])
            continue
        body = body_of(
            creator,
            month,
            currency,
            is_older=is_older,
            opening=opened,
            by_kind=by_kind,
            sales=sales.get(pk, {}),
            payouts={id_text(payout): net for payout, net in nets.payouts.get(pk, _NONE).items()},
            pool=pool if pk in seconds else None,
            seconds=seconds.get(pk, 0),
        )
        yield creator, canonical(body)


def write(month: Month, currency: str) -> int:
    """Store the statements of a month that is being closed; return their number.

    Each batch has a transaction of its own. Safe to repeat: a statement that is stored stays as it is.
    """
    now, period = timezone.now(), str(month)
    bodies, turns, number = _computed(month, currency), Turns(), 0
    while rows := [
        (uuid7_text(), creator, period, currency, body, sha256(body), now)
        for creator, body in islice(bodies, BATCH)
    ]:
        with transaction.atomic():
            bulk.insert(Statement, _STORED, rows, ignore_conflicts=True)
        number += len(rows)
        turns.give()
    return number


def discrepancies(month: Month, currency: str) -> Iterator[str]:
    """Yield a line of text for each stored statement that differs from the ledger in any byte."""
    as_older: dict[str, str] | None = None
    of_creator = f"the statement {month} {currency} of creator"
    stored = Statement.objects.filter(period=str(month), currency=currency).order_by("creator_id")
    rows = bulk.read(stored.values_list("creator", "body", "sha256"))
    computed, missing = _computed(month, currency), []
    expected = next(computed, None)
    for creator_id, body, digest in rows:
        creator = id_text(creator_id)
        while expected and expected[0] < creator:  # both are in the order of the ids
            missing.append(expected[0])
            expected = next(computed, None)
        wanted = None
        if expected and expected[0] == creator:
            wanted, expected = expected[1], next(computed, None)
        if sha256(body) != digest:
            yield f"{of_creator} {creator} does not match its hash"
        elif body != wanted:
            # Few months are of an older release; so its bytes are computed when they are needed.
            as_older = as_older or compute(month, currency, is_older=True)
            if body != as_older.get(creator):
                yield f"{of_creator} {creator} differs from the ledger"
    for creator in (*missing, *(creator for creator, _ in filter(None, (expected, *computed)))):
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
