"""Flows of videos and sign-ins."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

from django.test import override_settings

from accounts.roles import Role
from analytics.tests.failpoints.flow import Flow
from payments.models import Coupon
from payments.services.buying import checkout
from videos import jobs, presence
from videos.models import Chunk, Video
from videos.services import catalogue, chunking, publishing, sources
from videos.tests import media

PASSWORD = "correct horse battery"


class DeleteVideo(Flow):
    """An owner deletes a video that is watched, and that another user is about to buy."""

    def prepare(self) -> None:
        self.order = self.sell()
        Coupon.objects.create(code="HALF", percent_bps=5000, max_redemptions=1)
        checkout.purchase(
            buyer=self.scene.make_user(),
            video_id=self.order.video_id,
            options=checkout.PurchaseOptions(coupon="HALF"),
        )
        self.video, self.client = self.order.video, self.staff()

    def act(self) -> None:
        self.client.delete(f"/api/v1/videos/{self.video.pk}")

    def check(self, *, came_back: bool) -> None:
        assert Video.objects.deleted().count() == 1 or not came_back


class RestoreVideo(DeleteVideo):
    def prepare(self) -> None:
        super().prepare()
        catalogue.delete_video(video=self.video, actor=None)

    def act(self) -> None:
        self.client.patch(f"/api/v1/videos/{self.video.pk}/restore")

    def check(self, *, came_back: bool) -> None:
        assert not Video.objects.deleted().exists() or not came_back


class Upload(Flow):
    """A creator sends a file for a new video."""

    def prepare(self) -> None:
        self.user = self.scene.make_user(Role.CREATOR)
        self.file = self.scene.received()

    def act(self) -> None:
        if self.file.path.exists():  # else the client sends it again, which is a new upload
            sources.create_with_source(creator=self.user, received=self.file, title="New")


class Replace(Upload):
    """A creator sends another file for a READY video."""

    def prepare(self) -> None:
        super().prepare()
        self.video = self.scene.make_video(creator=self.user)

    def act(self) -> None:
        if self.file.path.exists():
            sources.attach_source(video=self.video, received=self.file, actor=self.user)


class Process(Upload):
    """The worker's child process makes the first rendition of the source."""

    def prepare(self) -> None:
        super().prepare()
        sources.create_with_source(creator=self.user, received=self.file, title="New")

    def act(self) -> None:
        job = jobs.claim_next(presence.worker_name())
        # Without the progress of each second, the flow has the same commits every time.
        with patch.object(publishing, "REPORT_EVERY_SECONDS", float("inf")):
            if job is not None:
                publishing.process(job)


class ProcessRest(Process):
    """The worker's child process makes all renditions of a video that has its first one."""

    def prepare(self) -> None:
        super().prepare()
        self.act()


class ProcessInChunks(ProcessRest):
    """The worker's child process makes all renditions of a longer video, in chunks."""

    def prepare(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            clip = Path(folder) / "clip.mp4"
            media.ffmpeg(*media.picture(seconds=4, size="160x90"), *media.h264("-g", "25"), clip)
            received = partial(self.scene.received, clip)
            self.scene = replace(self.scene, received=received)
            super().prepare()

    def act(self) -> None:
        with (
            override_settings(CHUNK_SECONDS=2, CHUNKS_FROM_SECONDS=1),
            patch.object(chunking, "REPORT_EVERY_SECONDS", float("inf")),
        ):
            super().act()

    def check(self, *, came_back: bool) -> None:
        assert not Chunk.objects.exclude(job__state__in=["queued", "running"]).exists()


class SignIn(Flow):
    """A user signs in, and uses the refresh token."""

    def prepare(self) -> None:
        self.user = self.scene.make_user(password=PASSWORD)
        self.client = self.scene.client_for()

    def act(self) -> None:
        body = {"email": self.user.email, "password": PASSWORD}
        token = self.post("/api/v1/auth/login", body)["refresh_token"]
        self.post("/api/v1/auth/refresh", {"refresh_token": token})


class Refresh(Flow):
    """A client gets new tokens, and does not hear the answer."""

    def prepare(self) -> None:
        self.user = self.scene.make_user(password=PASSWORD)
        body = {"email": self.user.email, "password": PASSWORD}
        self.client = self.scene.client_for()
        self.token = self.post("/api/v1/auth/login", body)["refresh_token"]

    def act(self) -> None:
        self.post("/api/v1/auth/refresh", {"refresh_token": self.token})
