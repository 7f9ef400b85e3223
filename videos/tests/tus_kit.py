"""Requests of tus through Django's test client, for tests."""

import base64
import hashlib

from videos.models import ProcessingJob, Upload
from videos.uploads import spool

URL = "/api/v1/uploads/"
BYTES = "application/offset+octet-stream"
TUS = {"HTTP_TUS_RESUMABLE": "1.0.0"}


def meta(**values: str) -> str:
    return ",".join(f"{k} {base64.b64encode(v.encode()).decode()}" for k, v in values.items())


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    digest = hashlib.new(algorithm, data, usedforsecurity=False).digest()
    return f"{algorithm} {base64.b64encode(digest).decode()}"


def code(response) -> str:
    return response.json()["errors"][0]["code"]


class Tus:
    """One user's requests."""

    def __init__(self, client):
        self.client = client
        client.raise_request_exception = False

    def post(self, data=b"", *, title="A film", tus=True, **headers):
        headers.setdefault("HTTP_UPLOAD_METADATA", meta(filename="film.mp4", title=title))
        return self.client.generic(
            "POST", URL, data, content_type=BYTES if data else "", **(TUS if tus else {}), **headers
        )

    def begin(self, length: int, **headers) -> str:
        response = self.post(HTTP_UPLOAD_LENGTH=str(length), **headers)
        assert response.status_code == 201, response.content
        return response["Location"]

    def head(self, url, **headers):
        return self.client.head(url, **(headers or TUS))

    def patch(self, url, offset, data=b"", *, kind=BYTES, tus=True, **headers):
        return self.client.generic(
            "PATCH", url, data, content_type=kind, HTTP_UPLOAD_OFFSET=str(offset),
            **(TUS if tus else {}), **headers,
        )  # fmt: skip

    def delete(self, url):
        return self.client.delete(url, **TUS)

    def offset(self, url) -> int:
        return int(self.head(url)["Upload-Offset"])


def writer_of(upload: Upload) -> spool.Writer:
    writer = spool.Writer.of(upload.pk)
    assert writer is not None
    return writer


def jobs() -> int:
    return ProcessingJob.objects.count()
