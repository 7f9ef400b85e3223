"""The books: the split as arithmetic, and what the database itself refuses."""

import pytest
from django.apps import apps
from django.db import IntegrityError, connection, models, transaction
from django.db.models.signals import post_migrate
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from config import append_only, money
from payments.ledger import accounts, positions, posting, protection
from payments.models import JournalEntry, LedgerAccount, Transfer
from payments.tests.kit import balances, nothing_changes

amounts = st.integers(0, 10**13)
fees = st.integers(0, 10_000)


def sale_of(captured, back, fee_bps, subsidy=0):
    found = positions.of_sale(captured=captured, back=back, fee_bps=fee_bps, subsidy=subsidy)
    return found["creator"], found["platform"], -found["promotions"], -found["losses"]


@given(amounts, fees)
def test_the_split_loses_nothing_and_never_rounds_against_the_creator(net, fee_bps):
    """Money 26."""
    creator, platform, *_ = sale_of(net, 0, fee_bps)
    assert creator + platform == net
    assert platform == net * fee_bps // 10_000
    assert creator * 10_000 >= net * (10_000 - fee_bps)


@given(amounts, fees, st.lists(st.integers(1, 10**13), max_size=20))
def test_refunds_in_any_slices_end_where_one_refund_ends(captured, fee_bps, slices):
    """Money 27."""
    refunded = 0
    before = sale_of(captured, 0, fee_bps)
    reversed_creator = reversed_platform = 0
    for part in slices:
        part = min(part, captured - refunded)
        refunded += part
        after = sale_of(captured, refunded, fee_bps)
        steps = before[0] - after[0], before[1] - after[1]
        assert min(steps) >= 0
        assert sum(steps) == part
        reversed_creator += steps[0]
        reversed_platform += steps[1]
        before = after
    whole, left = sale_of(captured, 0, fee_bps), sale_of(captured - refunded, 0, fee_bps)
    assert reversed_creator == whole[0] - left[0]
    assert reversed_platform == whole[1] - left[1]


@given(amounts, amounts, fees, amounts)
def test_what_went_back_beyond_the_capture_is_a_loss(captured, back, fee_bps, subsidy):
    creator, platform, promotions, losses = sale_of(captured, back, fee_bps, subsidy)
    assert creator + platform - promotions - losses == captured - back
    assert 0 <= promotions <= subsidy
    assert losses == 0 or (creator, platform, promotions) == (0, 0, 0)


@given(amounts, amounts, amounts, fees)
def test_an_invoice_is_owed_or_earned_and_never_both(captured, back, recognised, fee_bps):
    found = positions.of_invoice(
        captured=captured, back=back, recognised=recognised, fee_bps=fee_bps
    )
    assert sum(found.values()) == captured - back
    assert found["deferred"] >= 0
    earned = found["pool"] + found["platform"]
    assert found["platform"] == earned * fee_bps // 10_000
    assert earned <= recognised


@pytest.mark.parametrize(
    ("net", "creator", "platform"),
    [(1999, 1600, 399), (1, 1, 0), (4, 4, 0), (5, 4, 1), (10**13, 8 * 10**12, 2 * 10**12)],
)
def test_the_known_splits(net, creator, platform):
    """Money 33, 37."""
    assert sale_of(net, 0, 2000) == (creator, platform, 0, 0)


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
    """Money 35."""
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
    dollars, euros = (
        accounts.of(LedgerAccount.Role.PLATFORM, "USD"),
        accounts.of(LedgerAccount.Role.PLATFORM, "EUR"),
    )
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
        posting.post(key="x", kind="x", currency="EUR", transfers=legs, at=timezone.now())


@pytest.mark.django_db
@pytest.mark.parametrize("amount", [0, -5])
def test_a_transfer_moves_something_between_two_accounts(amount, sale):
    one, other = (
        accounts.of(LedgerAccount.Role.PLATFORM, "USD"),
        accounts.of(LedgerAccount.Role.LOSSES, "USD"),
    )
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
    legs = [(accounts.of(LedgerAccount.Role.LOSSES, "USD"), accounts.clearing("sandbox", "USD"), 5)]
    now = timezone.now()
    posting.post(key="once", kind="test", currency="USD", transfers=legs, at=now)
    booked = balances()
    with pytest.raises(IntegrityError), transaction.atomic():
        posting.post(key="once", kind="test", currency="USD", transfers=legs, at=now)
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
            credit=accounts.of(LedgerAccount.Role.LOSSES, "USD"),
            amount=5,
            currency="EUR",
        )


@pytest.mark.django_db(transaction=True)
def test_the_table_of_accounts_can_be_rebuilt_under_its_trigger(viewer, make_video, buy):
    """Money 36: an upgrade adds to a table that the ledger's trigger looks at, and nothing is lost."""
    buy(viewer, make_video(price=1999))
    before = balances()
    rule = models.CheckConstraint(condition=~models.Q(code=""), name="account_has_code")
    protection.make_way("default")
    try:
        with connection.schema_editor() as editor:
            editor.add_constraint(LedgerAccount, rule)
        with connection.schema_editor() as editor:
            editor.remove_constraint(LedgerAccount, rule)
    finally:
        protection.install("default")
    assert balances() == before
    assert protection.missing("default") == []
