"""The preview of a paid video: who gets it, what it is, and when it ends."""

import pytest
from django.utils import timezone

from accounts.roles import Role
from config.errors import NotVisible
from payments.models import WatchDaily
from payments.tests.kit import code, statements
from streaming import sessions, tokens, watchtime
from streaming.delivery import grants
from streaming.errors import PurchaseRequired, SessionEnded
from streaming.models import PlaybackSession
from streaming.tests.kit import deliver
from videos.models import Video
from videos.services import catalogue

pytestmark = pytest.mark.django_db

CLIENT = sessions.Client("Phone/1.0", "127.0.0.1")
URL = "/api/v1/stream/{}?preview=true"


@pytest.fixture
def video(make_video, creator):
    return make_video(creator=creator, price=1999, preview_seconds=30)


def start(user, video, *, preview=True) -> tuple[PlaybackSession, str]:
    token = sessions.stream_token(user=user, video_id=video.pk, preview=preview)[0]
    return sessions.redeem(token=token, client=CLIENT)


def end_of(session):
    session.refresh_from_db()
    return session.end_reason


def part_of(grant: str, session: PlaybackSession) -> grants.Part:
    from django.conf import settings

    known = grants.grants_for(settings.GRANT_KEY, settings.BIND_PLAYBACK)
    args = session.video_id.bytes, session.version, CLIENT.user_agent, CLIENT.address, 0
    return known.check_preview(grant, *args)[1]


@pytest.mark.parametrize(
    ("caller", "is_preview"),
    [
        ("anonymous", True), ("viewer", True), ("creator", True), ("moderator", True),
        ("buyer", False), ("subscriber", False), ("owner", False), ("admin", False),
    ],
)  # fmt: skip
def test_everyone_who_sees_the_video_gets_the_preview_or_the_whole(
    client_for, make_user, video, creator, buy, subscribe, caller, is_preview
):
    roles = {"admin": Role.ADMIN, "creator": Role.CREATOR}
    user = {"anonymous": None, "owner": creator}.get(caller, "made")
    if user == "made":
        user = make_user(roles.get(caller, Role.VIEWER))
    if caller == "moderator":
        user.is_moderator = True
        user.save()
    if caller == "buyer":
        buy(user, video)
    if caller == "subscriber":
        subscribe(user)

    answer = client_for(user).get(URL.format(video.pk))

    assert answer.status_code == 200
    assert answer.data["is_preview"] is is_preview
    assert answer.data["preview_seconds"] == (30 if is_preview else None)
    played = client_for().get(answer.data["stream_url"], HTTP_ACCEPT="application/json")
    assert played.status_code == 200
    assert played.data["is_preview"] is is_preview
    assert played.data["preview_seconds"] == (30 if is_preview else None)
    assert len(played.data["grant"]) == (72 if is_preview else 64)
    session = PlaybackSession.objects.get()
    assert (session.access == "preview") is is_preview
    assert session.counts is (caller in {"buyer", "subscriber"})
    if is_preview:
        assert session.entitlement_id is None


@pytest.mark.parametrize("query", ["", "?preview=false", "?preview=0", "?preview="])
@pytest.mark.parametrize(
    ("caller", "status", "refusal"),
    [(None, 401, "not_authenticated"), ("VIEWER", 403, "purchase_required")],
)
def test_without_the_parameter_the_refusal_stays(
    client_for, make_user, video, query, caller, status, refusal
):
    user = make_user(caller) if caller else None
    answer = client_for(user).get(f"/api/v1/stream/{video.pk}{query}")
    assert (answer.status_code, code(answer)) == (status, refusal)
    shown = client_for(user).get(f"/api/v1/videos/{video.pk}").data
    assert (shown["preview_seconds"], shown["trailer"]) == (30, None)
    assert not PlaybackSession.objects.exists()


def test_a_parameter_that_is_neither_is_refused(client_for, viewer, video):
    answer = client_for(viewer).get(f"/api/v1/stream/{video.pk}?preview=maybe")
    assert (answer.status_code, answer.json()["errors"][0]["attr"]) == (400, "preview")


@pytest.mark.parametrize(
    ("fields", "status", "refusal"),
    [
        ({"preview_seconds": None}, 403, "purchase_required"),
        # A shorter file was uploaded later: it does not play as a whole.
        ({"duration_seconds": 30.0}, 403, "purchase_required"),
        ({"visibility": "private"}, 404, "not_found"),
        ({"current_version": "", "status": "UPLOADED"}, 404, "not_found"),
    ],
)
def test_without_a_preview_the_parameter_changes_nothing(
    client_for, viewer, video, fields, status, refusal
):
    Video.objects.filter(pk=video.pk).update(**fields)
    answer = client_for(viewer).get(URL.format(video.pk))
    assert (answer.status_code, code(answer)) == (status, refusal)
    assert not PlaybackSession.objects.exists()


def test_anonymous_viewers_need_the_setting(client_for, video, settings):
    settings.ANONYMOUS_PLAYBACK = False
    assert client_for().get(URL.format(video.pk)).status_code == 401
    token = tokens.issue(video_id=video.pk, user_id=None, is_preview=True)
    with pytest.raises(PurchaseRequired):
        sessions.redeem(token=token, client=CLIENT)
    assert not PlaybackSession.objects.exists()


def test_the_grant_ends_with_the_preview(viewer, video):
    session, grant = start(viewer, video)
    assert part_of(grant, session) == grants.Part(8, 30)  # of four seconds: 32
    Video.objects.filter(pk=video.pk).update(segment_seconds=8.333)
    session, grant = start(viewer, video)
    assert part_of(grant, session) == grants.Part(4, 30)


def test_the_same_token_continues_it(viewer, video):
    token = sessions.stream_token(user=viewer, video_id=video.pk, preview=True)[0]
    first, again = (sessions.redeem(token=token, client=CLIENT) for _ in range(2))
    assert first == again
    assert part_of(first[1], first[0]) == part_of(again[1], again[0])


def test_a_token_checks_again(viewer, video, creator):
    token = sessions.stream_token(user=viewer, video_id=video.pk, preview=True)[0]
    catalogue.change_video(video=video, actor=creator, preview_seconds=None)
    with pytest.raises(PurchaseRequired):
        sessions.redeem(token=token, client=CLIENT)
    catalogue.delete_video(video=video, actor=creator)
    with pytest.raises(NotVisible):
        sessions.redeem(token=token, client=CLIENT)
    assert not PlaybackSession.objects.exists()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"preview_seconds": 10}, "restricted"),
        ({"preview_seconds": None}, "restricted"),
        ({"is_paid": False, "price": 0}, "restricted"),
        ({"visibility": "private"}, "restricted"),
        ({"visibility": "unlisted"}, ""),
        ({"title": "Another"}, ""),
        ({"preview_seconds": 30}, ""),
        ({"is_paid": True, "price": 2999}, ""),
    ],
)
def test_it_ends_with_what_was_offered(viewer, make_user, video, creator, buy, change, reason):
    buyer = make_user()
    buy(buyer, video)
    bought, own = start(buyer, video)[0], start(creator, video)[0]
    session, _ = start(viewer, video)

    catalogue.change_video(video=video, actor=creator, **change)

    assert end_of(session) == reason
    assert end_of(own) == ""
    assert end_of(bought) == ("restricted" if change.get("visibility") == "private" else "")


def test_an_ended_preview_does_not_go_on(viewer, video, creator):
    token = sessions.stream_token(user=viewer, video_id=video.pk, preview=True)[0]
    sessions.redeem(token=token, client=CLIENT)
    catalogue.change_video(video=video, actor=creator, preview_seconds=10)
    with pytest.raises(SessionEnded):
        sessions.redeem(token=token, client=CLIENT)
    session, grant = start(viewer, video)
    assert part_of(grant, session) == grants.Part(3, 10)


def test_after_buying_a_new_token_has_the_whole(client_for, viewer, video, buy):
    preview, _ = start(viewer, video)
    buy(viewer, video)
    assert end_of(preview) == ""
    answer = client_for(viewer).get(URL.format(video.pk))
    assert answer.data["is_preview"] is False
    session, grant = sessions.redeem(token=answer.data["stream_token"], client=CLIENT)
    assert (session.access, len(grant)) == ("order", 64)


def test_it_is_no_view_no_watch_time_and_in_no_share(client_for, viewer, video, buy):
    session, grant = start(viewer, video)
    deliver(session.pk, 30)
    PlaybackSession.objects.update(created_at=session.created_at.replace(year=2025))
    beat = {"position_seconds": 25.0, "state": "playing", "watched": [[0.0, 25.0]]}
    answer = client_for().post(
        f"/api/v1/stream/sessions/{session.pk}/heartbeat",
        {**beat, "startup_ms": 300},
        HTTP_PLAYBACK_GRANT=grant,
        HTTP_USER_AGENT=CLIENT.user_agent,
    )
    assert answer.status_code == 204
    session.refresh_from_db()
    assert (session.watched_seconds, session.startup_ms) == (25.0, 300)
    watchtime.fold()
    video.refresh_from_db()
    assert video.views == 0
    assert not WatchDaily.objects.exists()
    order = buy(viewer, video)
    assert sessions.stop_and_measure(video, [order.pk]) == 0.0
    assert end_of(session) == ""


def test_its_storyboard_is_not_named(client_for, viewer, video):
    Video.objects.filter(pk=video.pk).update(has_storyboard=True)
    token = client_for(viewer).get(URL.format(video.pk)).data["stream_url"]
    assert client_for().get(token, HTTP_ACCEPT="application/json").data["storyboard_url"] is None
    for path in ("storyboard/index.vtt", "storyboard/sprite-1.jpg", "captions/search?q=a"):
        assert client_for(viewer).get(f"/api/v1/videos/{video.pk}/{path}").status_code == 403


def test_a_player_is_sent_to_the_manifest(client_for, viewer, video):
    token = client_for(viewer).get(URL.format(video.pk)).data["stream_url"]
    answer = client_for().get(token)
    assert answer.status_code == 302
    assert answer.headers["Location"].endswith("/master.m3u8")
    assert len(answer.headers["Location"].split("/")[2]) == 72


def test_tokens_cost_no_more_than_those_of_the_whole(client_for, viewer, video, settings):
    settings.AUDIT_READS = False
    client = client_for(viewer)
    client.get(URL.format(video.pk))
    with statements(exactly=3):  # the caller, the video, the entitlement
        answer = client.get(URL.format(video.pk))
    anonymous = client_for()
    with statements(exactly=1):
        anonymous.get(URL.format(video.pk))
    # The token's session, its user, the video, the session once more, and its row.
    with statements(exactly=5):
        sessions.redeem(token=answer.data["stream_token"], client=CLIENT)


def test_a_moderator_at_the_desk_still_watches_the_whole(viewer, video):
    content = tokens.read(tokens.issue(video_id=video.pk, user_id=None, is_review=True))
    assert (content.is_review, content.is_preview) == (True, False)
    with pytest.raises(NotVisible):
        sessions.review_token(moderator=viewer, video_id=video.pk)


def test_the_page_asks_for_the_preview_and_links_the_trailer(client, video, make_video, creator):
    page = f"/watch/{video.pk}"
    with statements(exactly=2):  # one asks for the creator's next video
        html = client.get(page).content.decode()
    assert f'data-stream="/api/v1/stream/{video.pk}" data-preview="30"' in html
    assert "Trailer" not in html
    trailer = make_video(creator=creator)
    catalogue.change_video(video=video, actor=creator, trailer_id=trailer.pk)
    with statements(exactly=3):
        assert f'<a href="/watch/{trailer.pk}">Trailer</a>' in client.get(page).content.decode()
    Video.objects.filter(pk=trailer.pk).update(taken_down_at=timezone.now())
    assert "Trailer" not in client.get(page).content.decode()
    catalogue.change_video(video=video, actor=creator, preview_seconds=None)
    assert "data-preview" not in client.get(page).content.decode()


def test_new_countries_end_a_running_preview(video, viewer, creator):
    token = sessions.stream_token(user=viewer, video_id=video.pk, preview=True).token
    session, _ = sessions.redeem(token=token, client=CLIENT)

    catalogue.change_video(video=video, actor=creator, refused_countries=["FR"])

    session.refresh_from_db()
    assert session.ended_at is not None
