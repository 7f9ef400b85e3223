"""A power cut may undo a heartbeat: its commit does not wait for the disk."""

from datetime import timedelta

import pytest
from django.db import connection

from config.tests.durability import DOES_NOT, WAITS, synchronous, writes
from streaming import sessions


@pytest.mark.skipif(connection.vendor != "sqlite", reason="an option of SQLite")
@pytest.mark.django_db(transaction=True)
def test_a_heartbeat_and_its_view_do_not_wait(client_for, viewer, make_video):
    token = sessions.stream_token(user=viewer, video_id=make_video().pk)[0]
    started = sessions.redeem(token=token, client=sessions.Client("Phone/1.0", "127.0.0.1"))[0]
    started.created_at -= timedelta(minutes=1)
    started.delivered_seconds = 60
    started.save(update_fields=["created_at", "delivered_seconds"])

    with writes() as seen:
        answer = client_for(viewer).post(
            f"/api/v1/stream/sessions/{started.pk}/heartbeat",
            {"position_seconds": 12, "state": "playing", "watched": [[0, 12]]},
        )

    assert answer.status_code == 204
    assert seen["streaming_playbacksession"] == seen["analytics_videoview"] == {DOES_NOT}
    assert synchronous(connection) == WAITS
