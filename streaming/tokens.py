"""The one-minute stream token: the right to *start* one playback session. Not a key to the video."""

import uuid
from dataclasses import dataclass

from django.conf import settings
from django.core import signing

from config.ids import uuid7
from streaming.errors import StreamTokenExpired, StreamTokenInvalid

SALT = "stream-token"


@dataclass(frozen=True, slots=True)
class StreamToken:
    """Names the session that it starts: whoever redeems it again continues that session."""

    session_id: uuid.UUID
    video_id: uuid.UUID
    user_id: uuid.UUID | None


def issue(*, video_id: uuid.UUID, user_id: uuid.UUID | None) -> str:
    """A signed token bound to video and user, good for STREAM_TOKEN_SECONDS."""
    content = [uuid7().hex, video_id.hex, user_id.hex if user_id else ""]
    return _signer().sign_object(content)


def read(token: str) -> StreamToken:
    """What a genuine token says. Raises StreamTokenExpired, StreamTokenInvalid."""
    try:
        session, video, user = _signer().unsign_object(token, max_age=settings.STREAM_TOKEN_SECONDS)
        return StreamToken(uuid.UUID(session), uuid.UUID(video), uuid.UUID(user) if user else None)
    except signing.SignatureExpired:
        raise StreamTokenExpired() from None
    except (signing.BadSignature, ValueError, TypeError):
        raise StreamTokenInvalid() from None


def _signer() -> signing.TimestampSigner:
    return signing.TimestampSigner(key=settings.STREAM_KEY, salt=SALT)
