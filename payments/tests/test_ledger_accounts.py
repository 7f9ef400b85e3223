"""The ledger's accounts, positions and transfers, value by value."""

from datetime import UTC, datetime

import pytest
from django.utils import timezone
from hypothesis import example, given
from hypothesis import strategies as st

from payments.ledger import accounts, positions, posting
from payments.models import LedgerAccount, Pool, PoolShare
from payments.tests.kit import nothing_changes

Role, Kind = LedgerAccount.Role, LedgerAccount.Kind


def stored() -> set[tuple]:
    """Return (code, role, kind, owner, currency) of each account."""
    return set(LedgerAccount.objects.values_list("code", "role", "kind", "owner", "currency"))


@pytest.mark.django_db
def test_a_role_that_belongs_to_nobody_has_one_account_for_each_currency(creator):
    one = accounts.of(Role.PLATFORM, "USD")

    assert accounts.of(Role.PLATFORM, "USD", creator.pk) == one
    assert accounts.of(Role.PLATFORM, "EUR") != one
    assert stored() == {
        ("platform:USD", "platform", "income", None, "USD"),
        ("platform:EUR", "platform", "income", None, "EUR"),
    }


@pytest.mark.django_db
@pytest.mark.parametrize("role", sorted(accounts.PERSONAL))
def test_a_personal_role_has_an_account_for_each_user_and_currency(role, creator, viewer):
    dollars = accounts.of(role, "USD", creator.pk)
    others = accounts.of(role, "EUR", creator.pk), accounts.of(role, "USD", viewer.pk)

    assert len({dollars, *others}) == 3
    assert accounts.of(role, "USD", creator.pk) == dollars
    assert stored() == {
        (f"{role}:{creator.pk}:USD", role, "liability", creator.pk, "USD"),
        (f"{role}:{creator.pk}:EUR", role, "liability", creator.pk, "EUR"),
        (f"{role}:{viewer.pk}:USD", role, "liability", viewer.pk, "USD"),
    }


@pytest.mark.django_db
def test_each_gateway_has_a_clearing_account_for_each_currency():
    for gateway, currency in (("sandbox", "USD"), ("stripe", "USD"), ("stripe", "EUR")):
        account = accounts.clearing(gateway, currency)
        assert accounts.clearing(gateway, currency) == account
    assert stored() == {
        ("clearing:sandbox:USD", "clearing", "asset", None, "USD"),
        ("clearing:stripe:USD", "clearing", "asset", None, "USD"),
        ("clearing:stripe:EUR", "clearing", "asset", None, "EUR"),
    }


@pytest.mark.parametrize(
    ("kind", "roles"),
    [
        (Kind.ASSET, {Role.CLEARING}),
        (Kind.LIABILITY, {Role.CREATOR, Role.DEFERRED, Role.POOL, Role.CUSTOMER_REFUND}),
        (Kind.LIABILITY, {Role.PAYOUT_TRANSIT, Role.SUSPENSE}),
        (Kind.INCOME, {Role.PLATFORM}),
        (Kind.EXPENSE, {Role.LOSSES, Role.FEES, Role.PROMOTIONS, Role.BAD_DEBT}),
    ],
)
def test_what_is_held_is_an_asset_and_what_is_owed_a_liability(kind, roles):
    assert {accounts.KINDS[role] for role in roles} == {kind}


def test_every_role_has_a_kind():
    assert accounts.KINDS.keys() == set(Role)


@pytest.mark.django_db
@pytest.mark.twice
def test_accounts_of_many_creators_are_those_of_single_ones(
    make_user, django_assert_max_num_queries
):
    old, new, other, unpaid = (make_user("CREATOR") for _ in range(4))
    dollars = accounts.of(Role.CREATOR, "USD", old.pk)
    accounts.of(Role.CREATOR, "EUR", new.pk)
    accounts.of(Role.CUSTOMER_REFUND, "USD", new.pk)
    pool = Pool.objects.create(
        period="2026-08", currency="USD", balance=2, amount=2, total_seconds=3
    )
    for creator, amount in ((old, 1), (new, 1), (unpaid, 0)):
        PoolShare.objects.create(pool=pool, creator=creator, seconds=1, amount=amount)
    first, *_, last = sorted(str(user.pk) for user in (old, new, unpaid))

    with django_assert_max_num_queries(1):
        accounts.open_for_shares(pool, first=first, last=last)

    opened = LedgerAccount.objects.get(owner=new, role=Role.CREATOR, currency="USD")
    assert opened == accounts.of(Role.CREATOR, "USD", new.pk)
    assert (opened.code, opened.kind) == (f"creator:{new.pk}:USD", Kind.LIABILITY)
    assert LedgerAccount.objects.get(owner=old) == dollars
    before = LedgerAccount.objects.count()
    accounts.open_for_shares(pool, first=first, last=last)
    assert LedgerAccount.objects.count() == before
    assert not LedgerAccount.objects.filter(owner__in=[other, unpaid]).exists()
    # Where the statement does not see an account that is there, as while a sale opens it, none is added.
    LedgerAccount.objects.filter(owner=new).update(owner=None)
    with nothing_changes():
        accounts.open_for_shares(pool, first=first, last=last)


def test_a_gift_is_paid_by_the_platform():
    assert positions.of_gift(subsidy=1999, fee_bps=2000) == {
        Role.CREATOR: 1600,
        Role.PLATFORM: 399,
        Role.PROMOTIONS: -1999,
    }


@pytest.mark.parametrize(
    ("captured", "back", "subsidy", "expected"),
    [
        (1499, 0, 500, (1600, 399, -500, 0)),
        (1499, 1499, 500, (0, 0, 0, 0)),
        (1499, 1599, 500, (0, 0, 0, -100)),
        (1000, 500, 500, (600, 150, -250, 0)),
        (1, 0, 0, (1, 0, 0, 0)),
        (0, 0, 500, (0, 0, 0, 0)),
        (0, 100, 500, (0, 0, 0, -100)),
    ],
)
def test_a_subsidised_sale(captured, back, subsidy, expected):
    """The platform's subsidy shrinks with the payment, and goes when all of it went back."""
    sale = positions.of_sale(captured=captured, back=back, fee_bps=2000, subsidy=subsidy)
    roles = (Role.CREATOR, Role.PLATFORM, Role.PROMOTIONS, Role.LOSSES)
    assert sale == dict(zip(roles, expected, strict=True))
    if not subsidy:
        assert sale == positions.of_sale(captured=captured, back=back, fee_bps=2000)


@pytest.mark.parametrize(
    ("captured", "back", "recognised", "expected"),
    [
        (999, 0, 0, (999, 0, 0, 0)),
        (999, 0, 500, (499, 400, 100, 0)),
        (999, 0, 999, (0, 800, 199, 0)),
        (999, 0, 2000, (0, 800, 199, 0)),
        (999, 600, 500, (0, 320, 79, 0)),
        (999, 1099, 500, (0, 0, 0, -100)),
    ],
)
def test_an_invoices_positions(captured, back, recognised, expected):
    invoice = positions.of_invoice(
        captured=captured, back=back, recognised=recognised, fee_bps=2000
    )
    roles = (Role.DEFERRED, Role.POOL, Role.PLATFORM, Role.LOSSES)
    assert invoice == dict(zip(roles, expected, strict=True))


@pytest.mark.parametrize(
    ("back", "left", "lost"), [(0, 1999, 0), (500, 1499, 0), (1999, 0, 0), (2099, 0, 100)]
)
def test_a_duplicate_is_owed_to_the_payer_and_an_unmatched_payment_waits(back, left, lost):
    assert positions.of_duplicate(captured=1999, back=back) == {
        Role.CUSTOMER_REFUND: left,
        Role.LOSSES: -lost,
    }
    assert positions.of_unmatched(captured=1999, back=back) == {
        Role.SUSPENSE: left,
        Role.LOSSES: -lost,
    }


@given(st.lists(st.integers(-1000, 1000), max_size=6))
@example([1])
@example([0, 5])
@example([5, 0, -5])
def test_transfers_make_the_changes_and_the_counter_account_balances_them(amounts):
    counter = LedgerAccount(id=0)
    changes = {LedgerAccount(id=number): amount for number, amount in enumerate(amounts, start=1)}

    transfers = posting.transfers_for(changes, counter)

    moved = dict.fromkeys([*changes, counter], 0)
    for debited, credited, amount in transfers:
        assert amount > 0
        moved[debited] -= amount
        moved[credited] += amount
    assert moved == {**changes, counter: -sum(amounts)}
    assert len(transfers) <= len(amounts)


def test_debited_accounts_pay_for_credited_ones_in_order():
    a, b, c, d, counter = (LedgerAccount(id=number) for number in range(5))
    transfers = posting.transfers_for({a: -5, b: -7, c: 4, d: 6}, counter)
    assert transfers == [(a, c, 4), (a, d, 1), (b, d, 5), (b, counter, 2)]


@pytest.mark.django_db
def test_an_entry_holds_what_was_said_of_it(buy, viewer, make_video):
    payment = buy(viewer, make_video(price=1999)).payments.get()
    at, ripe = datetime(2026, 8, 1, 12, tzinfo=UTC), datetime(2026, 8, 15, tzinfo=UTC)
    losses, clearing = accounts.of(Role.LOSSES, "USD"), accounts.clearing("sandbox", "USD")

    entry = posting.post(
        key="one", kind="test", currency="USD", at=at, available_on=ripe, payment=payment,
        transfers=[(losses, clearing, 5), (clearing, losses, 0), (losses, clearing, 1)],
    )  # fmt: skip

    assert entry is not None
    entry.refresh_from_db()
    assert (entry.key, entry.kind, entry.effective_at) == ("one", "test", at)
    assert (entry.payment, entry.order, entry.pool, entry.payout) == (payment, None, None, None)
    fields = ("debit", "credit", "amount", "currency", "available_on")
    assert sorted(entry.transfers.values_list(*fields)) == [
        (losses.pk, clearing.pk, 1, "USD", ripe),
        (losses.pk, clearing.pk, 5, "USD", ripe),
    ]


@pytest.mark.django_db
def test_an_entry_without_money_is_not_written():
    legs = [(accounts.of(Role.LOSSES, "USD"), accounts.clearing("sandbox", "USD"), 0)]
    for transfers in ([], legs):
        with nothing_changes():
            written = posting.post(
                key="none", kind="test", currency="USD", transfers=transfers, at=timezone.now()
            )
        assert written is None
