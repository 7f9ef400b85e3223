"""GET /stream/{id} and /stream/play/{token}: from access to a running playback session."""

import time
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts import services as accounts
from accounts.roles import Role
from payments.models import Entitlement, Order
from payments.services.settling import refunds
from payments.tests.kit import VISA, code
from streaming.models import PlaybackSession
from videos.services import catalogue

pytestmark = pytest.mark.django_db

PHONE, LAPTOP = "Phone/1.0", "Laptop/1.0"


def stream(client, video):
    return client.get(f"/api/v1/stream/{video.pk}")


@pytest.fixture
def play(client_for):
    """A function that redeems a token with a device's user agent; by default it accepts JSON."""

    def redeem(token, *, agent=PHONE, accept="application/json", query="", method="get"):
        client = client_for()
        call = getattr(client, method)
        return call(
            f"/api/v1/stream/play/{token}{query}", HTTP_ACCEPT=accept, HTTP_USER_AGENT=agent
        )

    return redeem


@pytest.fixture
def token_for(client_for):
    return lambda user, video: stream(client_for(user), video).data["stream_token"]


@pytest.fixture
def clock(monkeypatch):
    """A function that shifts the clock of signatures by some seconds."""

    def turn(seconds: float) -> None:
        moment = time.time() + seconds
        monkeypatch.setattr("django.core.signing.time.time", lambda: moment)

    yield turn
    monkeypatch.undo()


@pytest.mark.parametrize(
    ("kind", "caller", "expected"),
    [
        ("free", "anonymous", (200, None)),
        ("free", "viewer", (200, None)),
        ("paid", "anonymous", (401, "not_authenticated")),
        ("paid", "viewer", (403, "purchase_required")),
        ("paid", "creator", (403, "purchase_required")),
        ("paid", "buyer", (200, None)),
        ("paid", "subscriber", (200, None)),
        ("paid", "owner", (200, None)),
        ("paid", "admin", (200, None)),
        ("draft", "anonymous", (404, "not_found")),
        ("draft", "viewer", (404, "not_found")),
        ("draft", "subscriber", (404, "not_found")),
        ("draft", "owner", (409, "not_ready")),
        ("draft", "admin", (409, "not_ready")),
        ("private", "viewer", (404, "not_found")),
        ("private", "subscriber", (404, "not_found")),
        ("private", "owner", (200, None)),
        ("deleted", "anonymous", (404, "not_found")),
        ("deleted", "buyer", (404, "not_found")),
        ("deleted", "owner", (404, "not_found")),
        ("deleted", "admin", (404, "not_found")),
        ("unlisted", "anonymous", (200, None)),
    ],
)
def test_a_stream_token_needs_access_to_a_playable_video(
    client_for, make_user, make_video, buy, subscribe, kind, caller, expected
):
    owner = make_user(Role.CREATOR)
    video = make_video(
        creator=owner,
        price=1999 if kind in {"paid", "draft", "deleted"} else 0,
        ready=kind != "draft",
        visibility=kind if kind in {"private", "unlisted"} else "public",
    )
    people = {"anonymous": lambda: None, "owner": lambda: owner}
    roles = {"admin": Role.ADMIN, "creator": Role.CREATOR}
    user = people.get(caller, lambda: make_user(roles.get(caller, Role.VIEWER)))()
    if caller == "buyer":
        buy(user, video)
    if caller == "subscriber":
        subscribe(user)
    if kind == "deleted":
        catalogue.delete_video(video=video, actor=owner)

    answer = stream(client_for(user), video)

    refusal = None if answer.status_code == 200 else code(answer)
    assert (answer.status_code, refusal) == expected
    if answer.status_code == 200:
        token = answer.data["stream_token"]
        assert answer.data == {
            "stream_token": token,
            "stream_url": f"/api/v1/stream/play/{token}",
            "expires_in_seconds": 60,
            "formats": ["hls", "dash"],
            "is_preview": False,
            "preview_seconds": None,
        }
        assert answer["Cache-Control"] == "no-store"
    assert not PlaybackSession.objects.exists()


def test_anonymous_playback_can_be_turned_off(client_for, viewer, make_video, settings, play):
    video = make_video()
    token = stream(client_for(), video).data["stream_token"]
    settings.ANONYMOUS_PLAYBACK = False
    refused = stream(client_for(), video)
    assert (refused.status_code, code(refused)) == (401, "not_authenticated")
    assert stream(client_for(viewer), video).status_code == 200
    assert play(token).status_code == 401
    assert not PlaybackSession.objects.exists()


def test_an_unknown_video_is_not_found(client_for, viewer):
    answer = client_for(viewer).get(f"/api/v1/stream/{uuid.uuid4()}")
    assert (answer.status_code, code(answer)) == (404, "not_found")


@pytest.mark.parametrize(("seconds", "expected"), [(0, 200), (59, 200), (61, 401), (3600, 401)])
def test_a_token_starts_playback_for_a_minute(
    token_for, viewer, make_video, play, clock, seconds, expected
):
    token = token_for(viewer, make_video())
    clock(seconds)
    answer = play(token)
    assert answer.status_code == expected
    if expected == 401:
        assert code(answer) == "token_expired"
    assert PlaybackSession.objects.count() == (expected == 200)


@pytest.mark.parametrize(("seconds", "expected"), [(5, 200), (20, 401), (3600, 401)])
def test_a_token_from_the_future_is_refused(
    token_for, viewer, make_video, play, clock, seconds, expected
):
    """The clocks of two web servers may differ by seconds."""
    token = token_for(viewer, make_video())
    clock(-seconds)
    answer = play(token)
    assert (answer.status_code, play(token, method="head").status_code) == (expected, expected)
    if expected == 401:
        assert code(answer) == "token_invalid"
    assert PlaybackSession.objects.count() == (expected == 200)


def test_a_changed_token_is_invalid(token_for, viewer, make_video, play):
    token = token_for(viewer, make_video())
    broken = [token[:5] + ("A" if token[5] != "A" else "B") + token[6:], token[:-1], token + "a"]
    for text in [*broken, "x", "a:b:c", "%00", "ü"]:
        answer = play(text)
        assert (answer.status_code, code(answer)) == (401, "token_invalid")
    assert not PlaybackSession.objects.exists()


def test_access_tokens_and_stream_tokens_do_not_replace_each_other(
    client_for, token_for, viewer, make_video, play
):
    client = client_for(viewer)
    access = client._credentials["HTTP_AUTHORIZATION"].removeprefix("Bearer ")
    assert (play(access).status_code, code(play(access))) == (401, "token_invalid")
    token = token_for(viewer, make_video())
    answer = client_for().get("/api/v1/auth/me", HTTP_AUTHORIZATION=f"Bearer {token}")
    assert (answer.status_code, code(answer)) == (401, "token_invalid")


def test_a_new_key_invalidates_tokens(token_for, viewer, make_video, play, settings):
    token = token_for(viewer, make_video())
    settings.STREAM_KEY = "another key"
    assert play(token).status_code == 401


def test_redeeming_again_continues_the_session(token_for, viewer, make_video, play):
    video = make_video()
    token = token_for(viewer, video)
    first, again = play(token), play(token)
    assert first.data == again.data
    session = PlaybackSession.objects.get()
    assert (session.user, session.video, session.access) == (viewer, video, "free")
    folder = f"http://testserver/media/{first.data['grant']}/{video.pk}/{video.current_version}"
    assert first.data == {
        "session_id": session.pk,
        "grant": first.data["grant"],
        "hls_url": f"{folder}/master.m3u8",
        "dash_url": f"{folder}/manifest.mpd",
        "heartbeat_url": f"http://testserver/api/v1/stream/sessions/{session.pk}/heartbeat",
        "heartbeat_interval_seconds": 10,
        "resume_seconds": 0.0,
        "is_preview": False,
        "preview_seconds": None,
        "captions": [],
        "chapters_url": None,
        "storyboard_url": None,
        "drm": None,
    }


def test_another_device_elsewhere_does_not_continue_it(token_for, viewer, make_video, client_for):
    token = token_for(viewer, make_video())
    url = f"/api/v1/stream/play/{token}"
    here = {"HTTP_USER_AGENT": PHONE, "REMOTE_ADDR": "203.0.113.7"}
    there = {"HTTP_USER_AGENT": LAPTOP, "REMOTE_ADDR": "198.51.100.7"}
    assert client_for().get(url, HTTP_ACCEPT="application/json", **here).status_code == 200
    stolen = client_for().get(url, HTTP_ACCEPT="application/json", **there)
    assert (stolen.status_code, code(stolen)) == (401, "token_invalid")
    assert PlaybackSession.objects.count() == 1


@pytest.mark.parametrize(
    ("query", "manifest"),
    [("", "master.m3u8"), ("?format=hls", "master.m3u8"), ("?format=dash", "manifest.mpd")],
)
def test_a_player_is_sent_to_the_manifest(token_for, viewer, make_video, play, query, manifest):
    video = make_video()
    answer = play(token_for(viewer, video), accept="*/*", query=query)
    assert answer.status_code == 302
    prefix, grant, rest = answer["Location"].partition("/media/")[2].partition("/")
    assert (answer["Location"].startswith("/media/"), grant) == (True, "/")
    assert rest == f"{video.pk}/{video.current_version}/{manifest}"
    assert len(prefix) == 64
    assert (answer["Cache-Control"], answer["Referrer-Policy"]) == ("no-store", "no-referrer")


def test_another_format_is_refused(token_for, viewer, make_video, play):
    answer = play(token_for(viewer, make_video()), query="?format=mp4")
    assert (answer.status_code, code(answer)) == (400, "parse_error")
    assert not PlaybackSession.objects.exists()


def test_head_starts_no_session(token_for, viewer, make_video, play, clock):
    token = token_for(viewer, make_video())
    hls = play(token, method="head")
    dash = play(token, method="head", query="?format=dash")
    assert (hls.status_code, hls["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
    assert (dash.status_code, dash["Content-Type"]) == (200, "application/dash+xml")
    assert not PlaybackSession.objects.exists()
    clock(61)
    assert play(token, method="head").status_code == 401


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("refund", (403, "purchase_required")),
        ("expiry", (403, "purchase_required")),
        ("delete", (404, "not_found")),
        ("private", (404, "not_found")),
        ("deactivate", (401, "token_invalid")),
    ],
)
@pytest.mark.parametrize("started", [False, True])
@pytest.mark.promise("refund-stops-playback")
def test_access_that_is_lost_before_the_token_is_redeemed_is_refused(
    token_for, viewer, make_video, buy, admin, play, loss, expected, started
):
    video = make_video(price=1999)
    order = buy(viewer, video)
    token = token_for(viewer, video)
    if started:
        assert play(token).status_code == 200
    if loss == "refund":
        refunds.refund_order(order_id=order.pk, amount=None, reason="", actor=admin)
    elif loss == "expiry":
        Entitlement.objects.update(ends_at=timezone.now() - timedelta(seconds=1))
    elif loss == "delete":
        catalogue.delete_video(video=video, actor=video.creator)
    elif loss == "private":
        catalogue.change_video(video=video, actor=video.creator, visibility="private")
    else:
        accounts.set_active(user_id=viewer.pk, is_active=False, actor=admin)

    answer = play(token)

    if not started:
        assert (answer.status_code, code(answer)) == expected
        assert not PlaybackSession.objects.exists()
    elif loss != "expiry":
        assert (answer.status_code, code(answer)) == (410, "session_ended")
    else:
        assert answer.status_code == 200  # the end of the time ends no running session


def test_buying_opens_the_video_at_once(client_for, viewer, make_video):
    video = make_video(price=1999)
    client = client_for(viewer)
    assert stream(client, video).status_code == 403
    client.post(f"/api/v1/payments/purchase/{video.pk}", {"payment_method": VISA})
    assert stream(client, video).status_code == 200
    assert Order.objects.get().status == "paid"
