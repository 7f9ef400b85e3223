"""The rows about API requests, and their batches."""

import pytest

from audit import buffer
from audit.models import ApiRequest, AuditEntry
from audit.tests.kit import call
from config.tests.threads import at_once

pytestmark = pytest.mark.django_db


def activity(**wanted) -> list[ApiRequest]:
    return list(ApiRequest.objects.filter(**wanted).order_by("number"))


def test_a_request_leaves_one_entry(client_for, viewer):
    answer = client_for(viewer).get(
        "/api/v1/auth/me",
        HTTP_X_REQUEST_ID="my-request-17",
        HTTP_USER_AGENT="Player/1",
        REMOTE_ADDR="192.0.2.7",
    )

    (entry,) = activity()
    assert (entry.actor_id, entry.method, entry.path) == (viewer.pk, "GET", "/api/v1/auth/me")
    assert (entry.status, entry.ip, entry.user_agent) == (200, "192.0.2.7", "Player/1")
    assert entry.request_id == answer["X-Request-ID"] == "my-request-17"
    assert entry.duration_ms is not None
    assert 0 <= entry.duration_ms < 60_000
    assert (entry.action, entry.hash, entry.data) == ("api.request", None, {})
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/auth/me", 401),
        ("/api/v1/nothing", 404),
        ("/api/v1/videos/?page_size=x", 400),
        ("/api/v1/videos", 200),
    ],
)
def test_a_refused_request_leaves_an_entry_too(client_for, path, status):
    client_for().get(path)

    (entry,) = activity()
    assert (entry.actor_id, entry.status) == (None, status)
    assert "?" not in entry.path


def test_a_denied_caller_is_named(client_for, viewer):
    client_for(viewer).get("/api/v1/users/")

    (entry,) = activity()
    assert (entry.actor_id, entry.status) == (viewer.pk, 403)


def test_other_addresses_are_not_api_activity(client):
    for path in ("/health/live", "/admin/login/", "/api/docs/", "/nothing"):
        client.get(path)

    assert activity() == []


def test_a_stream_token_is_masked_in_the_log(client_for, viewer, make_video):
    video = make_video()
    url = client_for(viewer).get(f"/api/v1/stream/{video.pk}").data["stream_url"]
    for path in (url, f"{url}/", f"{url}?format=dash", "/api/v1/stream/play/broken.token"):
        client_for().get(path)

    paths = [entry.path for entry in activity(path__contains="/play/")]
    assert len(paths) == 4
    assert all(path.startswith("/api/v1/stream/play/***") for path in paths)
    everything = [*AuditEntry.objects.values(), *ApiRequest.objects.values()]
    assert url.rsplit("/", 1)[1] not in repr(everything)


def test_reads_are_left_out_when_audit_reads_is_false(client_for, viewer, settings):
    settings.AUDIT_READS = False
    client_for(viewer).get("/api/v1/auth/me")
    client_for(viewer).head("/api/v1/videos/")
    client_for(viewer).options("/api/v1/videos/")
    assert activity() == []

    client_for(viewer).patch("/api/v1/auth/me", {"display_name": "New"})

    assert [entry.method for entry in activity()] == ["PATCH"]


@pytest.mark.parametrize(
    "address", ["", "unknown", "300.1.1.1", "fe80::1%eth0", "a" * 300, "\x00", "[::1]", "1.2.3.4:5"]
)
def test_no_request_can_stop_the_log(client_for, address):
    answer = client_for().get(
        "/api/v1/videos/%00%ff%ed%a0%80" + "x" * 900,
        REMOTE_ADDR=address,
        HTTP_USER_AGENT="a\x00b\r\n\xff" + "x" * 900,
        HTTP_X_REQUEST_ID="y" * 900,
    )

    assert answer.status_code == 404
    (entry,) = activity()
    assert entry.ip in {None, "fe80::1"}
    assert (len(entry.path), len(entry.user_agent)) == (200, 200)
    assert "\x00" not in entry.path + entry.user_agent
    assert entry.request_id == answer["X-Request-ID"] != "y" * 900


@pytest.mark.parametrize("number", ["HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP", "HTTP_FORWARDED"])
def test_a_header_does_not_change_the_recorded_address(client_for, number):
    client_for().get("/api/v1/videos/", REMOTE_ADDR="192.0.2.7", **{number: "203.0.113.9"})

    assert activity()[0].ip == "192.0.2.7"


def test_nothing_is_recorded_for_no_days(client_for, viewer, settings):
    settings.AUDIT_ACTIVITY_DAYS = 0
    client_for(viewer).patch("/api/v1/auth/me", {"display_name": "New"})
    assert activity() == []
    assert [entry.action for entry in AuditEntry.objects.all()] == ["user.profile_changed"]


@pytest.mark.django_db(transaction=True)
def test_a_batch_is_written_by_the_thread_of_the_process(client_for, settings):
    settings.AUDIT_FLUSH_SECONDS = 0.01
    for _ in range(3):
        client_for().get("/api/v1/videos/")

    settings.AUDIT_FLUSH_SECONDS = 0  # the thread ends with its next batch
    assert buffer._thread is not None
    buffer._thread.join(timeout=30)

    assert len(activity()) == 3


@pytest.mark.django_db(transaction=True)
def test_flushes_at_once_write_every_row_and_count_once(waiting):
    callers = [f"192.0.2.{number}" for number in range(100)]
    for ip in callers:
        for _ in range(12):  # ten are listed
            buffer.put(call(ip=ip))

    at_once(4, lambda _: buffer.flush())

    listed, counted = activity(count=None), activity(count__isnull=False)
    assert len(listed) == 200  # of all strangers together
    assert sum(row.count or 0 for row in counted) == 1000
    assert len({row.number for row in [*listed, *counted]}) == 200 + len(counted)


def test_the_log_shows_waiting_requests_and_counts(client_for, admin, waiting):
    for number in range(12):
        buffer.put(call(path=f"/api/v1/waiting/{number}"))
    assert activity() == []

    shown = client_for(admin).get("/api/v1/audit/?action=api.request").json()["results"]

    assert [entry["data"].get("count") for entry in shown] == [2, *[None] * 10]
    assert shown[0]["path"] == "/api/v1/waiting/*"
    assert shown[1]["path"] == "/api/v1/waiting/9"


def test_a_heartbeat_is_counted_under_the_name_of_its_user(client_for, viewer, make_video, clock):
    client = client_for(viewer)
    url = client.get(f"/api/v1/stream/{make_video().pk}").data["stream_url"]
    beat = client.get(url, HTTP_ACCEPT="application/json").json()["heartbeat_url"]
    report = {"position_seconds": 1, "state": "playing"}
    for _ in range(40):
        assert client.post(beat, report).status_code == 204
    client.post(beat, {"position_seconds": "x"})

    counted, refused = activity(method="POST")
    assert (counted.count, counted.actor_id) == (40, viewer.pk)
    assert counted.path == "/api/v1/stream/sessions/*/heartbeat"
    assert (refused.count, refused.status, refused.path) == (None, 400, beat[beat.index("/api") :])
