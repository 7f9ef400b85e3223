"""The main journey through HTTP: a real video is uploaded, processed, bought and watched."""

from datetime import timedelta

import pytest
from django.utils import timezone

from streaming.models import PlaybackSession
from streaming.tests.kit import deliver

pytestmark = pytest.mark.django_db


def test_a_video_is_uploaded_processed_bought_and_watched(
    client_for, creator, viewer, admin, clip, process_next
):
    with clip.open("rb") as file:
        form = {"title": "The harbour", "is_paid": "true", "price": "19.99", "file": file}
        created = client_for(creator).post("/api/v1/videos/", form, format="multipart")
    assert created.status_code == 201, created.data
    assert created.data["status"] == "UPLOADED"
    url = f"/api/v1/videos/{created.data['id']}"

    process_next()
    video = client_for(viewer).get(url).data
    assert (video["status"], video["playable"]) == ("READY", True)
    assert video["renditions"][0]["height"] == 180

    stream = f"/api/v1/stream/{video['id']}"
    refused = client_for(viewer).get(stream)
    assert (refused.status_code, refused.data["errors"][0]["code"]) == (403, "purchase_required")

    bought = client_for(viewer).post(
        f"/api/v1/payments/purchase/{video['id']}", {"payment_method": "pm_card_visa"}
    )
    assert (bought.status_code, bought.data["order"]["status"]) == (201, "paid")

    token = client_for(viewer).get(stream)
    assert token.status_code == 200
    play = client_for().get(token.data["stream_url"], HTTP_ACCEPT="application/json")
    assert play.status_code == 200

    deliver(play.data["session_id"])
    PlaybackSession.objects.update(created_at=timezone.now() - timedelta(seconds=2))
    beat = {"position_seconds": 1.5, "state": "playing", "watched": [[0, 1.5]]}
    heartbeat = client_for().post(
        f"/api/v1/stream/sessions/{play.data['session_id']}/heartbeat",
        beat,
        HTTP_PLAYBACK_GRANT=play.data["grant"],
    )
    assert heartbeat.status_code == 204

    report = client_for(creator).get("/api/v1/analytics/creator").data
    assert report["totals"]["views"] == 1
    assert report["totals"]["watch_seconds"] == 1.5
    assert report["totals"]["earnings"] == [{"currency": "USD", "amount": "16.00"}]

    books = client_for(admin).get("/api/v1/payments/admin/ledger/trial-balance").data
    assert books["totals"] == [
        {"currency": "USD", "debit": "19.99", "credit": "19.99", "balance": "0.00"}
    ]
    trail = client_for(admin).get(f"/api/v1/audit/?target_id={video['id']}").data["results"]
    assert [entry["action"] for entry in reversed(trail)] == [
        "video.created",
        "video.uploaded",
        "video.processing",
        "video.playable",
        "video.ready",
    ]
