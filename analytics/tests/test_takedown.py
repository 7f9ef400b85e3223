"""What take-downs and suspensions do to playback, orders, money and mails."""

import pytest
from django.utils import timezone

from accounts import services as accounts
from accounts.roles import Role
from payments.models import Notice, Order, Payout
from payments.services.payouts import payouts
from payments.tests.kit import VISA, assert_books_balance, code, nothing_changes
from streaming.models import PlaybackSession
from videos.models import Video
from videos.moderation import appealing, cases, suspending, waiting
from videos.moderation.models import ModerationCase

API = "/api/v1"
WHY = {"reason": "copyright", "note": "It is from another channel."}

pytestmark = pytest.mark.django_db


@pytest.fixture
def moderator(make_user):
    return accounts.set_moderator(user_id=make_user().pk, is_moderator=True, actor=None)


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, title="The harbour")


@pytest.fixture
def play(client_for):
    def start(user, video) -> PlaybackSession:
        token = client_for(user).get(f"{API}/stream/{video.pk}")
        assert token.status_code == 200, token.data
        session = client_for().get(token.data["stream_url"], HTTP_ACCEPT="application/json")
        return PlaybackSession.objects.get(pk=session.data["session_id"])

    return start


@pytest.fixture
def take_down(moderator):
    def now(video) -> ModerationCase:
        case = cases.open_case(video_id=video.pk, actor=moderator)
        return cases.take_down(case_id=case.pk, actor=moderator, **WHY)

    return now


def ended(session) -> str:
    session.refresh_from_db()
    return session.end_reason


def mails(user) -> list[str]:
    return list(Notice.objects.filter(user=user).order_by("pk").values_list("subject", flat=True))


class TestTakeDown:
    def test_playback_ends_for_all_but_owner_and_administrators(
        self, video, play, take_down, buy, subscribe, make_user, creator, admin, client_for
    ):
        buyer, fan = make_user(), make_user()
        buy(buyer, video)
        subscribe(fan)
        watching = {user: play(user, video) for user in (buyer, fan, creator, admin)}

        case = take_down(video)

        reasons = {user: ended(session) for user, session in watching.items()}
        assert reasons == {buyer: "restricted", fan: "restricted", creator: "", admin: ""}
        for user in (buyer, fan, None):
            assert client_for(user).get(f"{API}/stream/{video.pk}").status_code == 404
        play(creator, video)
        assert Order.objects.get().status == "paid"

        cases.restore(case_id=case.pk, actor=admin)
        play(buyer, video)
        assert_books_balance()

    def test_a_token_of_before_starts_no_session(self, make_video, take_down, client_for, viewer):
        video = make_video()
        token = client_for(viewer).get(f"{API}/stream/{video.pk}").data["stream_url"]
        take_down(video)
        assert client_for().get(token, HTTP_ACCEPT="application/json").status_code == 404
        assert not PlaybackSession.objects.exists()

    def test_nobody_is_charged_for_it(self, video, take_down, client_for, viewer):
        purchase = f"{API}/payments/purchase/{video.pk}"
        assert client_for(viewer).post(purchase, {}).status_code == 201
        take_down(video)
        assert Order.objects.get().status == "expired"
        with nothing_changes():
            answer = client_for(viewer).post(purchase, {"payment_method": VISA})
        assert answer.status_code == 404
        assert client_for(viewer).get(f"{API}/payments/offers/{video.pk}").status_code == 404

    def test_a_buyer_is_refunded_by_an_administrator(
        self, video, take_down, buy, viewer, client_for, admin
    ):
        order = buy(viewer, video)
        take_down(video)
        refund = f"{API}/payments/admin/orders/{order.pk}/refund"
        answer = client_for(admin).post(refund, {"reason": "The video was taken down."})
        assert answer.status_code == 200
        order.refresh_from_db()
        assert order.status == "refunded"
        assert_books_balance()

    def test_a_buyer_takes_the_money_back_themselves(
        self, video, take_down, buy, viewer, client_for
    ):
        order = buy(viewer, video)
        take_down(video)
        answer = client_for(viewer).post(f"{API}/payments/orders/{order.pk}/refund")
        assert answer.status_code == 200
        order.refresh_from_db()
        assert order.status == "refunded"
        assert_books_balance()

    def test_the_owner_and_administrators_are_offered_nothing_either(
        self, video, take_down, client_for, admin
    ):
        take_down(video)
        assert client_for(admin).get(f"{API}/payments/offers/{video.pk}").json()["offers"] == []
        answer = client_for(admin).post(f"{API}/payments/purchase/{video.pk}", {})
        assert answer.status_code == 404

    def test_the_creator_is_told_each_decision_with_its_reason(
        self, video, take_down, creator, admin, moderator
    ):
        case = take_down(video)
        body = Notice.objects.get(user=creator).body
        assert "Reason: infringes a copyright." in body
        assert WHY["note"] in body
        appealing.appeal(video=video, creator=creator, detail="It is mine.")
        appealing.reject(case_id=case.pk, actor=admin, note="It is not.")
        assert "It is not." in Notice.objects.filter(user=creator).latest("pk").body
        cases.restore(case_id=case.pk, actor=moderator, note="We were wrong.")
        case = cases.open_case(video_id=video.pk, actor=moderator)
        cases.warn(case_id=case.pk, actor=moderator, **WHY)
        cases.reopen(case_id=case.pk, actor=moderator)
        cases.dismiss(case_id=case.pk, actor=moderator, note="For us alone.")
        assert mails(creator) == [
            "The harbour was taken down",
            "Your appeal about The harbour",
            "The harbour is back",
            "A warning about The harbour",
            "The warning about The harbour does not count",
        ]
        assert not Notice.objects.filter(body__contains="For us alone.").exists()


class TestModeratorsPlayback:
    def review(self, client, video):
        return client.get(f"/admin/streaming/playbacksession/review/{video.pk}/")

    def test_it_is_for_reported_videos_and_never_counts(
        self, client, client_for, moderator, video, take_down, make_video
    ):
        client.force_login(moderator)
        assert self.review(client, video).status_code == 404
        take_down(video)
        token = self.review(client, video)
        play = client_for().get(token.json()["stream_url"], HTTP_ACCEPT="application/json")
        session = PlaybackSession.objects.get(pk=play.json()["session_id"])
        assert (session.access, session.counts, session.user) == ("moderator", False, moderator)
        assert client_for(moderator).get(f"{API}/stream/{video.pk}").status_code == 404
        draft = make_video(ready=False)
        cases.open_case(video_id=draft.pk, actor=moderator)
        refused = self.review(client, draft)
        assert (refused.status_code, refused.json()["errors"][0]["code"]) == (409, "not_ready")

    def test_it_ends_with_the_appointment(self, client, client_for, moderator, video, take_down):
        take_down(video)
        client.force_login(moderator)
        url = self.review(client, video).json()["stream_url"]
        play = client_for().get(url, HTTP_ACCEPT="application/json").json()
        unused = self.review(client, video).json()["stream_url"]

        accounts.set_moderator(user_id=moderator.pk, is_moderator=False, actor=None)

        assert ended(PlaybackSession.objects.get(pk=play["session_id"])) == "restricted"
        assert client_for().get(unused, HTTP_ACCEPT="application/json").status_code == 404
        assert PlaybackSession.objects.count() == 1

    @pytest.mark.parametrize("role", [Role.VIEWER, Role.CREATOR])
    def test_others_get_no_token(self, client, make_user, video, take_down, role):
        take_down(video)
        client.force_login(make_user(role))
        assert self.review(client, video).status_code == 302

    def test_a_free_video_counts_no_view_of_a_moderator(self, play, make_video, moderator, viewer):
        video = make_video()
        assert play(moderator, video).access == "moderator"
        assert play(viewer, video).access == "free"

    def test_what_a_moderator_has_bought_counts(self, play, video, moderator, buy):
        buy(moderator, video)
        assert play(moderator, video).counts


class TestSuspension:
    @pytest.fixture
    def suspend(self, moderator):
        return lambda creator: suspending.suspend(creator_id=creator.pk, actor=moderator, **WHY)

    def test_buyers_keep_what_they_bought_and_others_lose_it(
        self, video, make_video, creator, suspend, play, buy, subscribe, make_user, client_for
    ):
        buyer, fan = make_user(), make_user()
        free = make_video(creator=creator)
        buy(buyer, video)
        subscribe(fan)
        bought, subscribed, watched = play(buyer, video), play(fan, video), play(fan, free)

        suspend(creator)

        assert [ended(each) for each in (bought, subscribed, watched)] == [
            "", "restricted", "restricted",
        ]  # fmt: skip
        play(buyer, video)
        assert client_for(fan).get(f"{API}/stream/{video.pk}").status_code == 404
        assert client_for(creator).get(f"{API}/auth/me").status_code == 200

    def test_nobody_is_charged_on(self, video, creator, suspend, client_for, viewer, admin):
        purchase = f"{API}/payments/purchase/{video.pk}"
        client_for(viewer).post(purchase, {})
        suspend(creator)
        assert Order.objects.get().status == "expired"
        with nothing_changes():
            assert client_for(viewer).post(purchase, {"payment_method": VISA}).status_code == 404
            assert client_for(admin).post(purchase, {"payment_method": VISA}).status_code == 404

    def test_the_money_is_kept_and_payouts_wait(
        self, video, creator, suspend, buy, viewer, moderator, admin, client_for, settings
    ):
        settings.PAYOUT_HOLD_DAYS, settings.PAYOUT_MINIMUM = 0, "1.00"
        buy(viewer, video)
        before = payouts.available(creator.pk)
        assert before["USD"]["balance"] == 1600
        draft = Payout.objects.create(
            creator=creator, currency="EUR", amount=1, cutoff=timezone.now()
        )
        suspend(creator)
        assert payouts.available(creator.pk) == before
        mine, run = f"{API}/payments/creator/payouts", f"{API}/payments/admin/payouts/run"
        with nothing_changes():
            assert code(client_for(creator).post(mine)) == "payouts_on_hold"
            approve = f"{API}/payments/admin/payouts/{draft.pk}/approve"
            assert code(client_for(admin).post(approve)) == "payouts_on_hold"
            assert client_for(admin).post(run).json() == {"payouts": []}
        assert "Your balance is kept" in Notice.objects.get(user=creator).body

        suspending.lift(creator_id=creator.pk, actor=moderator)
        assert client_for(creator).post(mine).status_code == 201
        assert mails(creator) == [
            "Your videos are out of the shop",
            "Your videos are back in the shop",
        ]


def test_moderators_are_reminded_once_a_day(moderator, admin, make_video, viewer):
    video = make_video()
    cases.report(video=video, reporter=viewer, reason="spam")
    late = timezone.now() - waiting.OVERDUE_AFTER
    ModerationCase.objects.update(opened_at=late)
    for _ in range(3):
        waiting.remind()
    (mail,) = Notice.objects.all()
    assert (mail.user, mail.subject) == (moderator, "Reports are waiting for you")

    accounts.set_moderator(user_id=moderator.pk, is_moderator=False, actor=None)
    waiting.remind()
    assert mails(admin) == ["Reports are waiting for you"]
    assert Video.objects.get().taken_down_at is None
