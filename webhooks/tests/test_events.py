"""Events are written in the transaction of what has happened: once, and for whom it concerns."""

import json

import pytest
from django.db import transaction

from accounts import services as accounts
from accounts.roles import Role
from payments.models import Payout, Subscription
from payments.signals import order_paid, payout_changed, subscription_changed
from videos import jobs
from videos.moderation import cases
from videos.moderation.errors import AlreadyDecided
from videos.services import catalogue, sources
from videos.tests.claims import claim_due
from webhooks import outbox
from webhooks.catalogue import FOR_CREATORS, EventType
from webhooks.models import Delivery, Event
from webhooks.tests.fixtures import send_all

pytestmark = pytest.mark.django_db


def told(endpoint) -> list[str]:
    """Return the types of what was stored for an endpoint, in their order."""
    rows = Delivery.objects.filter(endpoint=endpoint).order_by("event")
    return list(rows.values_list("event__type", flat=True))


def payload(event_type: str) -> dict:
    return json.loads(Event.objects.get(type=event_type).body)


def test_a_sale_is_told_with_the_representation_of_the_api(
    make_endpoint, admin, viewer, make_video, buy, client_for
):
    endpoint = make_endpoint(admin)
    order = buy(viewer, make_video(price=1999))
    assert told(endpoint) == ["order.paid"]
    event = payload("order.paid")
    shown = client_for(viewer).get(f"/api/v1/payments/orders/{order.pk}").json()
    assert shown.items() <= event["data"].items()
    assert event["data"]["amount"] == "19.99"
    assert event["data"]["buyer_id"] == str(viewer.pk)
    assert event["timestamp"].endswith("Z")


def test_a_refund_is_told_after_the_sale(make_endpoint, admin, viewer, make_video, buy, client_for):
    endpoint = make_endpoint(admin, "order.refunded", "order.paid")
    order = buy(viewer, make_video(price=1999))
    path = f"/api/v1/payments/admin/orders/{order.pk}/refund"
    assert client_for(admin).post(path, {"reason": "asked"}).status_code == 200
    assert told(endpoint) == ["order.paid", "order.refunded"]
    assert payload("order.refunded")["data"]["status"] == "refunded"


def test_what_arrives_twice_is_stored_once(make_endpoint, admin, viewer, make_video, buy):
    endpoint = make_endpoint(admin)
    order = buy(viewer, make_video(price=1999))
    order_paid.send(sender=type(order), order=order)
    assert told(endpoint) == ["order.paid"]


def test_a_change_that_is_undone_tells_nothing(make_endpoint, admin, make_video):
    make_endpoint(admin)
    video = make_video()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        _delete_and_fail(video, admin)
    assert not Event.objects.exists()
    assert not Delivery.objects.exists()


def _delete_and_fail(video, admin):
    catalogue.delete_video(video=video, actor=admin)
    assert Event.objects.count() == 1
    raise ZeroDivisionError


def test_without_an_endpoint_nothing_is_written(viewer, make_video, buy):
    buy(viewer, make_video(price=1999))
    assert not Event.objects.exists()


def test_a_creator_is_told_of_their_own_videos_alone(
    make_endpoint, make_user, admin, make_video, viewer, buy
):
    owner, other = make_user(Role.CREATOR), make_user(Role.CREATOR)
    own, foreign, all_ = make_endpoint(owner), make_endpoint(other), make_endpoint(admin)
    video = make_video(creator=owner, price=500)
    buy(viewer, video)
    catalogue.delete_video(video=video, actor=owner)
    assert told(own) == ["video.removed"]
    assert told(foreign) == []
    assert told(all_) == ["order.paid", "video.removed"]
    assert payload("video.removed")["data"]["deleted_at"] is not None


def test_only_named_types_are_told(make_endpoint, admin, make_video):
    endpoint = make_endpoint(admin, "video.ready")
    catalogue.delete_video(video=make_video(), actor=admin)
    assert told(endpoint) == []


@pytest.mark.usefixtures("media")
def test_a_processed_and_a_failed_video_are_told(
    make_endpoint, admin, creator, received, process_next
):
    endpoint = make_endpoint(creator)
    video = catalogue.create_video(creator=creator, title="x")
    sources.attach_source(video=video, received=received(), actor=creator)
    process_next()
    assert told(endpoint) == ["video.ready"]
    ready = payload("video.ready")["data"]
    assert (ready["id"], ready["status"], ready["error"]) == (str(video.pk), "READY", None)
    assert ready["renditions"]

    broken = catalogue.create_video(creator=creator, title="y")
    sources.attach_source(video=broken, received=received(), actor=creator)
    jobs.give_up(claim_due("tests"), "not_a_video", "This file is no video.")
    assert told(endpoint) == ["video.ready", "video.failed"]
    failed = payload("video.failed")["data"]
    assert failed["status"] == "FAILED"
    assert failed["error"] == {"code": "not_a_video", "detail": "This file is no video."}


@pytest.mark.parametrize(
    ("before", "after", "event"),
    [
        ("incomplete", "active", "subscription.started"),
        ("incomplete", "trialing", "subscription.started"),
        ("trialing", "active", "subscription.renewed"),
        ("past_due", "active", "subscription.renewed"),
        ("active", "past_due", "subscription.past_due"),
        ("active", "canceled", "subscription.ended"),
        ("past_due", "expired", "subscription.ended"),
        ("incomplete", "incomplete_expired", None),
        ("incomplete", "canceled", None),
    ],
)
def test_changes_of_subscriptions(before, after, event, make_endpoint, admin, viewer, subscribe):
    subscription = subscribe(viewer)
    endpoint = make_endpoint(admin)
    subscription.status = after
    subscription_changed.send(sender=Subscription, subscription=subscription, before=before)
    assert told(endpoint) == ([event] if event else [])


def test_a_subscription_is_told_from_its_begin_to_its_renewal(
    make_endpoint, admin, viewer, subscribe, client_for
):
    endpoint = make_endpoint(admin)
    subscription = subscribe(viewer)
    assert told(endpoint) == ["subscription.started"]
    data = payload("subscription.started")["data"]
    assert (data["user_id"], data["amount"]) == (str(viewer.pk), "9.99")
    assert "hosted_invoice_url" not in data
    answer = client_for(admin).post("/api/v1/payments/sandbox/clock", {"days": 32})
    assert answer.status_code == 200
    assert told(endpoint)[:2] == ["subscription.started", "subscription.renewed"]
    assert payload("subscription.renewed")["data"]["id"] == str(subscription.pk)


def test_a_paid_payout_is_told_to_its_creator(make_endpoint, creator, make_user):
    mine, foreign = make_endpoint(creator), make_endpoint(make_user(Role.CREATOR))
    payout = Payout.objects.create(
        creator=creator, currency="USD", amount=123456, cutoff=creator.created_at, status="paid"
    )
    payout_changed.send(sender=Payout, payout=payout, before="approved")
    payout_changed.send(sender=Payout, payout=payout, before="approved")
    payout.status = "returned"
    payout_changed.send(sender=Payout, payout=payout, before="paid")
    assert told(mine) == ["payout.paid"]
    assert told(foreign) == []
    assert payload("payout.paid")["data"]["amount"] == "1234.56"


def test_users_who_come_and_go_are_told_to_administrators(make_endpoint, admin, creator):
    endpoint, of_creator = make_endpoint(admin), make_endpoint(creator)
    user = accounts.register(email="ann@example.com", password="a long pass phrase")
    accounts.set_active(user_id=user.pk, is_active=False, actor=admin)
    accounts.set_active(user_id=user.pk, is_active=False, actor=admin)  # nothing has changed
    assert told(endpoint) == ["user.registered", "user.deactivated"]
    assert told(of_creator) == []
    assert payload("user.registered")["data"]["email"] == "ann@example.com"


def test_a_deactivated_owner_is_told_nothing(make_endpoint, make_user, admin, make_video, receiver):
    owner = make_user(Role.CREATOR)
    endpoint = make_endpoint(owner)
    catalogue.delete_video(video=make_video(creator=owner), actor=admin)
    accounts.set_active(user_id=owner.pk, is_active=False, actor=admin)
    catalogue.delete_video(video=make_video(creator=owner), actor=admin)
    assert told(endpoint) == ["video.removed"]  # from before
    assert send_all() == 0
    assert receiver.requests == []
    delivery = Delivery.objects.get(endpoint=endpoint)
    assert (delivery.status, "may not receive" in delivery.failure) == ("failed", True)


def test_an_administrator_who_becomes_a_creator_gets_no_more_than_a_creator(
    make_endpoint, make_user, admin, viewer, make_video, buy, receiver
):
    former = make_user(Role.ADMIN)
    endpoint = make_endpoint(former)
    buy(viewer, make_video(price=500))
    accounts.set_role(user_id=former.pk, role=Role.CREATOR, actor=admin)
    assert send_all() == 0
    assert receiver.requests == []
    assert Delivery.objects.get(endpoint=endpoint).status == "failed"


def test_each_type_has_a_line_in_the_document(settings):
    text = (settings.BASE_DIR / "docs" / "webhooks.md").read_text(encoding="utf-8")
    assert [each for each in EventType.values if f"`{each}`" not in text] == []
    assert set(FOR_CREATORS) < set(EventType)


def test_an_event_has_one_row_for_each_endpoint(make_endpoint, admin):
    endpoints = {make_endpoint(admin).pk, make_endpoint(admin).pk}
    for _ in range(2):
        outbox.announce(EventType.USER_REGISTERED, about="x", data=dict)
    assert set(Delivery.objects.values_list("endpoint", flat=True)) == endpoints
    assert (Event.objects.count(), Delivery.objects.count()) == (1, 2)


class TestReports:
    """Administrators learn of all; creators of what they are mailed, and nobody of who has reported."""

    @pytest.fixture
    def moderator(self, make_user):
        return make_user(Role.ADMIN, email="moderator@example.com")

    @pytest.fixture
    def endpoints(self, make_endpoint, make_user, admin, creator):
        foreign = make_user(Role.CREATOR)
        return [make_endpoint(owner) for owner in (admin, creator, foreign)]

    @pytest.fixture
    def case(self, endpoints, make_video, creator, viewer, make_user):
        """A case that two viewers have opened, with words that nobody else may read."""
        video = make_video(creator=creator)
        for reporter in (viewer, make_user()):
            report, _ = cases.report(
                video=video, reporter=reporter, reason="spam", detail="my secret words"
            )
        return report.case

    def test_a_case_is_told_once_to_administrators_alone(self, case, endpoints):
        assert [told(endpoint) for endpoint in endpoints] == [["report.opened"], [], []]
        data = payload("report.opened")["data"]
        assert data == {
            "id": str(case.pk), "video_id": str(case.video_id), "title": case.video.title,
            "creator_id": str(case.video.creator_id), "status": "open", "reason": "spam", "note": "",
            "opened_at": data["opened_at"], "decided_at": None, "restored_at": None,
        }  # fmt: skip

    def test_a_creator_is_told_of_a_take_down_and_the_restoration(
        self, case, endpoints, moderator, viewer
    ):
        cases.take_down(case_id=case.pk, actor=moderator, reason="copyright", note="See 1:20.")
        cases.restore(case_id=case.pk, actor=moderator, note="Sorry.")
        both = ["report.decided", "report.decided"]
        assert [told(each) for each in endpoints] == [["report.opened", *both], both, []]
        bodies = [json.loads(row.body) for row in Event.objects.filter(type="report.decided")]
        shown = [(b["data"]["status"], b["data"]["reason"], b["data"]["note"]) for b in bodies]
        assert shown == [
            ("taken_down", "copyright", "See 1:20."),
            ("restored", "copyright", "Sorry."),
        ]
        whole = json.dumps(bodies)
        for hidden in (viewer.pk, viewer.email, moderator.pk, moderator.email, "secret words"):
            assert str(hidden) not in whole

    def test_a_dismissal_is_not_told_to_the_creator_nor_its_note_to_anybody(
        self, case, endpoints, moderator
    ):
        cases.dismiss(case_id=case.pk, actor=moderator, note="A grudge of the reporter.")
        assert [told(each) for each in endpoints] == [["report.opened", "report.decided"], [], []]
        data = payload("report.decided")["data"]
        assert (data["status"], data["reason"], data["note"]) == ("dismissed", None, "")
        cases.reopen(case_id=case.pk, actor=moderator)
        assert told(endpoints[0])[2:] == ["report.opened"]
        assert told(endpoints[1]) == []

    def test_a_withdrawn_warning_is_told_to_the_creator(self, case, endpoints, moderator):
        cases.warn(case_id=case.pk, actor=moderator, reason="spam", note="Please change it.")
        cases.reopen(case_id=case.pk, actor=moderator)
        assert told(endpoints[1]) == ["report.decided", "report.opened"]
        assert told(endpoints[0]) == ["report.opened", "report.decided", "report.opened"]

    def test_a_deletion_ends_the_case(self, case, endpoints, creator):
        catalogue.delete_video(video=case.video, actor=creator)
        assert set(told(endpoints[0])) == {"report.opened", "report.decided", "video.removed"}
        assert told(endpoints[1]) == ["video.removed"]
        assert payload("report.decided")["data"]["status"] == "moot"

    def test_a_refused_decision_tells_nothing(self, case, endpoints, moderator):
        cases.dismiss(case_id=case.pk, actor=moderator)
        with pytest.raises(AlreadyDecided):
            cases.warn(case_id=case.pk, actor=moderator, reason="spam", note="x")
        assert told(endpoints[0]) == ["report.opened", "report.decided"]
        assert told(endpoints[1]) == []
