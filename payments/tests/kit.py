"""Tools of the tests about money: state, balances, simultaneous calls, query counts, bad gateways."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime
from threading import Barrier
from typing import ParamSpec, TypeVar

from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from payments import models
from payments.books import trial_balance, verification
from payments.gateways.base import OutcomeUnknown
from payments.gateways.sandbox import SandboxGateway
from payments.models import JournalEntry, Transfer

MONEY = (
    models.Order, models.Payment, models.Refund, models.Dispute, models.Conversion,
    models.Invoice, models.Subscription, JournalEntry, Transfer, models.Entitlement, models.Coupon,
    models.CouponRedemption, models.Pool, models.PoolShare, models.Statement, models.Payout,
    models.SandboxPayment, models.SandboxRefund, models.SandboxDispute, models.SandboxCheckout,
    models.SandboxSubscription, models.SandboxInvoice, models.Notice,
)  # fmt: skip
# Fields that a sync or a decline may change although no money and no access have changed.
TICKETS = {"sync_ticket", "applied_ticket", "changed_at", "attempt"}
VISA, DECLINED = "pm_card_visa", "pm_card_chargeDeclined"

P = ParamSpec("P")
R = TypeVar("R")


def all_money() -> dict[str, list[str]]:
    """Return, by model name, every row about money or access as sorted text, to compare two moments."""
    rows = {}
    for model in MONEY:
        names = [f.attname for f in model._meta.concrete_fields if f.name not in TICKETS]
        rows[model.__name__] = sorted(map(str, model.objects.values_list(*names)))
    return rows


@contextmanager
def nothing_changes() -> Iterator[None]:
    """Fail if the block changes any row of MONEY."""
    before = all_money()
    yield
    assert all_money() == before


def balances() -> dict[str, int]:
    """Return credits minus debits in minor units, by account role and currency, without zeros.

    The accounts of all users with one role are added up: ``{"creator:USD": 1600, …}``.
    """
    by_role: dict[str, int] = {}
    for row in trial_balance.accounts():
        role, *_, currency = row.code.split(":")
        by_role[f"{role}:{currency}"] = by_role.get(f"{role}:{currency}", 0) - row.balance
    return {code: balance for code, balance in by_role.items() if balance}


def assert_books_balance() -> None:
    """Fail unless debits equal credits in every currency."""
    by_currency: dict[str, int] = {}
    for row in trial_balance.accounts():
        by_currency[row.currency] = by_currency.get(row.currency, 0) + row.balance
    assert not any(by_currency.values()), by_currency


def assert_books_are_right() -> None:
    """Fail unless the books hold exactly what all facts require."""
    check = verification.verify_ledger()
    assert check.discrepancies == 0, check.first_discrepancies


def period_of(subscription: models.Subscription) -> tuple[datetime, datetime]:
    """Return the start and the end of a subscription's current period; fail if it has none."""
    assert subscription.period_start
    assert subscription.period_end
    return subscription.period_start, subscription.period_end


def checkout_of(item: models.Order | models.Subscription) -> str:
    """Return the id of an order's or a subscription's checkout; fail if it has none."""
    assert item.checkout_id, item
    return item.checkout_id


def code(response) -> str:
    """Return the code of the first error in an API answer."""
    return response.data["errors"][0]["code"]


def together(calls: list[Callable[..., R]]) -> list[R]:
    """Run all calls at the same moment, each in a thread with its own database connection.

    The calls get no arguments. Returns their results in the order of the calls.
    """
    start = Barrier(len(calls))

    def run(call: Callable[..., R]) -> R:
        try:
            start.wait()
            return call()
        finally:
            connections.close_all()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


_FRAME = ("BEGIN", "COMMIT", "SAVEPOINT", "RELEASE", "ROLLBACK")


@contextmanager
def statements(*, exactly: int | None = None, at_most: int | None = None) -> Iterator[None]:
    """Fail unless the block sends as many SQL statements as allowed.

    BEGIN, COMMIT, savepoints and the audit entry of a request are not counted. A running service
    writes the audit entry in the background.
    """
    with CaptureQueriesContext(connection) as captured:
        yield
    sent = [
        query["sql"]
        for query in captured.captured_queries
        if not query["sql"].startswith(_FRAME) and 'INTO "audit_' not in query["sql"]
    ]
    shown = "\n".join(sent)
    if exactly is not None:
        assert len(sent) == exactly, f"{len(sent)} statements:\n{shown}"
    if at_most is not None:
        assert len(sent) <= at_most, f"{len(sent)} statements:\n{shown}"


class Killed(BaseException):
    """The death of a process: a BaseException, so that no ``except Exception`` can handle it."""


def _losing(call: Callable[P, R], error: type[BaseException]) -> Callable[P, R]:
    """Return a function that makes the call, and raises ``error`` in place of the call's result."""

    def lost(*args: P.args, **kwargs: P.kwargs) -> R:
        call(*args, **kwargs)
        raise error

    return lost


class DyingGateway(SandboxGateway):
    """A sandbox that does its work and then kills the calling process before it can answer."""

    charge = _losing(SandboxGateway.charge, Killed)
    start_subscription = _losing(SandboxGateway.start_subscription, Killed)
    create_checkout = _losing(SandboxGateway.create_checkout, Killed)
    refund = _losing(SandboxGateway.refund, Killed)


class ForgetfulGateway(SandboxGateway):
    """A sandbox that answers orders to move money, and then no question about it."""

    fetch_payment = _losing(SandboxGateway.fetch_payment, OutcomeUnknown)


class SilentGateway(SandboxGateway):
    """A sandbox that does its work and then loses its answer (OutcomeUnknown)."""

    charge = _losing(SandboxGateway.charge, OutcomeUnknown)
    create_checkout = _losing(SandboxGateway.create_checkout, OutcomeUnknown)
    refund = _losing(SandboxGateway.refund, OutcomeUnknown)
