"""Playback sessions end in the transaction that ends the access to their video."""

from datetime import timedelta
from threading import Event

import pytest
import time_machine
from django.db import transaction
from django.utils import timezone

from accounts import services as accounts
from audit.models import AuditEntry
from payments.gateways import sandbox
from payments.models import Entitlement
from payments.services.settling import refunds
from payments.services.subscribing import follow_gateway, subscriptions
from payments.signals import entitlement_revoked
from payments.tests.kit import balances, code, together
from streaming import sessions
from streaming.errors import PurchaseRequired
from streaming.models import PlaybackSession
from videos.services import catalogue

pytestmark = pytest.mark.django_db

CLIENT = sessions.Client("Phone/1.0", "203.0.113.7")


@pytest.fixture
def watch(db):
    def start(user, video) -> PlaybackSession:
        token = sessions.stream_token(user=user, video_id=video.pk)[0]
        return sessions.redeem(token=token, client=CLIENT)[0]

    return start


def end_of(session):
    session.refresh_from_db()
    return session.end_reason


@pytest.mark.promise("refund-stops-playback")
def test_a_full_refund_ends_what_it_paid_for_and_nothing_else(
    viewer, make_user, make_video, buy, watch, admin
):
    """A full refund ends the sessions of its video, and no other session; a partial refund ends none."""
    video, other = make_video(price=1999), make_video(price=500)
    order, neighbour = buy(viewer, video), make_user()
    buy(viewer, other)
    buy(neighbour, video)
    watched, *rest = watch(viewer, video), watch(viewer, other), watch(neighbour, video)
    refunds.refund_order(order_id=order.pk, amount=1000, reason="", actor=admin)
    assert end_of(watched) == ""
    refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
    assert end_of(watched) == "revoked"
    assert [end_of(session) for session in rest] == ["", ""]


def test_a_refund_that_fails_ends_nothing(viewer, make_video, buy, watch, admin):
    order = buy(viewer, video := make_video(price=1999))
    session = watch(viewer, video)
    booked = balances()

    class Crash(Exception):
        pass

    @transaction.atomic
    def refund_and_crash():
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
        assert end_of(session) == "revoked"
        raise Crash

    with pytest.raises(Crash):
        refund_and_crash()
    assert end_of(session) == ""
    assert balances() == booked
    assert Entitlement.objects.live().count() == 1


def test_canceling_now_ends_and_canceling_later_does_not(viewer, make_video, subscribe, watch):
    subscribe(viewer)
    session = watch(viewer, make_video(price=1999))
    free = watch(viewer, make_video())
    subscriptions.cancel(user=viewer, at_period_end=True)
    assert end_of(session) == ""
    subscriptions.cancel(user=viewer, at_period_end=False)
    assert (end_of(session), end_of(free)) == ("revoked", "")


def test_deleting_the_video_ends_every_session_of_it(viewer, make_video, watch, client_for):
    video, other = make_video(), make_video()
    ended, stays = [watch(viewer, video), watch(video.creator, video)], watch(viewer, other)
    assert client_for(video.creator).delete(f"/api/v1/videos/{video.pk}").status_code == 204
    assert [end_of(session) for session in ended] == ["removed", "removed"]
    assert end_of(stays) == ""


def test_deactivation_ends_every_session_of_the_user(
    viewer, make_user, admin, make_video, watch, client_for
):
    video = make_video()
    gone, stays = watch(viewer, video), watch(make_user(), video)
    answer = client_for(admin).patch(f"/api/v1/users/{viewer.pk}/status", {"is_active": False})
    assert answer.status_code == 200
    assert (end_of(gone), end_of(stays)) == ("deactivated", "")
    accounts.set_active(user_id=viewer.pk, is_active=True, actor=admin)
    assert end_of(gone) == "deactivated"


def test_idle_sessions_end_and_active_ones_stay(viewer, make_video, watch, run_minute, settings):
    silent, living = watch(viewer, make_video()), watch(viewer, make_video())
    PlaybackSession.objects.filter(pk=silent.pk).update(
        last_seen_at=timezone.now() - timedelta(seconds=settings.SESSION_IDLE_SECONDS + 1)
    )
    run_minute()
    assert (end_of(silent), end_of(living)) == ("idle", "")


@pytest.mark.promise("access-ends-by-the-clock")
def test_a_session_does_not_outlive_the_subscription(viewer, make_video, subscribe, watch):
    """A session that begins near the end of the period expires with the entitlement, without any job."""
    subscription = subscribe(viewer)
    almost_over = subscription.period_end - timedelta(hours=1)
    with time_machine.travel(almost_over):
        session = watch(viewer, make_video(price=1999))
    assert session.expires_at == Entitlement.objects.get().ends_at


def test_a_subscription_that_ended_ends_its_sessions(viewer, make_video, subscribe, watch):
    subscription = subscribe(viewer)
    session = watch(viewer, make_video(price=1999))
    sandbox.subscriptions.cancel(subscription.external_id, at_period_end=False)
    follow_gateway.sync_subscription(gateway="sandbox", external_id=subscription.external_id)
    assert end_of(session) == "revoked"


def test_users_list_and_stop_their_own_sessions_only(
    viewer, make_user, make_video, watch, client_for
):
    video = make_video(title="The harbour")
    mine, old = watch(viewer, video), watch(viewer, video)
    theirs = watch(make_user(), video)
    PlaybackSession.objects.filter(pk=old.pk).update(expires_at=timezone.now())
    client = client_for(viewer)

    (row,) = client.get("/api/v1/stream/sessions/").data["results"]
    assert (row["id"], row["video_title"]) == (str(mine.pk), "The harbour")
    assert (row["user_agent"], row["position_seconds"]) == ("Phone/1.0", 0)
    for foreign in (theirs, old):
        assert client.delete(f"/api/v1/stream/sessions/{foreign.pk}").status_code == 404
    assert end_of(theirs) == ""
    assert client.delete(f"/api/v1/stream/sessions/{mine.pk}").status_code == 204
    assert end_of(mine) == "stopped"
    assert AuditEntry.objects.filter(action="playback.ended", target_id=str(mine.pk)).count() == 1
    gone = client.delete(f"/api/v1/stream/sessions/{mine.pk}")
    assert (gone.status_code, code(gone)) == (404, "not_found")
    assert client.get("/api/v1/stream/sessions/").data["results"] == []
    assert client_for().get("/api/v1/stream/sessions/").status_code == 401


def test_an_address_is_kept_as_its_network_only(viewer, make_video):
    video = make_video()
    for address, kept in [
        ("203.0.113.77", "203.0.113.0"),
        ("::ffff:203.0.113.9", "203.0.113.0"),
        ("2001:db8:1:2::3", "2001:db8:1::"),
        ("unix socket", None),
    ]:
        token = sessions.stream_token(user=viewer, video_id=video.pk)[0]
        session, _ = sessions.redeem(token=token, client=sessions.Client("x", address))
        session.refresh_from_db()
        assert session.network == kept


@pytest.mark.django_db(transaction=True)
def test_a_session_that_starts_during_the_refund_does_not_outlive_it(
    viewer, make_video, buy, admin
):
    """The session starts after the refund has ended all sessions, and before its commit."""
    order = buy(viewer, video := make_video(price=1999))
    token = sessions.stream_token(user=viewer, video_id=video.pk)[0]
    ended, tried = Event(), Event()

    def hold(**kwargs):
        ended.set()
        tried.wait(timeout=2)  # Not for ever: the start may wait for this commit.

    def refund():
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)

    def start():
        ended.wait(timeout=10)
        try:
            sessions.redeem(token=token, client=CLIENT)
        except PurchaseRequired:
            return "refused"
        finally:
            tried.set()
        return "started"

    entitlement_revoked.connect(hold, weak=False)
    try:
        _, outcome = together([refund, start])
    finally:
        entitlement_revoked.disconnect(hold)

    assert outcome == "refused"
    assert not PlaybackSession.objects.exists()


@pytest.mark.parametrize(
    ("before", "change", "ended"),
    [
        (
            {"price": 0},
            {"is_paid": True, "price": 999},
            {"fan": "restricted", "moderator": "restricted"},
        ),
        (
            {"price": 0},
            {"visibility": "private"},
            {"fan": "restricted", "moderator": "restricted"},
        ),
        ({"price": 0}, {"visibility": "unlisted"}, {}),
        ({"price": 0}, {"title": "Another title"}, {}),
        ({"price": 999}, {"visibility": "private"}, {"buyer": "restricted"}),
        ({"price": 999}, {"is_paid": True, "price": 1999}, {}),
        ({"price": 999}, {"is_paid": False, "price": 0}, {}),
    ],
)
def test_a_video_that_is_restricted_ends_what_rested_on_its_openness(
    make_user, make_video, creator, admin, buy, watch, before, change, ended
):
    """The owner and administrators go on, and so do buyers of a video that only costs more."""
    video = make_video(creator=creator, **before)
    viewers = {"owner": creator, "admin": admin}
    if before["price"]:
        viewers["buyer"] = make_user()
        buy(viewers["buyer"], video)
    else:
        viewers |= {"fan": make_user(), "moderator": make_user(is_moderator=True)}
    running = {name: watch(user, video) for name, user in viewers.items()}

    catalogue.change_video(video=video, actor=creator, **change)

    assert {name: end_of(session) for name, session in running.items()} == {
        **dict.fromkeys(viewers, ""),
        **ended,
    }
