"""What tests of money look at: the whole state of it, the balances, and calls that run together."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier

from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from payments import models
from payments.books.reports import trial_balance
from payments.gateways.base import OutcomeUnknown
from payments.gateways.sandbox import SandboxGateway
from payments.models import JournalEntry, Transfer

MONEY = (
    models.Order, models.Payment, models.Refund, models.Dispute, models.Invoice,
    models.Subscription, JournalEntry, Transfer, models.Entitlement, models.Coupon,
    models.CouponRedemption, models.Pool, models.PoolShare, models.Statement, models.Payout,
    models.SandboxPayment, models.SandboxRefund, models.SandboxDispute, models.SandboxCheckout,
    models.SandboxSubscription, models.SandboxInvoice, models.Notice,
)  # fmt: skip
# What only counts how often somebody asked.
TICKETS = {"sync_ticket", "applied_ticket", "changed_at"}
VISA, DECLINED = "pm_card_visa", "pm_card_chargeDeclined"


def all_money() -> dict[str, list]:
    """Every row that says something about money or a right."""
    found = {}
    for model in MONEY:
        names = [f.attname for f in model._meta.concrete_fields if f.name not in TICKETS]
        found[model.__name__] = sorted(map(str, model.objects.values_list(*names)))
    return found


@contextmanager
def nothing_changes() -> Iterator[None]:
    before = all_money()
    yield
    assert all_money() == before


def balances() -> dict[str, int]:
    """Credits minus debits by account, as far as there are any; the users' ids are left out."""
    found: dict[str, int] = {}
    for row in trial_balance():
        role, *_, currency = row.code.split(":")
        found[f"{role}:{currency}"] = found.get(f"{role}:{currency}", 0) - row.balance
    return {code: balance for code, balance in found.items() if balance}


def assert_books_balance() -> None:
    by_currency: dict[str, int] = {}
    for row in trial_balance():
        by_currency[row.currency] = by_currency.get(row.currency, 0) + row.balance
    assert not any(by_currency.values()), by_currency


def code(response) -> str:
    return response.data["errors"][0]["code"]


def together(calls: list[Callable]) -> list:
    """Run all calls at the same moment, each on a thread and connection of its own."""
    start = Barrier(len(calls))

    def run(call):
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
    """Counts what is asked of the database, without the frames of transactions.

    Nor is the audit log's line of a request, which a running service writes in the background.
    """
    with CaptureQueriesContext(connection) as captured:
        yield
    asked = [
        query["sql"]
        for query in captured.captured_queries
        if not query["sql"].startswith(_FRAME) and 'INTO "audit_auditentry"' not in query["sql"]
    ]
    shown = "\n".join(asked)
    if exactly is not None:
        assert len(asked) == exactly, f"{len(asked)} statements:\n{shown}"
    if at_most is not None:
        assert len(asked) <= at_most, f"{len(asked)} statements:\n{shown}"


class Killed(BaseException):
    """What a process that dies does: no handler sees it."""


class DyingGateway(SandboxGateway):
    """The money moves, and the process is gone before it hears of it."""

    def charge(self, **order):
        super().charge(**order)
        raise Killed

    def start_subscription(self, plan, **order):
        super().start_subscription(plan, **order)
        raise Killed

    def create_checkout(self, item, **order):
        super().create_checkout(item, **order)
        raise Killed

    def refund(self, **order):
        super().refund(**order)
        raise Killed


class SilentGateway(SandboxGateway):
    """The money moves, and the answer is lost on the way."""

    def charge(self, **order):
        super().charge(**order)
        raise OutcomeUnknown

    def create_checkout(self, item, **order):
        super().create_checkout(item, **order)
        raise OutcomeUnknown

    def refund(self, **order):
        super().refund(**order)
        raise OutcomeUnknown
