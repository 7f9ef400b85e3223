"""Measure how long the books take with a million transfers.

    .venv/bin/python benchmarks/ledger.py [--scale 1] [--clients 16] [--purchases 20]
    .venv/bin/python .ci/with_postgres.py -- .venv/bin/python benchmarks/ledger.py

Measures five things at full scale: the check of access among 1,000,000 entitlements (one query),
`verify_ledger` over 1,000,000 transfers, the closing and the verification of the month of these
transfers (500,000 sales of 100 creators) and of the next one, with 100,000 creators, and the purchases
a second of 16 concurrent clients (services and sandbox gateway). With ``--same-month`` all is in one
month, as in results before 2026-11-28.

`verify_ledger` is compared with two references, each one SQL statement that reads every transfer:
``scan`` adds up the table of transfers alone; ``joined`` also reads the columns that the check needs, of
the transfer's entry and accounts, its payment, order and entitlement. While the month is closed, another
connection writes a row every few milliseconds: ``others_waited_ms`` is its longest wait.

Works in a new database that is deleted afterwards: SQLite, or one on the server of DATABASE_URL, whose
user must be allowed to create databases. Prints the figures and, at full scale, writes
``benchmarks/results/ledger-<database>-<date>.json``.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from ledger_references import close_month, verify  # noqa: E402 - beside this file

VIDEOS_EACH = 25  # videos that every buyer has bought
SUBSCRIBERS = 100
PRICES = range(499, 10_499, 200)
CHECKS = 5000
EARLIER, MONTH = (2026, 7), (2026, 8)
BATCH = 5000


def main() -> int:
    options = arguments()
    return measured("ledger", options, lambda: {"figures": figures(options)})


def measured(name: str, options: argparse.Namespace, parts: Callable[[], dict]) -> int:
    """Measure on a database of its own, print the result, and at full scale write it to a file."""
    now = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix=f"{name}-") as folder, database(Path(folder)) as vendor:
        result = {
            "date": now.isoformat(timespec="seconds"),
            "machine": {
                "cores": os.cpu_count(),
                "load": os.getloadavg()[0],
                "python": platform.python_version(),
                "database": vendor,
            },
            "options": vars(options),
            **parts(),
        }
    print(json.dumps(result, indent=2))
    target = ROOT / "benchmarks" / "results" / f"{name}-{vendor}-{now:%Y-%m-%d}.json"
    if options.scale == 1:
        target.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written: {target.relative_to(ROOT)}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1, help="0.05 makes 1/20 of the rows")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--same-month", action="store_true", help="sales in the creators' month")
    parser.add_argument("--purchases", type=int, default=20, help="purchases of each client")
    return parser.parse_args()


@contextlib.contextmanager
def database(folder: Path):
    """Yield the vendor of a new, migrated and seeded database, and delete it afterwards.

    No .env is read.
    """
    os.environ.update(
        ENV_FILE=os.devnull,
        SECRET_KEY=secrets.token_urlsafe(48),
        DATA_DIR=str(folder),
        DEFAULT_ADMIN_PASSWORD=secrets.token_urlsafe(24),
        DJANGO_SETTINGS_MODULE="config.settings",
        LOG_LEVEL="ERROR",
    )
    import django
    from django.conf import settings

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    if connection.vendor == "sqlite":
        settings.DATABASES["default"]["TEST"]["NAME"] = str(folder / "benchmark.sqlite3")
    name = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True, serialize=False)
    try:
        call_command("seed", verbosity=0)
        yield connection.vendor
    finally:
        connection.creation.destroy_test_db(name, verbosity=0)


def figures(options: argparse.Namespace) -> dict:
    """Make the rows, measure, and return all figures by name."""

    def scaled(full: int) -> int:
        return max(1, round(full * options.scale))

    result = {}
    sold_in = MONTH if options.same_month else EARLIER
    sales = timed("making sales", lambda: make_sales(scaled(500_000), sold_in))
    result["verify_ledger"] = verify()
    timed("making entitlements", lambda: make_entitlements(sales, scaled(1_000_000)))
    result["entitlement"] = entitlement(sales)
    if not options.same_month:
        result["close_sales"] = close_month(EARLIER)
    timed("making creators", lambda: make_month(scaled(100_000)))
    result["close_pool"] = close_month(MONTH)
    if not result["close_pool"]["shared"]:
        raise SystemExit("The month shared nothing.")
    result["purchases"] = purchases(options.clients, options.purchases)
    return result


def timed(title: str, work):
    """Return the result of ``work()`` and print the seconds that it took."""
    start = time.monotonic()
    result = work()
    print(f"{title}: {time.monotonic() - start:.1f} s", file=sys.stderr)
    return result


def store(rows: list) -> list:
    """Insert rows of one model and return them."""
    return type(rows[0]).objects.bulk_create(rows, batch_size=BATCH)


def people(count: int, role: str) -> list:
    """Make users with the role of a creator or of a viewer."""
    from django.contrib.auth.models import Group

    from accounts.models import User

    group = Group.objects.get(name={"creator": "CREATOR"}.get(role, "VIEWER"))
    tag = secrets.token_hex(4)
    return store(
        [
            User(email=f"{role}-{tag}-{number}@example.com", display_name=role, role=group)
            for number in range(count)
        ]
    )


def videos(creators: list) -> list:
    """Make one paid video for each creator."""
    from django.utils import timezone

    from videos.models import Video

    return store(
        [
            Video(
                creator=creator,
                title="A video",
                is_paid=True,
                price=PRICES[number % len(PRICES)],
                status=Video.Status.READY,
                published_at=timezone.now(),
                duration_seconds=3600,
                source_path=f"sources/{number}",
                current_version="v1",
            )
            for number, creator in enumerate(creators)
        ]
    )


def make_sales(count: int, month: tuple[int, int]) -> tuple[list, list]:
    """Make paid orders of a month, each with payment, journal entry, two transfers and an entitlement.

    Returns the buyers and the videos.
    """
    from config.money import creator_share
    from payments.ledger import accounts
    from payments.models import Entitlement, JournalEntry, LedgerAccount, Order, Payment, Transfer

    Role = LedgerAccount.Role
    catalogue = videos(people(100, "creator"))
    buyers = people(max(1, count // VIDEOS_EACH), "buyer")
    paid_at = datetime(*month, 10, tzinfo=UTC)
    clearing, platform_ = accounts.clearing("sandbox", "USD"), accounts.of(Role.PLATFORM, "USD")
    owed = {video.pk: accounts.of(Role.CREATOR, "USD", video.creator_id) for video in catalogue}
    wishes = (
        (buyer, catalogue[(number + step) % len(catalogue)])
        for number, buyer in enumerate(buyers)
        for step in range(VIDEOS_EACH)
    )
    while batch := [wish for _, wish in zip(range(BATCH), wishes, strict=False)]:
        orders = store(
            [
                Order(
                    buyer=buyer, video=video, creator_id=video.creator_id,
                    list_amount=video.price, amount=video.price, currency="USD", fee_bps=2000,
                    status="paid", gateway="sandbox",
                    expires_at=paid_at, paid_at=paid_at,
                )
                for buyer, video in batch
            ]
        )  # fmt: skip
        payments = store(
            [
                Payment(
                    gateway="sandbox", external_id=f"sbx_{order.pk}", order=order, amount=order.amount,
                    currency="USD", captured=order.amount, captured_at=paid_at, available_on=paid_at,
                    status="captured", disposition="applied", entries_booked=1,
                )
                for order in orders
            ]
        )  # fmt: skip
        entries = store(
            [
                JournalEntry(
                    key=f"payment:{payment.pk}:1", kind=JournalEntry.Kind.CAPTURE, payment=payment,
                    effective_at=paid_at,
                )
                for payment in payments
            ]
        )  # fmt: skip
        transfers = []
        for entry, order in zip(entries, orders, strict=True):
            common = {"entry": entry, "currency": "USD", "available_on": paid_at, "debit": clearing}
            share = creator_share(order.amount, order.fee_bps)
            transfers.append(Transfer(credit=owed[order.video_id], amount=share, **common))
            transfers.append(Transfer(credit=platform_, amount=order.amount - share, **common))
        store(transfers)
        store(
            [
                Entitlement(
                    user=order.buyer, video=order.video, source_type="order", source_id=order.pk
                )
                for order in orders
            ]
        )
    return buyers, catalogue


def make_entitlements(sales: tuple[list, list], count: int) -> None:
    """Add entitlements until there are ``count`` of them, so that the index is large.

    Their orders do not exist; the check of access does not read orders.
    """
    from config.ids import uuid7
    from payments.models import Entitlement

    buyers, catalogue = sales
    missing = count - Entitlement.objects.count()
    for start in range(0, missing, BATCH):
        store(
            [
                Entitlement(
                    user=buyers[number % len(buyers)],
                    video=catalogue[number // len(buyers) % len(catalogue)],
                    source_type="order",
                    source_id=uuid7(),
                )
                for number in range(start, min(start + BATCH, missing))
            ]
        )


def entitlement(sales: tuple[list, list]) -> dict:
    """Measure the check of access. Ends the benchmark if it needs more than one query."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from accounts.models import User
    from payments.entitlements import can_watch
    from payments.models import Entitlement

    buyers, catalogue = sales
    dice = random.Random(1)  # noqa: S311 - every run checks the same pairs
    asked = dice.sample(buyers, min(CHECKS, len(buyers)))
    known = {user.pk: user for user in User.objects.filter(pk__in=[u.pk for u in asked[:500]])}
    pairs = [(user, dice.choice(catalogue)) for user in known.values() for _ in range(10)]
    can_watch(*pairs[0])  # reads the permissions of the role, which are then cached
    with CaptureQueriesContext(connection) as captured:
        can_watch(*pairs[1])
    if len(captured) > 1:
        raise SystemExit(f"The check of access needs {len(captured)} queries instead of one.")
    times = []
    for user, video in pairs:
        start = time.perf_counter()
        can_watch(user, video)
        times.append((time.perf_counter() - start) * 1000)
    cuts = statistics.quantiles(times, n=100)
    return {
        "rights": Entitlement.objects.count(),
        "queries": len(captured),
        "p50_ms": round(cuts[49], 3),
        "p99_ms": round(cuts[98], 3),
    }


def make_month(creators: int) -> None:
    """Make a month in which subscribers have paid and have watched a video of every creator."""
    from payments.models import Invoice, JournalEntry, Payment, Plan, Subscription, WatchDaily
    from payments.services.settling import split

    start, end = datetime(*MONTH, 1, tzinfo=UTC), datetime(*MONTH, 31, tzinfo=UTC)
    plan = Plan.objects.get(code="monthly")
    subscribers = people(SUBSCRIBERS, "subscriber")
    for user in subscribers:
        subscription = Subscription.objects.create(
            user=user, plan=plan, gateway="sandbox", status="active", period_start=start,
            period_end=end,
        )  # fmt: skip
        invoice = Invoice.objects.create(
            subscription=subscription, period_start=start, period_end=end, amount=10_000_000,
            currency="USD", fee_bps=2000, status="paid", paid_at=start,
        )  # fmt: skip
        payment = Payment.objects.create(
            gateway="sandbox", external_id=f"sbx_{invoice.pk}", invoice=invoice,
            amount=invoice.amount, currency="USD", captured=invoice.amount, captured_at=start,
            available_on=start + timedelta(days=14), status="captured", disposition="applied",
        )  # fmt: skip
        split.book_payment(payment, kind=JournalEntry.Kind.CAPTURE, at=start)
    catalogue = videos(people(creators, "creator"))
    store(
        [
            WatchDaily(
                user=subscribers[number % SUBSCRIBERS], video=video, creator_id=video.creator_id,
                day=start.date(), seconds=30 + number % 3000, plan_seconds=30 + number % 3000,
            )
            for number, video in enumerate(catalogue)
        ]
    )  # fmt: skip


def purchases(clients: int, each: int) -> dict:
    """Measure concurrent purchases: every client buys its videos one after the other.

    The sandbox gateway answers without a network.
    """
    from django.db import connections

    from payments.services.buying import checkout

    catalogue = videos(people(each, "creator"))

    def buy(user) -> None:
        try:
            for video in catalogue:
                checkout.purchase(
                    buyer=user,
                    video_id=video.pk,
                    options=checkout.PurchaseOptions(),
                    payment_method="pm_card_visa",
                )
        finally:
            connections.close_all()

    buyers = people(clients, "buyer")
    start = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(buy, buyers))
    seconds = time.monotonic() - start
    return {
        "clients": clients,
        "purchases": clients * each,
        "per_second": round(clients * each / seconds, 1),
    }


if __name__ == "__main__":
    sys.exit(main())
