"""The chart of accounts. A ledger account is opened when it is first used."""

import uuid
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

from django.db import connections, router

from config import bulk
from config.rows import Rows
from payments.models import LedgerAccount, Pool

Kind = LedgerAccount.Kind
Role = LedgerAccount.Role

KINDS = {
    Role.CLEARING: Kind.ASSET,
    Role.CREATOR: Kind.LIABILITY,
    Role.PLATFORM: Kind.INCOME,
    Role.DEFERRED: Kind.LIABILITY,
    Role.POOL: Kind.LIABILITY,
    Role.LOSSES: Kind.EXPENSE,
    # The platform's expense alone: a creator's 80 % are of the price, not of the price minus fees.
    Role.FEES: Kind.EXPENSE,
    Role.PROMOTIONS: Kind.EXPENSE,
    Role.BAD_DEBT: Kind.EXPENSE,
    Role.CUSTOMER_REFUND: Kind.LIABILITY,
    Role.PAYOUT_TRANSIT: Kind.LIABILITY,
    Role.SUSPENSE: Kind.LIABILITY,
    # Neither ours nor owed: one side of an exchange, whose other side is in another currency.
    Role.FX_TRADING: Kind.EQUITY,
}
# A transfer that debits or credits these accounts moves money between the gateways and us. A gateway's
# fee, and an exchange into another currency, goes from one to the other and is no such movement.
GATEWAY_SIDE = frozenset({Role.CLEARING, Role.FEES, Role.FX_TRADING})
PERSONAL = frozenset({Role.CREATOR, Role.CUSTOMER_REFUND})  # one account for each user


class Key(NamedTuple):
    """The one ledger account of a role in a currency.

    A `PERSONAL` role has one for each user, ``owner_id``, and `Role.CLEARING` one for each gateway. The
    other roles ignore both.
    """

    role: Role
    currency: str
    owner_id: uuid.UUID | None = None
    gateway: str = ""

    @property
    def code(self) -> str:
        """The account's unique code."""
        holder = self.gateway if self.role == Role.CLEARING else ""
        if self.role in PERSONAL and self.owner_id:
            holder = str(self.owner_id)
        return _code(self.role, holder, self.currency)


@cache
def _with_codes(size: int) -> Rows[LedgerAccount]:
    kinds: dict[str, Any] = {f"code{number}": str for number in range(size)}
    return Rows(
        lambda **codes: LedgerAccount.objects.filter(code__in=list(codes.values())),
        LedgerAccount,
        **kinds,
    )


def of_each(
    keys: Iterable[Key], *, known: Iterable[LedgerAccount] = ()
) -> dict[Key, LedgerAccount]:
    """Return the accounts of some keys. Accounts that are ``known`` are not read again.

    One query for all others, and one or two more for each that is opened.
    """
    codes = {key: key.code for key in keys}
    found = {account.code: account for account in known}
    if unknown := set(codes.values()) - found.keys():
        query = _with_codes(len(unknown))
        stored = query.all(**{f"code{number}": code for number, code in enumerate(sorted(unknown))})
        found.update({account.code: account for account in stored})
    return {key: found.get(code) or _opened(key) for key, code in codes.items()}


def of(role: Role, currency: str, owner_id: uuid.UUID | None = None) -> LedgerAccount:
    """Return the account of a role in a currency; a `PERSONAL` role has one for each ``owner_id``.

    For other roles ``owner_id`` is ignored. `Role.CLEARING` has one for each gateway: use `clearing`.
    """
    return _opened(Key(role, currency, owner_id))


def clearing(gateway: str, currency: str) -> LedgerAccount:
    """Return the account of the money in one currency that a gateway holds for us."""
    return _opened(Key(Role.CLEARING, currency, gateway=gateway))


def open_for_shares(pool: Pool, *, first: str, last: str) -> None:
    """Open the accounts that a pool's creators with the ids ``first`` to ``last`` lack.

    In one statement, for any number of creators; those whose share is 0 need none.
    """
    connection = connections[router.db_for_write(LedgerAccount)]
    before, after = _code(Role.CREATOR, "?", pool.currency).split("?")
    id_text = bulk.id_text_sql(connection, "share.creator_id")
    # A sale may open one of them at the same moment; so conflicts are ignored. As in
    # `posting.post_shares`, substr keeps the index of the roles out.
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            INSERT INTO payments_ledgeraccount (code, kind, role, owner_id, currency)
            SELECT %s || {id_text} || %s, %s, %s, share.creator_id, %s
            FROM payments_poolshare AS share
            WHERE share.pool_id = %s AND share.creator_id BETWEEN %s AND %s AND share.amount > 0
                AND NOT EXISTS (
                    SELECT 1 FROM payments_ledgeraccount AS known
                    WHERE known.owner_id = share.creator_id AND known.currency = %s
                        AND substr(known.role, 1) = 'creator'
                )
            ORDER BY share.creator_id
            ON CONFLICT DO NOTHING
            """,  # noqa: S608 - no values
            [
                *(before, after, KINDS[Role.CREATOR].value, Role.CREATOR.value, pool.currency),
                *(bulk.id_for(connection, value) for value in (pool.pk, first, last)),
                pool.currency,
            ],
        )


def _opened(key: Key) -> LedgerAccount:
    account, _ = LedgerAccount.objects.get_or_create(
        code=key.code,
        defaults={
            "kind": KINDS[key.role],
            "currency": key.currency,
            "role": key.role,
            "owner_id": key.owner_id if key.role in PERSONAL else None,
        },
    )
    return account


def _code(role: Role, holder: str, currency: str) -> str:
    """Return the unique code of an account: its role, its user or gateway if any, its currency."""
    return ":".join(part for part in (role.value, holder, currency) if part)
