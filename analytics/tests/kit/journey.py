"""What the README of the Python client does not show: refusals, renewals, cuts and resumed uploads.

``journey.py URL CUT_URL FOLDER``: CUT_URL is the same service behind a proxy that cuts connections. The
folder has ``noise.mp4``, which is no video. `analytics/tests/test_client_kit.py` runs this.
"""

import contextlib
import os
import sys
import time
import uuid
from pathlib import Path

from vod_client import ApiError, NotReady, ProcessingFailed, Vod, auth, result
from vod_client.generated.api.auth import auth_me_retrieve
from vod_client.generated.api.videos import videos_create
from vod_client.generated.models import VideoRequest

EMAIL, PASSWORD = os.environ["VOD_EMAIL"], os.environ["VOD_PASSWORD"]
MEGABYTE = 1024**2


class Stop(Exception):
    """The end of a process in the middle of an upload."""


def refusals(url: str) -> None:
    try:
        Vod.sign_in(url, EMAIL, "another pass phrase")
    except ApiError as refusal:
        assert (refusal.status, refusal.code) == (401, "wrong_credentials"), refusal
    else:
        raise AssertionError("A wrong password was accepted.")
    with Vod(url) as anonymous:
        try:
            result(auth_me_retrieve.sync(client=anonymous.api))
        except ApiError as refusal:
            assert refusal.code == "not_authenticated", refusal
        else:
            raise AssertionError("Nobody was signed in.")


def renewals(vod: Vod) -> None:
    """A token that is about to expire is renewed before a request, and one that is refused after it."""
    bearer = vod.api.get_httpx_client().auth
    assert isinstance(bearer, auth.Bearer)
    first = bearer._token
    bearer._expires_at = time.monotonic() + auth.EARLY - 1
    result(auth_me_retrieve.sync(client=vod.api))
    second = bearer._token
    bearer._token = "refused"
    result(auth_me_retrieve.sync(client=vod.api))
    assert len({first, second, bearer._token, "refused"}) == 4


def cuts(vod: Vod, noise: Path) -> None:
    """An upload through cut connections arrives whole, and a failed video says why."""
    seen: list[int] = []
    uploaded = vod.upload(
        noise,
        title="Noise",
        chunk_size=MEGABYTE,
        on_progress=lambda sent, size: seen.append(sent),
    )
    assert seen[0] == 0
    assert seen[-1] == noise.stat().st_size
    try:
        vod.wait_until_ready(uploaded.video_id, timeout=60, poll=0.2)
    except ProcessingFailed as failure:
        assert failure.code
        assert failure.detail.endswith("."), failure
    else:
        raise AssertionError("Noise was no video.")


def resumed(vod: Vod, noise: Path) -> None:
    """An upload goes on where it stood, with another connection, and not with another file."""
    urls: list[str] = []

    def stop(sent: int, size: int) -> None:
        if sent >= 3 * MEGABYTE:
            raise Stop

    with contextlib.suppress(Stop):
        vod.upload(noise, chunk_size=MEGABYTE, on_progress=stop, on_url=urls.append)
    [address] = urls
    other = noise.with_name("other.mp4")
    other.write_bytes(b"other")
    try:
        vod.upload(other, url=address)
    except ValueError as refusal:
        assert "is not the file" in str(refusal)
    else:
        raise AssertionError("Another file was sent.")
    seen: list[int] = []
    uploaded = vod.upload(noise, url=address, on_progress=lambda sent, size: seen.append(sent))
    assert seen == [3 * MEGABYTE, noise.stat().st_size], seen
    assert uploaded.url == address


def patience(vod: Vod) -> None:
    empty = result(videos_create.sync(client=vod.api, body=VideoRequest(title="Without a file")))
    begun = time.monotonic()
    try:
        vod.wait_until_ready(empty.id, timeout=1, poll=0.3)
    except NotReady:
        assert time.monotonic() - begun < 5
    else:
        raise AssertionError("It cannot be READY.")
    try:
        vod.wait_until_ready(uuid.uuid4(), timeout=60)
    except ApiError as refusal:
        assert refusal.code == "not_found"


def main(url: str, cut_url: str, folder: Path) -> None:
    refusals(url)
    with Vod.sign_in(url, EMAIL, PASSWORD) as vod:
        renewals(vod)
        patience(vod)
        resumed(vod, folder / "noise.mp4")
    with Vod.sign_in(cut_url, EMAIL, PASSWORD) as vod:
        cuts(vod, folder / "noise.mp4")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
