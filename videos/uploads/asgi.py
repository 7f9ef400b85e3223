"""Uploads of videos as an ASGI application: bytes go from the socket to the disk, past Django.

The caller's access is decided before the first byte is read. The body is taken in on the event loop and
written by a few threads for files, so a slow upload holds no thread. Then Django answers, with the form
in the request's environment (`SourceMultiPartParser`).
"""

import asyncio
import io
import re
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import cast

from django.db import DatabaseError
from rest_framework.exceptions import APIException
from rest_framework.request import Request

from accounts.authentication import BearerAuthentication
from accounts.models import User
from config import ids
from config.bodies import BodyRefused, ClientGone, Receive, Scope, Waiting, take_large
from config.bridge import Bridge, Send, environ_of
from config.errors import NotVisible, ServiceUnavailable
from config.http import Request as HttpRequest
from config.lanes import Environ
from videos import jobs
from videos.errors import LengthRequired, UploadInterrupted
from videos.models import Video
from videos.permissions import OwnsVideo
from videos.uploads.form import Form
from videos.uploads.parser import ENVIRON_KEY, announced_length
from videos.uploads.received import check_room

_ROUTES = {
    "POST": re.compile(r"/api/v1/videos/?"),
    "PUT": re.compile(rf"/api/v1/videos/(?P<video>{ids.FORM})/file/?"),
}
WRITE_BYTES = 64 * 1024  # collected before a thread is asked to write them
THREADS = 4


class Uploads:
    """The ASGI application for the requests that it ``takes``."""

    def __init__(self, bridge: Bridge):
        self._bridge, self._waiting = bridge, Waiting()
        self._files = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads")
        self._sending = ThreadPoolExecutor(THREADS, thread_name_prefix="uploads-send")

    def takes(self, scope: Scope) -> bool:
        """Return whether the request is an upload of a form to one of the routes for videos."""
        route = _ROUTES.get(scope["method"])
        if route is None or not route.fullmatch(scope["path"]):
            return False
        kinds = [value for name, value in scope["headers"] if name == b"content-type"]
        return bool(kinds) and kinds[0].lower().startswith(b"multipart/form-data")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        environ = {**environ_of(scope), "wsgi.input": io.BytesIO()}
        outcome: Form | Exception | None = None
        try:
            async with asyncio.timeout(None) as deadline:
                with self._waiting.refuse_newest(environ["REMOTE_ADDR"], deadline):
                    outcome = await self._take_in(scope, environ, receive)
        except BodyRefused as refusal:
            outcome = refusal_of(refusal)
        if isinstance(outcome, Form):
            outcome = await self._sent(outcome, environ)
        is_read = isinstance(outcome, Form)
        environ[ENVIRON_KEY] = outcome
        try:
            await self._bridge.answer_upload(environ, scope, receive, send, is_read=is_read)
        finally:
            if isinstance(outcome, Form):
                outcome.discard()  # a stored file has moved away, and stays

    async def _sent(self, form: Form, environ: Environ) -> Form | APIException:
        """Send a form's file to the store before Django is asked, whose threads are few.

        Return the form, or the reason why the file could not be sent.
        """
        match = _ROUTES[environ["REQUEST_METHOD"]].fullmatch(environ["PATH_INFO"])
        named = match and match.groupdict().get("video")
        loop = asyncio.get_running_loop()
        try:
            video_id = uuid.UUID(named) if named else ids.uuid7()
            await loop.run_in_executor(self._sending, form.send, video_id)
        except BaseException as error:
            await loop.run_in_executor(self._files, form.discard)
            if isinstance(error, APIException):
                return error
            raise
        return form

    async def _take_in(
        self, scope: Scope, environ: Environ, receive: Receive
    ) -> Form | APIException:
        """Return the complete form, or the reason why there is none."""
        loop = asyncio.get_running_loop()
        refusal = await self._bridge.look_up(refusal_before_body, environ)
        if refusal is not None:
            return refusal
        form = None
        try:
            form = Form(environ.get("CONTENT_TYPE", ""))
            waiting, left = bytearray(), announced_length(environ)
            async for part in take_large(receive):
                waiting += part
                left -= len(part)
                if len(waiting) >= WRITE_BYTES or not left:
                    data, waiting = bytes(waiting), bytearray()
                    await loop.run_in_executor(self._files, form.feed, data)
            await loop.run_in_executor(self._files, form.complete)
        except BaseException as error:
            if form is not None:
                await loop.run_in_executor(self._files, form.discard)
            if isinstance(error, ClientGone):
                return UploadInterrupted()
            if isinstance(error, APIException):
                return error
            raise
        return form


def refusal_before_body(environ: Environ) -> APIException | None:
    """Return why a request may not upload, as far as it is known before its body; None if it may.

    Django decides again when it answers. A request that is refused here is answered without its body.
    """
    request = Request(HttpRequest(environ), authenticators=[BearerAuthentication()])
    try:
        match = _ROUTES[environ["REQUEST_METHOD"]].fullmatch(environ["PATH_INFO"])
        video_id = match and match.groupdict().get("video")
        video = None
        if video_id is None:
            if not request.user.has_perm("videos.add_video"):
                return NotVisible()
        else:
            video = Video.objects.visible_to(request.user).filter(pk=uuid.UUID(video_id)).first()
            if video is None or not OwnsVideo.allows(request.user, video, "upload"):
                return NotVisible()
        if not environ.get("CONTENT_LENGTH"):
            return LengthRequired()
        size = announced_length(environ)
        check_room(size)
        creator = video.creator if video else cast("User", request.user)
        jobs.refuse_beyond_quota(creator, size=size, replaced=video)
    except APIException as refusal:
        return refusal
    except DatabaseError:
        return ServiceUnavailable()
    return None


def refusal_of(refusal: BodyRefused) -> APIException:
    """Return a refusal of the body as an error of the API, which is answered and recorded as one.

    A service that is busy is no fault of the code: its refusal is logged without a traceback.
    """
    if refusal.status == ServiceUnavailable.status_code:
        return ServiceUnavailable(refusal.detail, refusal.code)
    error = APIException(refusal.detail, refusal.code)
    error.status_code = refusal.status
    return error
