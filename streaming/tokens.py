"""The stream token: signed, good for one minute, starts one playback session.

It opens no media file; the grant of the session does.
"""

import time
import uuid
from dataclasses import dataclass
from functools import lru_cache

from django.conf import settings
from django.core import signing

from config.ids import uuid7
from streaming.errors import StreamTokenExpired, StreamTokenInvalid

SALT = "stream-token"
REVIEW, PREVIEW = "review", "preview"


@dataclass(frozen=True, slots=True)
class StreamToken:
    """The content of a stream token.

    It names the session that it starts, so redeeming it again continues that session.
    """

    session_id: uuid.UUID
    video_id: uuid.UUID
    user_id: uuid.UUID | None
    is_review: bool = False  # a moderator's, from the desk
    is_preview: bool = False


def issue(
    *,
    video_id: uuid.UUID,
    user_id: uuid.UUID | None,
    is_review: bool = False,
    is_preview: bool = False,
) -> str:
    """Return a signed token for this video and user (None: anonymous).

    It is good for STREAM_TOKEN_SECONDS and names a new session id.
    """
    content = [uuid7().hex, video_id.hex, user_id.hex if user_id else ""]
    if is_review:
        content.append(REVIEW)
    if is_preview:
        content.append(PREVIEW)
    return _signer(settings.STREAM_KEY).sign_object(content)


def read(token: str) -> StreamToken:
    """Return the content of a token that this service signed.

    Raises StreamTokenExpired for a token that is too old, StreamTokenInvalid for any other text and for
    a token from the future: a clock that is wrong by more than CLOCKS_DIFFER_BY would lengthen its
    minute.
    """
    latest = time.time() + settings.CLOCKS_DIFFER_BY.total_seconds()
    try:
        content = _signer(settings.STREAM_KEY).unsign_object(
            token, max_age=settings.STREAM_TOKEN_SECONDS
        )
        session, video, user, *marks = content
        if signing.b62_decode(token.split(":")[1]) > latest:
            raise StreamTokenInvalid()
        return StreamToken(
            uuid.UUID(session),
            uuid.UUID(video),
            uuid.UUID(user) if user else None,
            is_review=REVIEW in marks,
            is_preview=PREVIEW in marks,
        )
    except signing.SignatureExpired:
        raise StreamTokenExpired() from None
    except (signing.BadSignature, ValueError, TypeError):
        raise StreamTokenInvalid() from None


@lru_cache(maxsize=1)
def _signer(key: str) -> signing.TimestampSigner:
    return signing.TimestampSigner(key=key, salt=SALT)
