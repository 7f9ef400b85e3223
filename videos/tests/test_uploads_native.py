"""The upload application: what it leaves behind when a body does not arrive."""

import asyncio
import io

import pytest
from django.test.client import BOUNDARY, MULTIPART_CONTENT
from rest_framework.exceptions import APIException

from accounts import api_keys
from config import bodies
from videos.errors import UploadInterrupted
from videos.uploads.asgi import Uploads, refusal_before_body
from videos.uploads.parser import ENVIRON_KEY
from videos.uploads.resumable import _begun

HALF = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="f.mp4"\r\n\r\n'
).encode() + bytes(200_000)


class Listener:
    """In place of Django: lets every upload begin, and keeps what it would be answered with."""

    outcome: object = None

    async def look_up(self, work, environ):
        return None

    async def answer_upload(self, environ, scope, receive, send, *, is_read):
        self.outcome = environ[ENVIRON_KEY]


def scope(content_type: str = MULTIPART_CONTENT) -> dict:
    headers = [(b"content-type", content_type.encode()), (b"content-length", b"900000")]
    return {
        "type": "http", "method": "POST", "path": "/api/v1/videos/", "query_string": b"",
        "http_version": "1.1", "scheme": "http", "headers": headers, "client": ("192.0.2.7", 1),
    }  # fmt: skip


@pytest.mark.parametrize("end", ["pause", "disconnect", "defect"])
def test_a_body_that_stops_leaves_no_file(media, monkeypatch, end):
    monkeypatch.setattr(bodies, "PAUSE_SECONDS", 0.1)
    listener = Listener()
    seen: list[int] = []  # the files in the folder at each call

    async def receive():
        if not seen:
            seen.append(0)
            return {"type": "http.request", "body": HALF, "more_body": True}
        seen.append(len(media.files()))
        if end == "pause":
            await asyncio.Event().wait()
        if end == "defect":
            raise RuntimeError("a defect of ours")
        return {"type": "http.disconnect"}

    async def unused(message):
        raise AssertionError("the listener answers")

    uploads = Uploads(listener)  # type: ignore[arg-type]  # it has the two methods that are used
    if end == "defect":
        with pytest.raises(RuntimeError, match="a defect"):
            asyncio.run(uploads(scope(), receive, unused))
    else:
        asyncio.run(uploads(scope(), receive, unused))

    assert seen[1] == 1  # half a file was there
    assert media.files() == []
    if end == "pause":
        assert isinstance(listener.outcome, APIException)
        assert listener.outcome.status_code == 408
    elif end == "disconnect":
        assert isinstance(listener.outcome, UploadInterrupted)


@pytest.mark.django_db
@pytest.mark.parametrize("charset", ["hex", "bogus", "idna\x00"])
def test_no_charset_breaks_the_look_before_the_body(charset):
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/videos/",
        "CONTENT_TYPE": f"{MULTIPART_CONTENT}; charset={charset}",
        "CONTENT_LENGTH": "9",
        "wsgi.input": io.BytesIO(),
    }
    assert isinstance(refusal_before_body(environ), APIException)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("scopes", "status"), [(["uploads"], None), (["videos:write", "read"], 403), ([], 401)]
)
def test_an_api_key_needs_the_scope_before_the_body_is_read(creator, media, scopes, status):
    key = api_keys.create(user=creator, name="camera", scopes=scopes)[1] if scopes else "vod_junk"
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/v1/videos/",
        "CONTENT_TYPE": MULTIPART_CONTENT,
        "CONTENT_LENGTH": "9",
        "HTTP_AUTHORIZATION": f"Bearer {key}",
        "wsgi.input": io.BytesIO(),
    }
    refusal = refusal_before_body(environ)
    assert (refusal and refusal.status_code) == status
    tus = environ | {
        "PATH_INFO": "/api/v1/uploads/",
        "CONTENT_TYPE": "application/offset+octet-stream",
        "HTTP_TUS_RESUMABLE": "1.0.0",
        "HTTP_UPLOAD_LENGTH": "9",
        "HTTP_UPLOAD_METADATA": "title WA==",
    }
    outcome = _begun(tus)
    assert getattr(outcome, "status_code", None) == status
