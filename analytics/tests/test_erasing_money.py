"""What an erasure does to money: refused while it is owed or moves; then the books stay, and balance."""

from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from accounts import erasing
from accounts.errors import MoneyMoving, MoneyOwed
from accounts.models import Erasure
from accounts.roles import Role
from payments import models as money
from payments.ledger import accounts, posting
from payments.services.gateway_news import followups
from payments.services.payouts import payouts
from payments.tests.kit import all_money, assert_books_are_right
from payments.tests.months import at

pytestmark = pytest.mark.django_db


def finish(user) -> None:
    erasing.finish(erasing.begin(user_id=user.pk, actor=user))


@pytest.fixture
def creator(make_user):
    return make_user(Role.CREATOR, password="correct horse x7")


def owed(creator, make_video, buy, make_user):
    buy(make_user(), make_video(creator=creator, price=1999))


def debt(creator, make_video, buy, make_user):
    role = money.LedgerAccount.Role
    debtor, platform = (
        accounts.of(role.CREATOR, "USD", creator.pk),
        accounts.of(role.PLATFORM, "USD"),
    )
    posting.post(
        key="x",
        kind=money.JournalEntry.Kind.WRITE_OFF,
        currency="USD",
        transfers=[(debtor, platform, 100)],
        at=timezone.now(),
    )


def payout(creator, make_video, buy, make_user):
    money.Payout.objects.create(creator=creator, currency="USD", amount=1, cutoff=timezone.now())


def dispute_as_buyer(creator, make_video, buy, make_user):
    payment = buy(creator, make_video(price=500)).payments.get()
    money.Dispute.objects.create(
        payment=payment, external_id="d1", status="needs_response", amount=500
    )


def payment(creator, make_video, buy, make_user):
    order = buy(creator, make_video(price=500))
    money.Order.objects.filter(pk=order.pk).update(status="processing")


def open_month(creator, make_video, buy, make_user):
    money.WatchDaily.objects.create(
        user=make_user(), video=make_video(creator=creator), creator=creator,
        day=timezone.now().date(), seconds=60, plan_seconds=60,
    )  # fmt: skip


def refund(creator, make_video, buy, make_user):
    payment = buy(creator, make_video(price=500)).payments.get()
    money.Refund.objects.create(payment=payment, amount=100, status="pending", reason="requested")


@pytest.mark.parametrize(
    ("story", "code", "word"),
    [
        (owed, "money_owed", "earnings"),
        (debt, "money_owed", "owes"),
        (open_month, "money_owed", "not shared"),
        (payout, "money_moving", "payout"),
        (dispute_as_buyer, "money_moving", "dispute"),
        (payment, "money_moving", "payment"),
        (refund, "money_moving", "refund"),
    ],
)
def test_money_that_is_owed_or_moves_refuses_the_erasure(
    creator, client_for, make_video, buy, make_user, story, code, word
):
    story(creator, make_video, buy, make_user)
    before = all_money()
    answer = client_for(creator).delete("/api/v1/auth/me", {"current_password": "correct horse x7"})

    assert answer.status_code == 409, answer.data
    error = answer.json()["errors"][0]
    assert error["code"] == code
    assert word in error["detail"]
    email = creator.email
    creator.refresh_from_db()
    assert (creator.is_active, creator.email) == (True, email)
    assert not Erasure.objects.exists()
    assert all_money() == before
    with pytest.raises((MoneyMoving, MoneyOwed)):
        erasing.begin(user_id=creator.pk, actor=None)


def test_a_buyer_goes_and_the_books_stay(viewer, make_video, buy, make_user):
    video = make_video(price=1999)
    order = buy(viewer, video)
    disputed = order.payments.get()
    dispute = money.Dispute.objects.create(
        payment=disputed, external_id="d1", status="closed", amount=1999
    )
    money.DisputeEvidence.objects.create(
        dispute=dispute, status="submitted", texts={"customer_email_address": viewer.email}
    )
    books = {name: rows for name, rows in all_money().items() if "transfer" in name.lower()}

    finish(viewer)

    order.refresh_from_db()
    assert (order.status, order.buyer_id) == ("paid", viewer.pk)
    assert money.DisputeEvidence.objects.get().texts == {}
    assert {name: all_money()[name] for name in books} == books
    call_command("verify_ledger", stdout=StringIO())


def test_a_paid_out_creator_can_go(creator, make_video, buy, make_user, admin):
    video = make_video(creator=creator, price=1999)
    with at("2026-08-01 00:00"):
        order = buy(make_user(), video)
        with pytest.raises(MoneyOwed):
            erasing.begin(user_id=creator.pk, actor=None)
    with at("2026-08-20 00:00"):
        for row in payouts.request(creator):
            payouts.approve(payout_id=row.pk, actor=admin)
            payouts.mark_processing(payout_id=row.pk, actor=admin)
            payouts.mark_paid(payout_id=row.pk, external_ref="bank 1", actor=admin)

    finish(creator)

    order.refresh_from_db()
    assert order.creator_id == creator.pk
    video.refresh_from_db()
    assert video.purged_at is not None
    assert_books_are_right()


def test_a_subscription_ends_at_the_gateway(viewer, subscribe):
    subscription = subscribe(viewer)
    finish(viewer)
    followups.run()
    subscription.refresh_from_db()
    assert subscription.cancel_at_period_end
    sandbox = money.SandboxSubscription.objects.get()
    assert sandbox.cancel_at_period_end
    assert subscription.user_id == viewer.pk
    call_command("verify_ledger", stdout=StringIO())
