"""A deactivated user pays nothing more, and the videos of a deactivated creator are not for sale."""

from datetime import timedelta

import pytest
import time_machine

from accounts.models import User
from accounts.roles import Role
from audit.models import AuditEntry
from config.tests import cases, desk
from payments.books import verification
from payments.gateways.base import GatewayAway
from payments.gateways.sandbox import SandboxGateway, checkouts, events
from payments.gateways.sandbox import subscriptions as sandbox
from payments.models import Entitlement, Invoice, Order, Plan, SandboxPayment, Subscription
from payments.services.gateway_news import followups
from payments.services.subscribing import deactivation, lapsing
from payments.tests.kit import VISA, balances, checkout_of, code, nothing_changes
from streaming.models import PlaybackSession

API = "/api/v1"
MINE = f"{API}/payments/subscription"


@pytest.fixture(autouse=True)
def books(db):
    yield
    check = verification.verify_ledger()
    assert check.discrepancies == 0, check.first_discrepancies


def by_api(user, *, client_for, client, admin, is_active=False) -> None:
    answer = client_for(admin).patch(f"{API}/users/{user.pk}/status", {"is_active": is_active})
    assert answer.status_code == 200


def by_admin_site(user, *, client_for, client, admin) -> None:
    client.force_login(admin)
    assert desk.act(client, "deactivate", user).redirect_chain


def past_the_service(user, *, client_for, client, admin) -> None:
    User.objects.filter(pk=user.pk).update(is_active=False)


@pytest.fixture
def set_active(client_for, client, admin):
    def change(user, is_active):
        by_api(user, client_for=client_for, client=client, admin=admin, is_active=is_active)

    return change


def run_time() -> None:
    """Do the work of a worker's minute."""
    sandbox.run_due()
    events.deliver_due()
    lapsing.end_lapsed()
    deactivation.note_deactivated()
    followups.run()
    events.deliver_due()


def mine() -> Subscription:
    return Subscription.objects.get()


class TestSubscriber:
    @pytest.mark.parametrize("door", [by_api, by_admin_site, past_the_service])
    def test_the_subscription_ends_with_its_period(
        self, client_for, client, admin, viewer, subscribe, door
    ):
        row = subscribe(viewer)
        door(viewer, client_for=client_for, client=client, admin=admin)
        run_time()
        assert (mine().status, mine().cancel_at_period_end) == ("active", True)
        with time_machine.travel(row.period_end + timedelta(minutes=1)):
            run_time()
            assert mine().status == "canceled"
        assert SandboxPayment.objects.count() == Invoice.objects.count() == 1
        assert balances() == {"clearing:USD": -999, "deferred:USD": 999}

    def test_only_subscriptions_that_would_renew_are_noted(self, make_user, subscribe):
        ending, renewing, others = (make_user() for _ in range(3))
        for user in (ending, renewing, others):
            subscribe(user)
        Subscription.objects.filter(user=ending).update(cancel_at_period_end=True)
        for user in (ending, renewing):
            past_the_service(user, client_for=None, client=None, admin=None)

        assert deactivation.note_deactivated() == 1
        assert deactivation.note_deactivated() == 0

        assert Subscription.objects.get(must_not_renew=True).user == renewing

    def test_the_audit_entry_names_the_administrator(self, set_active, viewer, subscribe, admin):
        subscribe(viewer)
        set_active(viewer, False)
        followups.run()
        assert AuditEntry.objects.get(action="subscription.canceled").actor_id == admin.pk

    def test_a_gateway_that_is_away_is_told_later(
        self, set_active, viewer, subscribe, gateway_is, client_for
    ):
        class Away(SandboxGateway):
            def cancel_subscription(self, external_id, *, at_period_end):
                raise GatewayAway("away")

        subscribe(viewer)
        with gateway_is(Away):
            set_active(viewer, False)
            with pytest.raises(GatewayAway):
                followups.run()
            # The user is active again before the gateway has answered.
            set_active(viewer, True)
        followups.run()
        assert (mine().cancel_at_period_end, mine().must_not_renew) == (True, False)
        assert client_for(viewer).get(MINE).data["cancel_at_period_end"] is True
        resumed = client_for(viewer).post(f"{MINE}/resume")
        assert (resumed.status_code, resumed.data["cancel_at_period_end"]) == (200, False)
        with nothing_changes():
            deactivation.note_deactivated()
            followups.run()

    def test_a_subscription_that_is_not_paid_ends_at_once(self, set_active, viewer, client_for):
        body = {"payment_method": "pm_card_chargeCustomerFail"}
        client_for(viewer).post(f"{API}/payments/subscribe", body)
        end = mine().period_end
        assert end
        with time_machine.travel(end + timedelta(minutes=1)):
            run_time()
            assert mine().status == "past_due"
            set_active(viewer, False)
            followups.run()
            assert mine().status == "canceled"
            followups.run()
            assert mine().closed_at_gateway
        tried = SandboxPayment.objects.count()
        with time_machine.travel(end + timedelta(days=40)):
            sandbox.run_due()
        assert SandboxPayment.objects.count() == tried

    def test_a_trial_ends_with_its_days(self, set_active, viewer, client_for):
        Plan.objects.create(code="trial", name="Trial", amount=999, currency="USD", trial_days=7)
        body = {"plan": "trial", "payment_method": VISA}
        client_for(viewer).post(f"{API}/payments/subscribe", body)
        set_active(viewer, False)
        followups.run()
        end = mine().period_end
        assert end
        with time_machine.travel(end + timedelta(minutes=1)):
            run_time()
        assert not SandboxPayment.objects.exists()

    def test_open_checkouts_expire(self, set_active, viewer, make_video, client_for):
        video = make_video(price=1999)
        client_for(viewer).post(f"{API}/payments/purchase/{video.pk}", {})
        client_for(viewer).post(f"{API}/payments/subscribe", {})
        set_active(viewer, False)
        assert Order.objects.get().status == "expired"
        followups.run()
        followups.run()
        assert mine().status == "canceled"
        for item in (Order.objects.get(), mine()):
            assert checkouts.pay(checkout_of(item), VISA) is None
            assert SandboxGateway().fetch_checkout(checkout_of(item)).status == "expired"
        assert not SandboxPayment.objects.exists()

    def test_a_checkout_that_was_paid_in_the_last_moment_does_not_renew(
        self, set_active, viewer, client_for
    ):
        client_for(viewer).post(f"{API}/payments/subscribe", {})
        set_active(viewer, False)
        checkouts.pay(checkout_of(mine()), VISA)
        for _ in range(3):
            run_time()
        row = Subscription.objects.exclude(status="canceled").first()
        assert row is None or row.cancel_at_period_end
        with time_machine.travel(mine().created_at + timedelta(days=40)):
            for _ in range(3):
                run_time()
        assert SandboxPayment.objects.count() == 1

    @pytest.mark.parametrize("who", ["buyer", "creator"])
    def test_a_payment_that_waits_at_the_bank_is_canceled(
        self, set_active, viewer, creator, client_for, client, make_video, who
    ):
        video = make_video(creator=creator, price=1999)
        page = self.ask_the_bank(client_for(viewer), f"purchase/{video.pk}")
        set_active({"buyer": viewer, "creator": creator}[who], False)
        followups.run()
        client.post(page, {"button": "confirm"})
        events.deliver_due()
        assert Order.objects.get().status == "expired"
        assert SandboxPayment.objects.get().status == "canceled"
        assert balances() == {}

    def test_a_first_payment_that_waits_at_the_bank_is_canceled(
        self, set_active, viewer, client_for, client
    ):
        page = self.ask_the_bank(client_for(viewer), "subscribe")
        set_active(viewer, False)
        for _ in range(3):
            followups.run()
        client.post(page, {"button": "confirm"})
        events.deliver_due()
        assert mine().status == "canceled"
        assert SandboxPayment.objects.get().status == "canceled"
        assert balances() == {}

    def ask_the_bank(self, client, path: str) -> str:
        """Pay with a card whose bank asks the payer; return the path of the bank's page."""
        body = {"payment_method": "pm_card_authenticationRequired"}
        answer = client.post(f"{API}/payments/{path}", body)
        assert answer.status_code == 202, answer.data
        return "/" + answer.data["next_action"]["url"].split("/", 3)[3]

    @cases.crossed(door=[by_api, past_the_service], seconds=[-1, 1], plan=["monthly", "trial"])
    def test_a_renewal_that_was_charged_in_the_last_moment_goes_back(
        self, client_for, client, admin, viewer, run_minute, door, seconds, plan
    ):
        """The gateway has billed the next period before it was told: the money goes back, and the
        subscription ends."""
        Plan.objects.create(code="trial", name="Trial", amount=999, currency="USD", trial_days=7)
        body = {"plan": plan, "payment_method": VISA}
        client_for(viewer).post(f"{API}/payments/subscribe", body)
        end = mine().period_end
        assert end
        with time_machine.travel(end + timedelta(seconds=seconds), tick=False) as clock:
            door(viewer, client_for=client_for, client=client, admin=admin)
            clock.move_to(end + timedelta(seconds=30))
            run_minute()
            for _ in range(3):
                run_time()
        assert mine().status == "canceled"
        kept = {"clearing:USD": -999, "deferred:USD": 999} if plan == "monthly" else {}
        assert balances() == kept
        assert not Entitlement.objects.live().exists()

    def test_a_bought_video_is_there_again_after_the_activation(
        self, set_active, viewer, buy, make_video, client_for
    ):
        video = make_video(price=1999)
        buy(viewer, video)
        set_active(viewer, False)
        assert Entitlement.objects.live().filter(user=viewer).count() == 1
        set_active(viewer, True)
        assert client_for(viewer).get(f"{API}/stream/{video.pk}").status_code == 200


class TestCreator:
    @pytest.fixture
    def video(self, make_video, creator):
        return make_video(
            creator=creator, price=1999, rental_price=399, rental_hours=48, title="Of one gone"
        )

    @pytest.fixture
    def stranger(self, make_user):
        return make_user()

    def found_by(self, client, video) -> dict[str, object]:
        """Return how the API shows a video at each place where it can be found."""
        lists = [f"{API}/videos/", f"{API}/videos/?search=gone",
                 f"{API}/videos/?creator={video.creator_id}"]  # fmt: skip
        offers = f"{API}/payments/offers"
        return {
            "lists": [len(client.get(path).data["results"]) for path in lists],
            "video": client.get(f"{API}/videos/{video.pk}").status_code,
            "stream": client.get(f"{API}/stream/{video.pk}").status_code,
            "offers": client.get(f"{offers}/{video.pk}").status_code,
            "offer list": len(client.get(f"{offers}?video={video.pk}").data["results"]),
        }

    GONE = {"lists": [0, 0, 0], "video": 404, "stream": 404, "offers": 404, "offer list": 0}

    @pytest.mark.parametrize("door", [by_api, by_admin_site, past_the_service])
    def test_the_videos_leave_the_shop_and_come_back(
        self, client_for, client, admin, creator, video, stranger, set_active, door
    ):
        before = self.found_by(client_for(stranger), video)
        assert before["lists"] == [1, 1, 1]
        door(creator, client_for=client_for, client=client, admin=admin)
        assert self.found_by(client_for(stranger), video) == self.GONE
        anonymous = self.found_by(client_for(), video)
        assert anonymous == self.GONE
        for page in ("/", f"/watch/{video.pk}"):
            assert "Of one gone" not in client_for().get(page).content.decode()
        with nothing_changes():
            for body in ({}, {"payment_method": VISA}, {"kind": "rent"}):
                answer = client_for(stranger).post(f"{API}/payments/purchase/{video.pk}", body)
                assert (answer.status_code, code(answer)) == (404, "video_not_found")
        set_active(creator, True)
        assert self.found_by(client_for(stranger), video) == before

    def test_a_free_video_and_a_subscribed_one_leave_too(
        self, client_for, creator, make_video, set_active, stranger, subscribe, video
    ):
        free = make_video(creator=creator)
        subscribe(stranger)
        for one in (free, video):
            url = client_for(stranger).get(f"{API}/stream/{one.pk}").data["stream_url"]
            assert client_for(stranger).get(url).status_code == 302
        set_active(creator, False)
        assert client_for(stranger).get(f"{API}/stream/{free.pk}").status_code == 404
        assert client_for(stranger).get(f"{API}/stream/{video.pk}").status_code == 404
        reasons = PlaybackSession.objects.values_list("end_reason", flat=True)
        assert list(reasons) == ["restricted", "restricted"]

    def test_buyers_keep_the_video(
        self, client_for, creator, video, viewer, buy, set_active, stranger
    ):
        buy(viewer, video)
        url = client_for(viewer).get(f"{API}/stream/{video.pk}").data["stream_url"]
        assert client_for(viewer).get(url).status_code == 302
        set_active(creator, False)
        assert PlaybackSession.objects.get().ended_at is None
        shown = self.found_by(client_for(viewer), video)
        assert shown == {
            "lists": [0, 0, 0], "video": 200, "stream": 200, "offers": 200, "offer list": 1,
        }  # fmt: skip
        offer = client_for(viewer).get(f"{API}/payments/offers/{video.pk}").data
        assert (offer["owned"], offer["offers"]) == (True, [])
        again = client_for(viewer).get(f"{API}/stream/{video.pk}").data["stream_url"]
        assert client_for(viewer).get(again).status_code == 302

    def test_renters_keep_it_until_the_rental_ends_and_cannot_buy_it(
        self, client_for, creator, video, viewer, set_active
    ):
        body = {"kind": "rent", "payment_method": VISA}
        client_for(viewer).post(f"{API}/payments/purchase/{video.pk}", body)
        set_active(creator, False)
        assert client_for(viewer).get(f"{API}/stream/{video.pk}").status_code == 200
        with nothing_changes():
            answer = client_for(viewer).post(
                f"{API}/payments/purchase/{video.pk}", {"payment_method": VISA}
            )
        assert (answer.status_code, code(answer)) == (404, "video_not_found")
        end = Entitlement.objects.get().ends_at
        assert end
        with time_machine.travel(end + timedelta(seconds=1)):
            assert client_for(viewer).get(f"{API}/stream/{video.pk}").status_code == 404

    def test_open_orders_of_the_videos_expire(self, client_for, creator, video, viewer, set_active):
        client_for(viewer).post(f"{API}/payments/purchase/{video.pk}", {})
        order = Order.objects.get()
        set_active(creator, False)
        followups.run()
        order.refresh_from_db()
        assert (order.status, order.checkout_closed) == ("expired", True)
        assert checkouts.pay(checkout_of(order), VISA) is None
        assert not SandboxPayment.objects.exists()

    def test_the_money_is_kept_and_shown(
        self, client_for, creator, video, viewer, buy, set_active, admin
    ):
        buy(viewer, video)
        before = balances()
        set_active(creator, False)
        assert balances() == before
        accounts = client_for(admin).get(f"{API}/payments/admin/ledger/trial-balance").data
        assert any(str(creator.pk) in row["code"] for row in accounts["accounts"])
        set_active(creator, True)
        (balance,) = client_for(creator).get(f"{API}/payments/creator/balance").data["balances"]
        assert balance["balance"] == "16.00"

    def test_administrators_see_the_video_and_nobody_buys_it(
        self, client_for, creator, video, admin, set_active
    ):
        set_active(creator, False)
        assert client_for(admin).get(f"{API}/videos/{video.pk}").status_code == 200
        assert client_for(admin).get(f"{API}/stream/{video.pk}").status_code == 200
        with nothing_changes():
            answer = client_for(admin).post(
                f"{API}/payments/purchase/{video.pk}", {"payment_method": VISA}
            )
        assert (answer.status_code, code(answer)) == (404, "video_not_found")

    def test_a_creator_who_becomes_a_viewer_goes_on_selling(
        self, client_for, creator, video, viewer, buy, admin
    ):
        client_for(admin).patch(f"{API}/users/{creator.pk}/role", {"role": Role.VIEWER})
        assert client_for(viewer).get(f"{API}/videos/{video.pk}").status_code == 200
        assert buy(viewer, video).status == "paid"
        assert balances()["creator:USD"] == 1600
