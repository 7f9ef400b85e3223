"""The books: the split as arithmetic, and what the database itself refuses."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, transaction
from django.db.models.signals import post_migrate
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from config import append_only, money
from payments.ledger import accounts, posting, protection
from payments.ledger.positions import Positions, positions
from payments.models import JournalEntry, LedgerAccount, Transfer
from payments.tests.kit import balances, nothing_changes

amounts = st.integers(0, 10**13)
fees = st.integers(0, 10_000)


@given(amounts, fees)
def test_the_split_loses_nothing_and_never_rounds_against_the_creator(net, fee_bps):
    target = positions(captured=net, refunded=0, fee_bps=fee_bps)
    assert target.creator + target.platform == net
    assert target.platform == net * fee_bps // 10_000
    assert target.creator * 10_000 >= net * (10_000 - fee_bps)


@given(amounts, fees, st.lists(st.integers(1, 10**13), max_size=20))
def test_refunds_in_any_slices_end_where_one_refund_ends(captured, fee_bps, slices):
    refunded = 0
    before = positions(captured=captured, refunded=0, fee_bps=fee_bps)
    reversed_creator = reversed_platform = 0
    for part in slices:
        part = min(part, captured - refunded)
        refunded += part
        after = positions(captured=captured, refunded=refunded, fee_bps=fee_bps)
        steps = before.creator - after.creator, before.platform - after.platform
        assert min(steps) >= 0
        assert sum(steps) == part
        reversed_creator += steps[0]
        reversed_platform += steps[1]
        before = after
    whole = positions(captured=captured, refunded=0, fee_bps=fee_bps)
    left = positions(captured=captured - refunded, refunded=0, fee_bps=fee_bps)
    assert reversed_creator == whole.creator - left.creator
    assert reversed_platform == whole.platform - left.platform


@given(amounts, amounts, amounts, fees)
def test_what_went_back_beyond_the_capture_is_a_loss(captured, refunded, disputed, fee_bps):
    target = positions(captured=captured, refunded=refunded, disputed=disputed, fee_bps=fee_bps)
    assert target.creator + target.platform - target.losses == captured - refunded - disputed
    assert target.losses == 0 or (target.creator, target.platform) == (0, 0)


@pytest.mark.parametrize(
    ("net", "creator", "platform"),
    [(1999, 1600, 399), (1, 1, 0), (4, 4, 0), (5, 4, 1), (10**13, 8 * 10**12, 2 * 10**12)],
)
def test_the_known_splits(net, creator, platform):
    assert positions(captured=net, refunded=0, fee_bps=2000) == Positions(creator, platform, 0)


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(money.EXPONENTS)))
def test_an_amount_is_the_same_after_it_was_shown(minor, currency):
    assert money.to_minor(money.to_text(minor, currency), currency) == minor


@pytest.fixture
def sale(buy, viewer, make_video):
    return buy(viewer, make_video(price=1999))


def run_sql(statement: str, *values) -> None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement, values)


REFUSED = [
    "UPDATE payments_transfer SET amount = 1",
    "UPDATE payments_transfer SET credit_id = debit_id",
    "DELETE FROM payments_transfer",
    "UPDATE payments_journalentry SET kind = 'gift'",
    "DELETE FROM payments_journalentry",
]


@pytest.mark.django_db
@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_to_rewrite_the_books(sale, statement):
    with nothing_changes(), pytest.raises(IntegrityError, match="append-only"):
        run_sql(statement)


@pytest.mark.django_db
def test_the_orm_cannot_rewrite_the_books_either(sale):
    row = Transfer.objects.first()
    row.amount += 1
    for attempt in (row.save, row.delete, Transfer.objects.all().delete):
        with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
            attempt()


@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
def test_the_database_refuses_to_empty_the_books(sale):
    run_sql("SET CONSTRAINTS ALL IMMEDIATE")
    with nothing_changes(), pytest.raises(IntegrityError, match="append-only"):
        run_sql("TRUNCATE payments_transfer CASCADE")


@pytest.mark.django_db
def test_two_currencies_never_meet(sale):
    dollars, euros = accounts.platform("USD"), accounts.platform("EUR")
    entry = JournalEntry.objects.create(key="smuggle", kind="test")
    insert = (
        "INSERT INTO payments_transfer (entry_id, debit_id, credit_id, amount, currency)"
        " VALUES (%s, %s, %s, 5, %s)"
    )
    entry_id = entry.pk if connection.features.has_native_uuid_field else entry.pk.hex
    for currency in ("USD", "EUR", "JPY"):
        with pytest.raises(IntegrityError, match="currencies differ"):
            run_sql(insert, entry_id, dollars.pk, euros.pk, currency)
    legs = [(dollars, accounts.clearing("sandbox", "USD"), 5)]
    with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
        posting.post(key="x", kind="x", currency="EUR", legs=legs, at=timezone.now())


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -5])
def test_a_transfer_moves_something_between_two_accounts(amount, sale):
    one, other = accounts.platform("USD"), accounts.losses("USD")
    entry = JournalEntry.objects.create(key="nothing", kind="test")
    for debit, credit in ((one, other), (one, one)):
        with pytest.raises(IntegrityError), transaction.atomic():
            Transfer.objects.create(
                entry=entry,
                debit=debit,
                credit=credit,
                amount=amount if debit != credit else 5,
                currency="USD",
            )


@pytest.mark.django_db
def test_an_entry_is_posted_once(sale):
    legs = [(accounts.losses("USD"), accounts.clearing("sandbox", "USD"), 5)]
    now = timezone.now()
    posting.post(key="once", kind="test", currency="USD", legs=legs, at=now)
    booked = balances()
    with pytest.raises(IntegrityError), transaction.atomic():
        posting.post(key="once", kind="test", currency="USD", legs=legs, at=now)
    assert balances() == booked


@pytest.mark.django_db
def test_the_triggers_stand_after_a_table_was_rebuilt(sale):
    with connection.cursor() as cursor:
        for table in protection.TABLES:
            append_only.release(connection.alias, table)
            assert append_only.missing(connection.alias, table)
        suffix = "" if connection.vendor == "sqlite" else " ON payments_transfer"
        cursor.execute(f'DROP TRIGGER "{protection.CURRENCY_TRIGGER}"{suffix}')
    payments = apps.get_app_config("payments")
    post_migrate.send(sender=payments, app_config=payments, using=connection.alias)
    assert [t for table in protection.TABLES for t in append_only.missing("default", table)] == []
    with pytest.raises(IntegrityError, match="currencies differ"):
        Transfer.objects.create(
            entry=JournalEntry.objects.first(),
            debit=LedgerAccount.objects.get(code="platform:USD"),
            credit=accounts.losses("USD"),
            amount=5,
            currency="EUR",
        )
