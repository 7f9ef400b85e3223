"""The check of a grant for a file, which needs no database: the only one, for all kinds of files."""

import time

from streaming.delivery import previews
from streaming.delivery.answers import Refusal
from streaming.delivery.grants import GrantRefused, Grants, Part, PreviewEnded
from streaming.delivery.snapshot import Snapshot


def authorise(
    grant: str, video: str, *, user_agent: str, address: str, checker: Grants, snapshot: Snapshot
) -> bytes:
    """Check a grant for a file of ``video`` (the id in the path); return the session's 16 bytes.

    Raises Refusal: the grant's own refusals, ``unavailable`` while the snapshot is stale,
    ``session_ended``. Notes that the session is active.
    """
    try:
        session = checker.check(
            grant, bytes.fromhex(video.replace("-", "")), user_agent, address, time.time()
        )
    except GrantRefused as error:
        raise Refusal(error.code) from None
    _require_running(session, snapshot)
    return session


def authorise_preview(
    grant: str,
    video: str,
    path: str,
    extension: str,
    *,
    user_agent: str,
    address: str,
    checker: Grants,
    snapshot: Snapshot,
) -> tuple[bytes, Part]:
    """Check the grant of a preview for the file ``path`` of ``video``, which begins with the version.

    Returns the session, and the part of the version with which texts must end. Raises what ``authorise``
    raises, and after that ``preview_ended`` for a file that the preview does not open.
    """
    version = path.partition("/")[0]
    video_id = bytes.fromhex(video.replace("-", ""))
    try:
        session, part = checker.check_preview(
            grant, video_id, version, user_agent, address, time.time()
        )
    except GrantRefused as error:
        raise Refusal(error.code) from None
    _require_running(session, snapshot)
    if not previews.is_open(path, extension, part):
        raise Refusal(PreviewEnded.code)
    return session, part


def _require_running(session: bytes, snapshot: Snapshot) -> None:
    if snapshot.is_stale():
        raise Refusal("unavailable")
    if snapshot.is_ended(session):
        raise Refusal("session_ended")
    snapshot.touch(session)
