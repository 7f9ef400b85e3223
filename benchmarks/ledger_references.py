"""What `ledger.py` measures of the books, beside one statement over the same rows and another writer."""

import contextlib
import threading
import time

SCAN = """
    SELECT SUM(amount), MAX(currency), MAX(debit_id), MAX(credit_id), COUNT(entry_id)
    FROM payments_transfer
"""
JOINED = """
    SELECT entry.kind, debit.role, credit.role, transfer.currency,
        SUM(transfer.amount), SUM(payment.captured), MAX(bought.status), MAX(entitlement.revoked_at)
    FROM payments_transfer AS transfer
    JOIN payments_journalentry AS entry ON entry.id = transfer.entry_id
    JOIN payments_ledgeraccount AS debit ON debit.id = transfer.debit_id
    JOIN payments_ledgeraccount AS credit ON credit.id = transfer.credit_id
    LEFT JOIN payments_payment AS payment ON payment.id = entry.payment_id
    LEFT JOIN payments_order AS bought ON bought.id = payment.order_id
    LEFT JOIN payments_entitlement AS entitlement
        ON entitlement.source_type = 'order' AND entitlement.source_id = bought.id
    GROUP BY 1, 2, 3, 4
"""


def verify() -> dict:
    """Measure the verification of the books, beside single statements that read the same rows."""
    from django.db import connection

    from payments.books import verification
    from payments.models import Transfer

    def seconds(statement: str) -> float:
        start = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(statement)
            if cursor.description:  # ANALYZE has no rows
                cursor.fetchall()
        return time.perf_counter() - start

    if connection.vendor == "postgresql":
        seconds("ANALYZE")
    # In turns, so that a noisy machine disturbs all of them.
    runs = []
    for _ in range(2):
        check = verification.verify_ledger()
        if check.discrepancies:
            raise SystemExit(f"The books are wrong: {check.first}")
        runs.append((check.seconds, seconds(SCAN), seconds(JOINED)))
    whole, scan, joined = (min(times) for times in zip(*runs, strict=True))
    return {
        "transfers": Transfer.objects.count(),
        "seconds": round(whole, 2),
        "scan_seconds": round(scan, 2),
        "joined_seconds": round(joined, 2),
        "times_joined": round(whole / joined, 2),
    }


def close_month(named: tuple[int, int]) -> dict:
    """Measure the closing of a month, and its verification."""
    from payments.models import Statement, Transfer
    from payments.periods import Month
    from payments.services.sharing import pools

    month, transfers = Month(*named), Transfer.objects.count()
    with other_writer() as waits:
        start = time.monotonic()
        (closing,) = pools.close_month(month)
        closed = time.monotonic()
    wrong = pools.verify_month(month)
    seconds = time.monotonic() - closed
    if wrong:
        raise SystemExit(f"The month is wrong: {wrong[:1]}")
    return {
        "creators": len(closing.shares),
        "shared": closing.pool.amount,
        "statements": Statement.objects.filter(period=str(month)).count(),
        "transfers_before": transfers,
        "close_seconds": round(closed - start, 1),
        "others_waited_ms": round(max(waits) * 1000),
        "others_wrote": len(waits),
        "verify_seconds": round(seconds, 1),
    }


@contextlib.contextmanager
def other_writer():
    """Write a row every few milliseconds in another connection; yield the list of the waits."""
    from django.db import connections, transaction

    from accounts.models import User

    waits, is_over = [0.0], threading.Event()

    def write() -> None:
        user = User.objects.earliest("pk")
        while not is_over.wait(0.005):
            start = time.perf_counter()
            with transaction.atomic():
                User.objects.filter(pk=user.pk).update(display_name="Busy")
            waits.append(time.perf_counter() - start)
        connections.close_all()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield waits
    finally:
        is_over.set()
        thread.join()
