"""Uploads by tus 1.0.0 (https://tus.io/protocols/resumable-upload): in chunks, resumed after an error.

httpx and not tuspy: tuspy 1.1.0 gives its requests no time-out, so a connection that dies in silence
would hold an upload for ever, and it could not use the sign-in that renews itself.
"""

import hashlib
import os
import time
import uuid
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urljoin

import httpx

from vod_client.errors import ApiError, UploadInterrupted

CHUNK = 8 * 1024 * 1024  # bytes of one request, all of which a checksum covers
FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds
# The answers after which the rest may still be sent: too slow, another offset, busy, too many requests,
# and a checksum that shows that bytes were changed on the way (460).
PASSING = {408, 409, 423, 429, 460}
_HEADERS = {"Tus-Resumable": "1.0.0"}
Progress = Callable[[int, int], object]


@dataclass(frozen=True)
class Uploaded:
    """A complete upload: the video that it belongs to, and the upload's own address."""

    video_id: uuid.UUID
    url: str


def upload(
    client: httpx.Client,
    base_url: str,
    path: str | os.PathLike[str],
    *,
    metadata: dict[str, str],
    url: str | None,
    chunk_size: int,
    patience: float,
    on_progress: Progress | None,
    on_url: Callable[[str], object] | None,
) -> Uploaded:
    """Send a file. `Vod.upload` says what is promised."""
    path = Path(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        if url is None:
            answer = _create(client, base_url, size, {"filename": path.name, **metadata})
            url, offset = urljoin(f"{base_url}/", answer.headers["Location"]), 0
        else:
            url = urljoin(f"{base_url}/", url)
            answer = _head(client, url)
            offset = _offset(answer)
            if answer.headers.get("Upload-Length", str(size)) != str(size):
                raise ValueError(f"{path} is not the file of this upload: its size is {size}.")
        if on_url is not None:
            on_url(url)
        video_id = uuid.UUID(answer.headers["Video-Id"])
        _send(client, url, file, offset, size, chunk_size, patience, on_progress)
    return Uploaded(video_id, url)


def _create(
    client: httpx.Client, base_url: str, size: int, metadata: dict[str, str]
) -> httpx.Response:
    pairs = (f"{key} {b64encode(value.encode()).decode()}" for key, value in metadata.items())
    headers = {**_HEADERS, "Upload-Length": str(size), "Upload-Metadata": ",".join(pairs)}
    answer = client.post("/api/v1/uploads/", headers=headers)
    if answer.status_code != 201:
        raise ApiError.of(answer)
    return answer


def _send(
    client: httpx.Client,
    url: str,
    file: BinaryIO,
    offset: int,
    size: int,
    chunk_size: int,
    patience: float,
    on_progress: Progress | None,
) -> None:
    """Send the bytes from ``offset``. After an error, ask where the service stands, and go on there."""
    moved_at, wait, is_known = time.monotonic(), FIRST_WAIT, True
    while True:
        if on_progress is not None:
            on_progress(offset, size)
        if offset >= size:
            return
        try:
            if not is_known:
                reached, is_known = _offset(_head(client, url)), True
            else:
                reached = _patch(client, url, file, offset, chunk_size)
        except (httpx.TransportError, ApiError) as error:
            if isinstance(error, ApiError) and error.status < 500 and error.status not in PASSING:
                raise
            if time.monotonic() - moved_at > patience:
                raise UploadInterrupted(url, offset) from error
            is_known = False
            time.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            continue
        if reached > offset:
            moved_at, wait = time.monotonic(), FIRST_WAIT
        offset = reached


def _patch(client: httpx.Client, url: str, file: BinaryIO, offset: int, chunk_size: int) -> int:
    file.seek(offset)
    chunk = file.read(chunk_size)
    checksum = b64encode(hashlib.sha256(chunk).digest()).decode()
    headers = {
        **_HEADERS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(offset),
        "Upload-Checksum": f"sha256 {checksum}",
    }
    answer = client.patch(url, content=chunk, headers=headers)
    if answer.status_code != 204:
        raise ApiError.of(answer)
    return _offset(answer)


def _head(client: httpx.Client, url: str) -> httpx.Response:
    answer = client.head(url, headers=_HEADERS)
    if answer.status_code not in {200, 204}:
        raise ApiError.of(answer)
    return answer


def _offset(answer: httpx.Response) -> int:
    return int(answer.headers["Upload-Offset"])
