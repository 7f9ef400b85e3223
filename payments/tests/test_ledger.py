"""The ledger: the arithmetic of the split, and the writes that the database refuses."""

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


@pytest.mark.promise("split-adds-up")
@given(amounts, fees)
def test_the_split_loses_nothing_and_never_rounds_against_the_creator(net, fee_bps):
    """Both shares add up to the net; the platform's is rounded down, so the creator never loses."""
    creator, platform, *_ = sale_of(net, 0, fee_bps)
    assert creator + platform == net
    assert platform == net * fee_bps // 10_000
    assert creator * 10_000 >= net * (10_000 - fee_bps)


@pytest.mark.promise("refund-slices-add-up")
@given(amounts, fees, st.lists(st.integers(1, 10**13), max_size=20))
def test_refunds_in_any_slices_reverse_the_same_shares(captured, fee_bps, slices):
    """Refunds in any slices reverse the same shares as one refund of their sum."""
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
def test_money_returned_beyond_the_capture_is_a_loss(captured, back, fee_bps, subsidy):
    creator, platform, promotions, losses = sale_of(captured, back, fee_bps, subsidy)
    assert creator + platform - promotions - losses == captured - back
    assert 0 <= promotions <= subsidy
    assert losses == 0 or (creator, platform, promotions) == (0, 0, 0)


@given(amounts, amounts, amounts, fees)
def test_an_invoices_money_is_either_deferred_or_earned(captured, back, recognised, fee_bps):
    found = positions.of_invoice(
        captured=captured, back=back, recognised=recognised, fee_bps=fee_bps
    )
    assert sum(found.values()) == captured - back
    assert found["deferred"] >= 0
    earned = found["pool"] + found["platform"]
    assert found["platform"] == earned * fee_bps // 10_000
    assert earned <= recognised


@pytest.mark.promise("smallest-amount-to-creator", "large-amounts-fit")
@pytest.mark.parametrize(
    ("net", "creator", "platform"),
    [(1999, 1600, 399), (1, 1, 0), (4, 4, 0), (5, 4, 1), (10**13, 8 * 10**12, 2 * 10**12)],
)
def test_known_amounts_are_split_exactly(net, creator, platform):
    """Known splits at 20 %: a single minor unit goes to the creator, and 10^13 are split exactly."""
    assert sale_of(net, 0, 2000) == (creator, platform, 0, 0)


@pytest.mark.django_db
@pytest.mark.promise("large-amounts-fit")
def test_large_amounts_are_stored_and_added_up():
    debit, credit = (
        accounts.of(LedgerAccount.Role.LOSSES, "USD"),
        accounts.clearing("sandbox", "USD"),
    )
    legs = [(debit, credit, 10**13)]
    for number in range(3):
        key = f"large:{number}"
        posting.post(key=key, kind="test", currency="USD", legs=legs, at=timezone.now())
    assert Transfer.objects.filter(amount=10**13).count() == 3
    assert balances() == {"losses:USD": -3 * 10**13, "clearing:USD": 3 * 10**13}


@given(st.integers(-(10**12), 10**12), st.sampled_from(sorted(money.EXPONENTS)))
def test_an_amount_survives_being_written_as_text(minor, currency):
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


@pytest.mark.promise("ledger-append-only")
@pytest.mark.django_db
@pytest.mark.parametrize("statement", REFUSED)
def test_the_database_refuses_to_rewrite_the_books(sale, statement):
    """The database refuses SQL that updates or deletes transfers or journal entries."""
    with nothing_changes(), pytest.raises(IntegrityError, match="append-only"):
        run_sql(statement)


@pytest.mark.promise("ledger-append-only")
@pytest.mark.django_db
def test_the_orm_cannot_rewrite_the_books(sale):
    row = Transfer.objects.first()
    row.amount += 1
    for attempt in (row.save, row.delete, Transfer.objects.all().delete):
        with nothing_changes(), pytest.raises(IntegrityError), transaction.atomic():
            attempt()


@pytest.mark.promise("ledger-append-only")
@pytest.mark.django_db
@pytest.mark.skipif(connection.vendor != "postgresql", reason="SQLite has no TRUNCATE")
def test_the_database_refuses_to_empty_the_books(sale):
    run_sql("SET CONSTRAINTS ALL IMMEDIATE")
    with nothing_changes(), pytest.raises(IntegrityError, match="append-only"):
        run_sql("TRUNCATE payments_transfer CASCADE")


@pytest.mark.promise("currencies-never-mix")
@pytest.mark.django_db
def test_a_transfer_between_currencies_is_refused(sale):
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
def test_a_transfer_needs_two_accounts_and_an_amount_above_zero(amount, sale):
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


@pytest.mark.promise("ledger-triggers-survive-migrations")
@pytest.mark.django_db
def test_a_migration_reinstalls_dropped_triggers(sale):
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


@pytest.mark.promise("ledger-triggers-survive-migrations")
@pytest.mark.django_db(transaction=True)
def test_a_migration_can_rebuild_the_table_of_accounts(viewer, make_video, buy):
    """A migration can rebuild the table of accounts; balances and triggers are as before."""
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
