"""Uploads while a part of the service is away or busy: 503, and one line of the log of each text."""

import asyncio
import io
import logging
import os
from typing import Any

import pytest
from django.db import OperationalError

from config import logs
from config.bodies import too_large, too_many
from config.errors import ServiceUnavailable
from config.http import OneLineFormatter, RepetitionFilter
from config.log_records import OutageFilter
from videos.models import Upload
from videos.services import resuming
from videos.uploads.asgi import refusal_of
from videos.uploads.receiving import KEY, Transfer
from videos.uploads.resumable import ResumableUploads

pytestmark = pytest.mark.django_db


@pytest.fixture
def lines(monkeypatch):
    """Return a function for the lines of the log, with the filters of the service."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(OneLineFormatter("%(levelname)s %(name)s %(message)s"))
    for each in (OutageFilter(), RepetitionFilter()):
        handler.addFilter(each)
    assert {"outages", "no_repetition"} < set(
        logs.configuration("INFO", "text")["handlers"]["stderr"]["filters"]
    )
    monkeypatch.setattr(logging.getLogger(), "handlers", [handler])
    return lambda: stream.getvalue().splitlines()


def test_a_storage_that_is_away_is_one_line_of_each_text(tus, media, lines):
    url = tus.begin(1000)
    os.rename(media, media.with_name("elsewhere"))

    assert {tus.head(url).status_code, tus.patch(url, 0, b"x" * 10).status_code} == {503}
    assert tus.post(b"x" * 5, HTTP_UPLOAD_LENGTH="50").status_code == 503
    assert [line.split(" ")[1] for line in lines()] == [
        "videos.storage.away",
        "config.api.exceptions",
    ]

    os.rename(media.with_name("elsewhere"), media)
    assert (tus.offset(url), Upload.objects.count()) == (0, 1)


def test_a_service_that_is_busy_logs_one_line_without_a_traceback(tus, media, lines):
    url = tus.begin(1000)
    for _ in range(3):
        refused = tus.patch(url, 0, b"x" * 10, **{KEY: refusal_of(too_many())})
        assert (refused.status_code, refused["Retry-After"]) == (503, "5")
        assert refused.json()["errors"][0]["code"] == "unavailable"
    (line,) = lines()
    assert line.startswith("WARNING config.api.exceptions ")
    assert tus.offset(url) == 0

    refused = tus.patch(url, 0, b"x" * 10, **{KEY: refusal_of(too_large())})
    assert (refused.status_code, len(lines())) == (413, 1)


def test_a_database_that_goes_while_an_upload_is_joined_is_a_refusal(tus, media, monkeypatch):
    """The bytes stay, and the upload is completed later."""
    url = tus.begin(3)

    class Bridge:
        async def look_up(self, work, environ):
            return work(environ)

    def away(self):
        raise OperationalError("server closed the connection unexpectedly")

    async def receive():
        return {"type": "http.request", "body": b"abc", "more_body": False}

    upload = Upload.objects.get()
    transfer = Transfer(upload, resuming.writer_of(upload), most=3, checksum=None)
    monkeypatch.setattr("videos.uploads.resumable._begun", lambda environ: transfer)
    monkeypatch.setattr(Transfer, "settle", away)
    bridge: Any = Bridge()
    taken = asyncio.run(
        ResumableUploads(bridge)._take_in({"REQUEST_METHOD": "PATCH", "PATH_INFO": url}, receive)
    )
    transfer.close()

    assert taken is transfer
    assert isinstance(transfer.refusal, ServiceUnavailable)
    assert tus.offset(url) == 3
