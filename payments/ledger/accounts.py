"""The chart of accounts. Accounts come into being when they are first used."""

from payments.models import LedgerAccount

Kind = LedgerAccount.Kind


def clearing(gateway: str, currency: str) -> LedgerAccount:
    """What the gateway holds for us."""
    return _account(f"clearing:{gateway}:{currency}", Kind.ASSET, currency)


def creator(user_id, currency: str) -> LedgerAccount:
    """What we owe a creator. Below zero: what they owe us, after a refund of money paid out."""
    return _account(f"creator:{user_id}:{currency}", Kind.LIABILITY, currency, owner_id=user_id)


def platform(currency: str) -> LedgerAccount:
    """What the platform has earned."""
    return _account(f"platform:{currency}", Kind.INCOME, currency)


def deferred(currency: str) -> LedgerAccount:
    """Subscriptions paid for, and not yet earned by anyone."""
    return _account(f"deferred:{currency}", Kind.LIABILITY, currency)


def pool(currency: str) -> LedgerAccount:
    """The creators' part of subscriptions, earned and not yet shared out."""
    return _account(f"pool:{currency}", Kind.LIABILITY, currency)


def losses(currency: str) -> LedgerAccount:
    """What was given back beyond what was ever received."""
    return _account(f"losses:{currency}", Kind.EXPENSE, currency)


def fees(currency: str) -> LedgerAccount:
    """What gateways keep: the platform's expense, so that 80 % is of the price."""
    return _account(f"fees:{currency}", Kind.EXPENSE, currency)


def promotions(currency: str) -> LedgerAccount:
    """Discounts that the platform pays for."""
    return _account(f"promotions:{currency}", Kind.EXPENSE, currency)


def bad_debt(currency: str) -> LedgerAccount:
    """What creators owed and nobody will get back."""
    return _account(f"bad_debt:{currency}", Kind.EXPENSE, currency)


def customer_refund(user_id, currency: str) -> LedgerAccount:
    """What a buyer paid twice, until it is back."""
    code = f"customer_refund:{user_id}:{currency}"
    return _account(code, Kind.LIABILITY, currency, owner_id=user_id)


def payout_transit(currency: str) -> LedgerAccount:
    """Set aside for creators, and not yet at their bank."""
    return _account(f"payout_transit:{currency}", Kind.LIABILITY, currency)


def suspense(currency: str) -> LedgerAccount:
    """Money that pays nothing we know of: somebody must look."""
    return _account(f"suspense:{currency}", Kind.LIABILITY, currency)


def _account(code: str, kind: Kind, currency: str, **owner) -> LedgerAccount:
    account, _ = LedgerAccount.objects.get_or_create(
        code=code,
        defaults={"kind": kind, "currency": currency, "role": code.partition(":")[0], **owner},
    )
    return account
