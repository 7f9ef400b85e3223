"""A viewer goes on where they stopped, on every device."""

import pytest
import time_machine
from django.utils import timezone

from payments.services.buying import orders

pytestmark = pytest.mark.django_db


def started(client, video, agent="Phone/1.0", *, preview=False) -> dict:
    wanted = "?preview=true" if preview else ""
    token = client.get(f"/api/v1/stream/{video.pk}{wanted}").json()
    headers = {"HTTP_ACCEPT": "application/json", "HTTP_USER_AGENT": agent}
    return client.get(token["stream_url"], **headers).json()


def beat(client, session: dict, position: float, state: str = "paused", agent="Phone/1.0") -> None:
    body = {"position_seconds": position, "state": state, "watched": []}
    answer = client.post(
        session["heartbeat_url"],
        body,
        format="json",
        HTTP_PLAYBACK_GRANT=session["grant"],
        HTTP_USER_AGENT=agent,
    )
    assert answer.status_code == 204, answer.content


def test_a_user_goes_on_at_the_latest_place_on_another_device(client_for, viewer, make_video):
    client, video, other = client_for(viewer), make_video(duration_seconds=600), make_video()
    with time_machine.travel(timezone.now(), tick=True) as clock:
        first = started(client, video)
        assert first["resume_seconds"] == 0
        beat(client, first, 120.5)
        clock.shift(60)
        second = started(client, video, agent="Television/2")
        assert second["resume_seconds"] == 120.5
        beat(client, second, 300.25, agent="Television/2")
        clock.shift(60)
        assert started(client, video)["resume_seconds"] == 300.25
        assert started(client, other)["resume_seconds"] == 0


@pytest.mark.parametrize(
    ("position", "state", "expected"),
    [
        (600.0, "ended", 0),
        (571.0, "paused", 0),
        (569.0, "paused", 569.0),
        (1.0, "paused", 0),
        (30.0, "ended", 0),
    ],
)
def test_a_watched_video_begins_again(client_for, viewer, make_video, position, state, expected):
    client, video = client_for(viewer), make_video(duration_seconds=600)
    beat(client, started(client, video), position, state)

    assert started(client, video)["resume_seconds"] == expected


def test_a_place_is_the_users_alone(client_for, viewer, make_user, make_video):
    video = make_video(duration_seconds=600)
    beat(client_for(viewer), started(client_for(viewer), video), 100)

    for stranger in (client_for(make_user()), client_for()):
        assert started(stranger, video)["resume_seconds"] == 0
    anonymous = client_for()
    beat(anonymous, started(anonymous, video), 200)
    assert started(anonymous, video)["resume_seconds"] == 0


def test_a_session_that_goes_on_keeps_its_place(client_for, make_video):
    client, video = client_for(), make_video(duration_seconds=600)
    token = client.get(f"/api/v1/stream/{video.pk}").json()["stream_url"]
    headers = {"HTTP_ACCEPT": "application/json", "HTTP_USER_AGENT": "Phone/1.0"}
    beat(client, client.get(token, **headers).json(), 77)

    assert client.get(token, **headers).json()["resume_seconds"] == 77


def test_a_preview_begins_anew_where_the_viewer_was_after_its_end(
    client_for, viewer, make_video, creator, buy, admin
):
    """A buyer whose money was given back sees the preview, and not only its end."""
    client = client_for(viewer)
    video = make_video(creator=creator, price=500, preview_seconds=30, duration_seconds=600)
    order = buy(viewer, video)
    beat(client, started(client, video), 400)
    orders.give_back(order_id=order.pk, amount=None, reason="test", actor=admin)

    preview = started(client, video, preview=True)
    assert preview["is_preview"] is True
    assert preview["resume_seconds"] == 0
    beat(client, preview, 12)
    assert started(client, video, preview=True)["resume_seconds"] == 12


def test_after_the_preview_the_buyer_goes_on_at_its_end(
    client_for, viewer, make_video, creator, buy
):
    client = client_for(viewer)
    video = make_video(creator=creator, price=500, preview_seconds=30, duration_seconds=600)
    beat(client, started(client, video, preview=True), 30, "ended")
    assert started(client, video, preview=True)["resume_seconds"] == 0

    buy(viewer, video)

    assert started(client, video)["resume_seconds"] == 30
