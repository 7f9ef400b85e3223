"""Writing journal entries with their transfers. No other module of the service creates them."""

from collections.abc import Mapping
from datetime import datetime
from typing import TypedDict, Unpack

from django.db import connections, router

from config import bulk, rows
from config.prepared import new
from payments.models import JournalEntry, LedgerAccount, Order, Payment, Payout, Pool, Transfer

# A transfer that is not written yet: the debited account, the credited account, an amount ≥ 0.
NewTransfer = tuple[LedgerAccount, LedgerAccount, int]
FEW = 20  # transfers that need no batches; the entry of a pool has one for each creator


class Subject(TypedDict, total=False):
    """The one thing that an entry is about. Only the write-off of a debt is without a subject."""

    payment: Payment
    order: Order
    pool: Pool
    payout: Payout


def post(
    *,
    key: str,
    kind: str,
    currency: str,
    transfers: list[NewTransfer],
    at: datetime,
    available_on: datetime | None = None,
    **about: Unpack[Subject],
) -> JournalEntry | None:
    """Write one journal entry with its transfers of more than 0, in the caller's transaction.

    Returns None and writes nothing if no transfer is more than 0. The key is unique: posting an entry
    a second time raises IntegrityError. ``at`` is the moment of the fact, ``available_on`` the end of
    the hold on the creators' credits.
    """
    transfers = [transfer for transfer in transfers if transfer[2]]
    if not transfers:
        return None
    subjects = {f"{name}_id": subject.pk for name, subject in about.items()}  # type: ignore[attr-defined]
    entry = new(JournalEntry, key=key, kind=kind, effective_at=at, **subjects)
    rows.insert(entry)
    lines = [
        new(
            Transfer,
            entry_id=entry.pk,
            debit_id=debit.pk,
            credit_id=credit.pk,
            amount=amount,
            currency=currency,
            available_on=available_on,
        )
        for debit, credit, amount in transfers
    ]
    if len(lines) <= FEW:
        rows.insert(*lines)
    else:
        Transfer.objects.bulk_create(lines, batch_size=5000)
    return entry


def post_shares(
    pool: Pool,
    account: LedgerAccount,
    *,
    first: str,
    last: str,
    at: datetime,
    available_on: datetime,
) -> None:
    """Book the shares of a pool whose creators have the ids ``first`` to ``last``, in one statement.

    All shares of a pool are in one journal entry, which the first call writes. The creators' accounts
    must be open. Call it in the transaction that writes the shares: it books them without asking
    whether they are booked.
    """
    entry, _ = JournalEntry.objects.get_or_create(
        key=f"pool:{pool.period}:{pool.currency}",
        defaults={"kind": JournalEntry.Kind.POOL, "effective_at": at, "pool": pool},
    )
    connection = connections[router.db_for_write(Transfer)]

    # CROSS JOIN and substr leave the database one way to find an account: by its owner. The index of
    # the roles would read the accounts of all creators for each share.
    with connection.cursor() as cursor:
        cursor.execute(
            """
            INSERT INTO payments_transfer
                (entry_id, debit_id, credit_id, amount, currency, available_on)
            SELECT %s, %s, account.id, share.amount, account.currency, %s
            FROM payments_poolshare AS share
            CROSS JOIN payments_ledgeraccount AS account
            WHERE share.pool_id = %s AND share.creator_id BETWEEN %s AND %s AND share.amount > 0
                AND account.owner_id = share.creator_id AND account.currency = %s
                AND substr(account.role, 1) = 'creator'
            """,
            [
                bulk.id_for(connection, entry.pk),
                account.pk,
                connection.ops.adapt_datetimefield_value(available_on),
                *(bulk.id_for(connection, value) for value in (pool.pk, first, last)),
                pool.currency,
            ],
        )


def transfers_for(
    changes: Mapping[LedgerAccount, int], counter: LedgerAccount
) -> list[NewTransfer]:
    """Return transfers that change the credit of each account by the amount given (minor units).

    The ``counter`` account balances them. Debited accounts pay for credited ones in the order given.

    >>> transfers_for({creator: 1600, platform: 399}, clearing)  # doctest: +SKIP
    [(clearing, creator, 1600), (clearing, platform, 399)]
    """
    all_changes = [*changes.items(), (counter, -sum(changes.values()))]
    debits = [(account, -amount) for account, amount in all_changes if amount < 0]
    transfers: list[NewTransfer] = []
    for account, missing in all_changes:
        while missing > 0:
            debited, amount = debits.pop(0)
            moved = min(missing, amount)
            transfers.append((debited, account, moved))
            missing -= moved
            if moved < amount:
                debits.insert(0, (debited, amount - moved))
    return transfers
