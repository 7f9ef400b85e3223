"""The journey with the client of openapi-python-client: ``journey.py URL CLIP EMAIL PASSWORD``.

The email address and the password are the administrator's. `analytics/tests/test_clients.py` generates
the client, checks the types and runs this file.
"""

import sys
import time
import uuid
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urljoin

import httpx
from vod_client import AuthenticatedClient, Client
from vod_client.api.auth import auth_login_create, auth_me_retrieve, auth_register_create
from vod_client.api.payments import payments_orders_refund_create, payments_purchase_create
from vod_client.api.stream import (
    stream_play_retrieve,
    stream_retrieve,
    stream_sessions_heartbeat_create,
)
from vod_client.api.users import users_role_partial_update
from vod_client.api.videos import videos_create, videos_retrieve
from vod_client.models import (
    Error,
    ErrorDetail,
    HeartbeatRequest,
    LoginFormRequest,
    LoginRequest,
    OrderStatusEnum,
    PatchedRoleRequest,
    Playback,
    PurchaseRequest,
    RegisterRequest,
    RoleEnum,
    StateEnum,
    User,
    Video,
    VideoRequest,
    VideoStatusEnum,
    VideoUploadRequest,
)
from vod_client.types import File, Response

T = TypeVar("T")
PASSWORD = "a long pass phrase"
PATIENCE = 120  # seconds until the clip must be READY


def good(answer: T | Error | None) -> T:
    """Return the body of an answer that is no error."""
    if answer is None or isinstance(answer, Error):
        raise AssertionError(f"The service refused: {answer}")
    return answer


def refused(answer: Response[T | Error], status: HTTPStatus, code: str) -> ErrorDetail:
    """Return the one error of an answer, which must have this status and code."""
    assert answer.status_code == status, answer
    assert isinstance(answer.parsed, Error), answer
    [error] = answer.parsed.errors
    assert error.code == code, error
    assert error.detail
    return error


def register(url: str, name: str) -> AuthenticatedClient:
    """Create an account and return its signed-in client."""
    client, email = Client(base_url=url), f"{name}-{uuid.uuid4().hex}@example.com"
    account = RegisterRequest(email=email, password=PASSWORD, display_name=name)
    user = good(auth_register_create.sync(client=client, body=account))
    assert (user.email, user.role) == (email, RoleEnum.VIEWER)

    again = auth_register_create.sync_detailed(client=client, body=account)
    assert refused(again, HTTPStatus.BAD_REQUEST, "unique").attr == "email"
    wrong = LoginRequest(email=email, password="another pass phrase")
    answer = auth_login_create.sync_detailed(client=client, body=wrong)
    refused(answer, HTTPStatus.UNAUTHORIZED, "wrong_credentials")
    return sign_in(url, email, PASSWORD)


def sign_in(url: str, email: str, password: str) -> AuthenticatedClient:
    """Sign in with JSON and with the form, and return a client with the token of the form."""
    client = Client(base_url=url)
    good(auth_login_create.sync(client=client, body=LoginRequest(email=email, password=password)))
    form = LoginFormRequest(username=email, password=password)
    tokens = good(auth_login_create.sync(client=client, body=form))
    return AuthenticatedClient(base_url=url, token=tokens.access_token)


def become_creator(creator: AuthenticatedClient, admin: AuthenticatedClient) -> User:
    """Let an administrator make the user a creator; the user may not do so."""
    user = good(auth_me_retrieve.sync(client=creator))
    role = PatchedRoleRequest(role=RoleEnum.CREATOR)
    answer = users_role_partial_update.sync_detailed(user.id, client=creator, body=role)
    refused(answer, HTTPStatus.FORBIDDEN, "permission_denied")
    changed = good(users_role_partial_update.sync(user.id, client=admin, body=role))
    assert changed.role is RoleEnum.CREATOR
    return changed


def upload(creator: AuthenticatedClient, clip: Path) -> uuid.UUID:
    """Upload the clip as a paid video, and return its id when it is READY."""
    untitled = VideoRequest(title=" ")
    answer = videos_create.sync_detailed(client=creator, body=untitled)
    assert refused(answer, HTTPStatus.BAD_REQUEST, "blank").attr == "title"
    with clip.open("rb") as file:
        body = VideoUploadRequest(
            title="The harbour at night",
            is_paid=True,
            price="19.99",
            tags=["fog", "harbour"],
            file=File(payload=file, file_name="harbour.mp4", mime_type="video/mp4"),
        )
        created = good(videos_create.sync(client=creator, body=body))
    assert created.status is VideoStatusEnum.UPLOADED
    assert created.source is not None
    assert created.source.filename == "harbour.mp4"

    for _ in range(PATIENCE):
        video = good(videos_retrieve.sync(created.id, client=creator))
        assert video.status is not VideoStatusEnum.FAILED, video.processing
        if video.status is VideoStatusEnum.READY:
            return video.id
        time.sleep(1)
    raise AssertionError(f"The video is not READY after {PATIENCE} seconds: {video.processing}")


def buy(viewer: AuthenticatedClient, video: Video) -> uuid.UUID:
    """Buy the video, after a card that is declined, and return the order's id."""
    declined = PurchaseRequest(payment_method="pm_card_chargeDeclined")
    answer = payments_purchase_create.sync_detailed(video.id, client=viewer, body=declined)
    error = refused(answer, HTTPStatus.PAYMENT_REQUIRED, "card_declined")
    assert error.decline_code == "generic_decline"

    key, wish = uuid.uuid4().hex, PurchaseRequest(payment_method="pm_card_visa")
    ids = set()
    for _ in range(2):  # the second time, the key gets the stored answer
        bought = payments_purchase_create.sync(
            video.id, client=viewer, body=wish, idempotency_key=key
        )
        order = good(bought).order
        assert order.status is OrderStatusEnum.PAID
        assert (order.amount, order.currency) == (video.price, video.currency.value)
        ids.add(order.id)
    [order_id] = ids
    return order_id


def watch(viewer: AuthenticatedClient, url: str, video_id: uuid.UUID) -> Playback:
    """Start playback, fetch a playlist and a segment, and report the part that was played."""
    token = good(stream_retrieve.sync(video_id, client=viewer)).stream_token
    playback = stream_play_retrieve.sync(
        token, client=Client(base_url=url), accept="application/json"
    )
    assert isinstance(playback, Playback), playback
    rendition = first_address(playback.hls_url)
    segment = httpx.get(first_address(rendition))
    assert segment.status_code == HTTPStatus.OK
    assert len(segment.content) > 100
    assert heartbeat(viewer, playback).status_code == HTTPStatus.NO_CONTENT
    return playback


def first_address(playlist: str) -> str:
    """Return the first address that an HLS playlist names."""
    answer = httpx.get(playlist)
    assert answer.status_code == HTTPStatus.OK, answer
    lines = answer.text.splitlines()
    return urljoin(playlist, next(line for line in lines if line and not line.startswith("#")))


def heartbeat(viewer: AuthenticatedClient, playback: Playback) -> Response[object | Error]:
    """Report that the first fifth of a second was played."""
    report = HeartbeatRequest(position_seconds=0.2, state=StateEnum.PLAYING, watched=[[0.0, 0.2]])
    return stream_sessions_heartbeat_create.sync_detailed(
        playback.session_id,
        client=viewer,
        body=report,
        playback_grant=playback.grant,
    )


def main(url: str, clip: Path, email: str, password: str) -> None:
    admin, creator = sign_in(url, email, password), register(url, "creator")
    become_creator(creator, admin)
    video_id = upload(creator, clip)

    viewer = register(url, "viewer")
    video = good(videos_retrieve.sync(video_id, client=viewer))
    assert video.playable
    answer = stream_retrieve.sync_detailed(video_id, client=viewer)
    refused(answer, HTTPStatus.FORBIDDEN, "purchase_required")

    order_id = buy(viewer, video)
    playback = watch(viewer, url, video_id)

    order = good(payments_orders_refund_create.sync(order_id, client=viewer))
    assert order.status is OrderStatusEnum.REFUNDED
    answer = stream_retrieve.sync_detailed(video_id, client=viewer)
    refused(answer, HTTPStatus.FORBIDDEN, "purchase_required")
    refused(heartbeat(viewer, playback), HTTPStatus.GONE, "session_ended")
    wait_for_the_end(playback)


def wait_for_the_end(playback: Playback) -> None:
    """Wait until the media files of an ended session answer 410, within two seconds."""
    for _ in range(30):
        if httpx.get(playback.hls_url).status_code == HTTPStatus.GONE:
            return
        time.sleep(0.1)
    raise AssertionError("The media files of the ended session can still be fetched.")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4])
