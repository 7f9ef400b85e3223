"""Direct uploads through Django's test client and a real bucket, for tests."""

import httpx

from videos import storage
from videos.models import Upload
from videos.storage.direct import Direct

URL = "/api/v1/uploads/"
DIRECT = {"HTTP_UPLOAD_MODE": "direct"}
PART = 5 * 1024**2  # the least that servers take for all but the last part


class DirectClient:
    """One user's requests."""

    def __init__(self, client):
        self.client = client
        client.raise_request_exception = False

    def post(self, path="", *, headers=DIRECT, **body):
        return self.client.post(URL + path, body, format="json", **headers)

    def begin(self, length: int, **body) -> dict:
        body = {"filename": "clip.mp4", "title": "A video", **body}
        if "video_id" in body:
            del body["title"]
        response = self.post(length=length, **body)
        assert response.status_code == 201, response.content
        return response.json()

    def send(self, upload: dict, content: bytes) -> list[dict]:
        """Send all parts to the bucket, and return what is to be told of them."""
        sent = []
        for part in upload["direct"]["parts"]:
            begin = (part["number"] - 1) * upload["direct"]["part_size"]
            sent.append(put(part, content[begin : begin + part["size"]]))
        return sent

    def complete(self, upload: dict, parts: list[dict]):
        return self.post(f"{upload['id']}/complete", headers={}, parts=parts)

    def sign(self, upload: dict, *numbers: int):
        return self.post(f"{upload['id']}/parts", headers={}, numbers=list(numbers))

    def get(self, upload: dict):
        return self.client.get(URL + upload["id"])

    def delete(self, upload: dict):
        return self.client.delete(URL + upload["id"], **DIRECT)


def put(part: dict, content: bytes) -> dict:
    answer = httpx.put(part["url"], content=content, timeout=60)
    assert answer.status_code == 200, answer.text
    return {"number": part["number"], "etag": answer.headers["ETag"]}


def row(upload: dict) -> Upload:
    return Upload.objects.get(pk=upload["id"])


def way() -> Direct:
    """Return the way of clients into the bucket of this process."""
    found = storage.store().direct()
    assert found is not None
    return found
