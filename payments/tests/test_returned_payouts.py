"""Payouts that come back: from the creator's bank after they were paid, or because nobody moves them."""

from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.utils import timezone

from accounts.roles import Role
from audit.models import AuditEntry
from config.tests import desk
from config.tests.doctoring import said, worst
from payments.books import figures, reports
from payments.errors import PayoutNotOpen
from payments.ledger import accounts
from payments.models import JournalEntry, Notice, Payout, Statement
from payments.periods import Month
from payments.services.payouts import payouts
from payments.services.sharing import pools
from payments.tests.kit import assert_books_balance, balances, code, nothing_changes, together
from payments.tests.months import at, close
from payments.tests.test_statements import assert_adds_up, of
from videos.signals import worker_tick

pytestmark = pytest.mark.django_db
ADMIN = "/api/v1/payments/admin"
REASON = "The account is closed."
BACK = {"external_ref": "RETURN-1", "failure": REASON}
SOLD, PAID, RETURNED = "2026-08-01 00:00", "2026-08-20 00:00", "2026-09-20 00:00"


@pytest.fixture
def paid(creator, admin, make_video, make_user, buy) -> Payout:
    """A payout of 16.00 USD that was paid in August."""
    with at(SOLD):
        buy(make_user(), make_video(creator=creator, price=1999))
    with at(PAID):
        (payout,) = payouts.request(creator)
        payouts.approve(payout_id=payout.pk, actor=admin)
        return payouts.mark_paid(payout_id=payout.pk, external_ref="SEPA-1", actor=admin)


@pytest.fixture
def send_back(client_for, make_user):
    """Return a function that marks a payout as returned, as an administrator does over HTTP."""

    def post(payout, body=None, *, user=None):
        client = client_for(user or make_user(Role.ADMIN))
        return client.post(f"{ADMIN}/payouts/{payout.pk}/mark-returned", body or BACK)

    return post


def assert_books_are_right() -> None:
    assert_books_balance()
    call_command("verify_ledger")  # raises for a discrepancy


@pytest.mark.promise("returned-payout-returns")
def test_a_returned_payout_is_in_the_balance_and_can_be_paid_out_again(
    paid, send_back, client_for, creator, make_user
):
    """The bank returns a paid payout: the money is in the balance, and can be paid out once more."""
    with at(RETURNED):
        admin = make_user(Role.ADMIN)
        answer = send_back(paid, user=admin)
        assert answer.status_code == 200, answer.data
        shown = {name: answer.data[name] for name in ("status", "return_ref", "failure")}
        assert shown == {"status": "returned", "return_ref": "RETURN-1", "failure": REASON}
        assert (answer.data["external_ref"], answer.data["settled_at"]) == (
            "SEPA-1",
            "2026-08-20T00:00:00Z",
        )
        assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
        assert_books_are_right()
        entry = AuditEntry.objects.get(action="payout.returned")
        assert (entry.actor_id, entry.data["amount"]) == (admin.pk, 1600)
        mail = Notice.objects.get(dedupe_key=f"payout:{paid.pk}:returned")
        assert mail.user == creator
        assert f"16.00 USD: {REASON}" in mail.body

        own = client_for(creator)
        (row,) = own.get("/api/v1/payments/creator/payouts").data["results"]
        assert (row["status"], row["failure"]) == ("returned", REASON)
        (balance,) = own.get("/api/v1/payments/creator/balance").data["balances"]
        assert (balance["available"], balance["in_transit"]) == ("16.00", "0.00")
        again = own.post("/api/v1/payments/creator/payouts")
        assert [p["amount"] for p in again.data["payouts"]] == ["16.00"]
        assert_books_are_right()


def test_a_return_is_booked_once(paid, send_back):
    assert send_back(paid).status_code == 200
    with nothing_changes():
        assert send_back(paid).data["status"] == "returned"
        other = send_back(paid, {**BACK, "external_ref": "RETURN-2"})
    assert (other.status_code, code(other)) == (409, "payout_state")
    assert JournalEntry.objects.filter(payout=paid).count() == 3


@pytest.mark.django_db(transaction=True)
def test_two_administrators_at_once_book_one_return(paid, admin):
    def send(reference):
        return lambda: payouts.mark_returned(
            payout_id=paid.pk, external_ref=reference, reason="", actor=admin
        )

    def outcome(call):
        try:
            return call().return_ref
        except PayoutNotOpen:
            return "refused"

    calls = [send(f"RETURN-{number % 2}") for number in range(6)]
    outcomes = together([lambda call=call: outcome(call) for call in calls])
    assert set(outcomes) <= {Payout.objects.get().return_ref, "refused"}
    assert balances() == {"clearing:USD": -1999, "creator:USD": 1600, "platform:USD": 399}
    assert_books_are_right()


@pytest.mark.parametrize("status", ["draft", "approved", "processing", "failed", "canceled"])
def test_only_a_paid_payout_can_be_returned(paid, send_back, creator, make_user, status):
    Payout.objects.filter(pk=paid.pk).update(status=status)
    with nothing_changes():
        answer = send_back(paid)
    assert (answer.status_code, code(answer)) == (409, "payout_state")


@pytest.mark.parametrize(
    ("body", "status", "error"),
    [
        ({"failure": "x"}, 400, "required"),
        ({"external_ref": "x"}, 400, "required"),
        ({**BACK, "amount": "15.99"}, 422, "partial_return"),
        ({**BACK, "amount": "0.00"}, 400, "invalid"),
        ({**BACK, "amount": "16.001"}, 400, "invalid"),
    ],
)
def test_a_bank_returns_a_payout_whole_and_with_a_reason(paid, send_back, body, status, error):
    with nothing_changes():
        answer = send_back(paid, body)
    assert (answer.status_code, code(answer)) == (status, error)
    assert send_back(paid, {**BACK, "amount": "16.00"}).status_code == 200


def test_a_paid_payout_does_not_fail_afterwards(paid, client_for, admin):
    with nothing_changes():
        answer = client_for(admin).post(
            f"{ADMIN}/payouts/{paid.pk}/mark-failed", {"failure": REASON}
        )
    assert (answer.status_code, code(answer)) == (409, "payout_state")


@pytest.mark.promise("returned-payout-returns")
def test_a_return_in_a_later_month_changes_no_closed_statement(paid, send_back, creator):
    """A payout of August that comes back in September is a line of September's statement alone."""
    august, september = Month(2026, 8), Month(2026, 9)
    close(august)
    before = Statement.objects.get().body
    with at(RETURNED):
        send_back(paid)
    close(september)
    assert Statement.objects.get(period="2026-08").body == before
    assert pools.verify_month(august) == pools.verify_month(september) == []
    assert of(creator, august)["payouts"] == [{"payout": str(paid.pk), "amount": "-16.00"}]
    later = of(creator, september)
    assert (later["opening"], later["closing"]) == ("0.00", "16.00")
    assert later["payouts"] == [{"payout": str(paid.pk), "amount": "16.00"}]
    assert_adds_up(later)
    for month, paid_out, returned in ((august, 1600, 0), (september, 0, 1600)):
        totals = figures.payouts(reports.Period(month.start, month.end))["USD"]
        assert (totals.paid, totals.returned) == (paid_out, returned)


def test_the_money_returns_to_the_gateway_that_it_was_taken_from(paid, send_back):
    transfer = JournalEntry.objects.get(key=f"payout:{paid.pk}:paid").transfers.get()
    assert transfer.credit == accounts.clearing("sandbox", "USD")
    send_back(paid)
    returned = JournalEntry.objects.get(key=f"payout:{paid.pk}:returned").transfers.order_by("pk")
    assert returned[0].debit == transfer.credit


def test_a_return_is_an_action_of_the_admin_site(paid, client, admin, creator):
    client.force_login(admin)
    asked = desk.choose(client, "mark_returned", paid)
    assert b"The bank&#x27;s reference of the return" in asked.content
    assert b"<strong>16.00 USD</strong>" in asked.content
    reference = {"same-reference": "RETURN-1"}
    with nothing_changes():
        desk.confirm(client, asked, **reference)
    desk.confirm(client, asked, **reference, **{"same-why": REASON})
    paid.refresh_from_db()
    assert (paid.status, paid.return_ref, paid.failure) == ("returned", "RETURN-1", REASON)
    assert payouts.available(creator.pk)["USD"]["available"] == 1600
    assert_books_are_right()


class TestForgottenPayouts:
    @pytest.fixture
    def draft(self, creator, make_video, make_user, buy) -> Payout:
        with time_machine.travel(timezone.now() - timedelta(days=60)):
            buy(make_user(), make_video(creator=creator, price=1999))
        (payout,) = payouts.request(creator)
        return payout

    def test_a_payout_that_nobody_approves_is_canceled(self, draft, creator):
        for days, status in ((29, "draft"), (31, "canceled")):
            with time_machine.travel(timezone.now() + timedelta(days=days)):
                worker_tick.send(sender=None, every="hour")
            draft.refresh_from_db()
            assert draft.status == status
        assert payouts.available(creator.pk)["USD"]["available"] == 1600
        mail = Notice.objects.get(dedupe_key=f"payout:{draft.pk}:canceled")
        assert "Nobody has approved it within 30 days." in mail.body
        assert_books_are_right()

    @pytest.mark.parametrize(
        "steps", [(), (payouts.approve,), (payouts.approve, payouts.mark_processing)]
    )
    def test_a_payout_that_waits_is_in_the_review_queue(self, draft, client_for, admin, steps):
        for step in steps:
            step(payout_id=draft.pk, actor=admin)
        assert client_for(admin).get(f"{ADMIN}/review").data["payouts"] == []
        assert worst("payouts") == "ok"
        with time_machine.travel(timezone.now() + timedelta(days=8)):
            (row,) = client_for(admin).get(f"{ADMIN}/review").data["payouts"]
            assert row["id"] == str(draft.pk)
            assert worst("payouts") == "warning"
            assert "for more than a week: 1." in said("payouts")
