"""Traces of requests, of jobs and their steps reach a real collector, without secrets."""

import logging

import pytest

from config import tracing
from config.tests import collector
from videos.models import Video

pytestmark = pytest.mark.django_db


@pytest.fixture
def sent(settings, monkeypatch):
    with collector.collecting() as found:
        settings.OTEL_EXPORTER_OTLP_ENDPOINT = found.url
        monkeypatch.setattr(tracing, "_provider", None)
        yield found
        tracing._provider.shutdown()


def test_a_request_is_a_span_with_its_route_and_without_its_secrets(
    sent, client, client_for, creator
):
    client_for(creator).get("/api/v1/videos/?q=private-words", HTTP_X_REQUEST_ID="request-1")
    client.get("/api/v1/stream/play/secret-token")
    tracing.flush()

    (listed,) = sent.named("GET /api/v1/videos/")
    assert listed["vod.request_id"] == "request-1"
    assert listed["http.response.status_code"] == 200
    assert listed["user.id"] == str(creator.pk)
    assert not listed["failed"]
    (play,) = sent.named("GET /api/v1/stream/play/*")
    assert play["http.response.status_code"] == 401
    assert play["user.id"] == ""
    for secret in (b"secret-token", b"private-words", creator.email.encode()):
        assert secret not in sent.raw


def test_an_error_of_ours_fails_the_span(sent, client, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("with a secret")

    client.raise_request_exception = False
    monkeypatch.setattr("rest_framework.views.APIView.initial", broken)
    assert client.get("/api/v1/videos/").status_code == 500
    tracing.flush()

    (span,) = sent.named("GET /api/v1/videos/")
    assert span["failed"]
    assert b"with a secret" not in sent.raw


@pytest.mark.programs
def test_a_job_is_a_span_with_its_steps(sent, uploaded_video, process_next):
    while Video.objects.get(pk=uploaded_video.pk).status != "READY":
        process_next()
    tracing.flush()

    first, rest = sent.named("process video")
    for job in (first, rest):
        assert job["vod.video_id"] == str(uploaded_video.pk)
        assert not job["failed"]
    assert (first["vod.stage"], rest["vod.stage"]) == ("first rendition", "all renditions")
    steps = [span for span in sent.spans if span["parent"] == rest["id"]]
    assert {"probe", "encode", "check", "package", "poster"} <= {span["name"] for span in steps}
    assert sum(span["seconds"] for span in steps) <= rest["seconds"] + 0.1


def test_without_a_collector_nothing_is_imported_and_nothing_waits(settings, monkeypatch):
    monkeypatch.setattr(tracing, "_tracer", lambda: pytest.fail("no span is wanted"))
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = ""
    with tracing.span("anything", vod__x=1) as span:
        span.set(vod__y=2)
        span.fail()
    tracing.add([("step", 0, 1)])


def test_a_collector_that_is_away_is_one_warning():
    from config.log_records import OutageFilter

    outages = OutageFilter()
    record = logging.LogRecord("opentelemetry.exporter", 40, "", 0, "Failed to export", (), None)
    assert [outages.filter(record) for _ in range(3)] == [True, False, False]
    assert (vars(record)["outage"], record.levelname) == ("traces", "WARNING")
