"""The throw-away people and the video of a check, on the database of the service that is checked.

People have no password and addresses that no mail reaches (RFC 2606, section 2). The buyer pays with a
coupon for everything, so no gateway is asked and the books stay as they are.
"""

import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from accounts import tokens
from accounts.models import User
from accounts.roles import Role
from accounts.services import set_active
from config.errors import DomainError
from payments.models import Coupon
from payments.services.buying import checkout, orders
from payments.services.offers import coupons
from streaming.leaks import rules
from streaming.leaks.asking import Door
from videos.models import Video
from videos.moderation import cases
from videos.presentation import captioning, chapters, cues
from videos.processing.synthesis import synthesise
from videos.services import catalogue, purging

SECONDS, SIZE, RATE = 13, "320x180", 12  # four segments
PREVIEW = 3  # seconds: within the first segment, so that at most two may be given
PATIENCE_SECONDS = 600  # of a busy queue
PRICE = 500
ROLES = {
    rules.STRANGER: Role.VIEWER,
    rules.BUYER: Role.VIEWER,
    rules.REFUNDED: Role.VIEWER,
    rules.MODERATOR: Role.VIEWER,
    rules.CREATOR: Role.CREATOR,
    rules.OWNER: Role.CREATOR,
    rules.ADMIN: Role.ADMIN,
}
CAPTION = b"WEBVTT\n\n00:00.000 --> 00:12.000\nleakcheck\n"
Progress = Callable[[float], None]  # percent


class NotPrepared(Exception):
    """The check cannot begin; the text says why."""


@dataclass
class Stage:
    """People by the names of `rules`, and two videos: the one that is checked, and another free one."""

    label: str = field(default_factory=lambda: secrets.token_hex(4))
    people: dict[str, User] = field(default_factory=dict)
    videos: list[Video] = field(default_factory=list)
    coupon: Coupon | None = None

    @property
    def video(self) -> Video:
        """The video that is checked, as its row is now. Raises NotPrepared."""
        return self._fresh(0)

    @property
    def other(self) -> Video:
        """A free video of the same owner. Raises NotPrepared."""
        return self._fresh(1)

    def _fresh(self, number: int) -> Video:
        if number >= len(self.videos):
            raise NotPrepared("the videos have not been made")
        self.videos[number].refresh_from_db()
        return self.videos[number]

    def token(self, viewer: str) -> str:
        """Return an access token of a person; an empty text for the anonymous viewer."""
        user = self.people.get(viewer)
        return tokens.issue(user, user_agent="leakcheck").access if user else ""

    def make_people(self) -> None:
        for viewer, role in ROLES.items():
            name = viewer.replace(" ", "-")
            self.people[viewer] = User.objects.create_user(
                f"{name}-{self.label}@leakcheck.invalid",
                role=role,
                display_name=f"leakcheck {viewer}",
                is_moderator=viewer == rules.MODERATOR,
                email_verified=True,
            )

    def make_videos(self, door: Door, on_percent: Progress) -> None:
        """Upload a synthetic video twice, through the service, and wait until both are READY.

        Raises NotPrepared, and ToolFailed without FFmpeg.
        """
        with tempfile.TemporaryDirectory() as folder:
            clip = synthesise(
                Path(folder) / "clip.mp4", seconds=SECONDS, size=SIZE, rate=RATE
            ).read_bytes()
        for name in ("one", "other"):
            self.videos.append(self._upload(door, clip, f"leakcheck {name} {self.label}"))
        owner = self.people[rules.OWNER]
        for number, video in enumerate(self.videos):
            for percent in _until_ready(video):
                on_percent((number * 100 + percent) / 2)
            captioning.add_caption(video=video, actor=owner, language="en", cues=cues.read(CAPTION))
            chapters.set_chapters(
                video=video, actor=owner, chapters=[{"start_seconds": 0, "title": "leakcheck"}]
            )

    def _upload(self, door: Door, clip: bytes, title: str) -> Video:
        mark = secrets.token_hex(16)
        form = f'--{mark}\r\nContent-Disposition: form-data; name="title"\r\n\r\n{title}\r\n--{mark}\r\n'
        form += 'Content-Disposition: form-data; name="file"; filename="clip.mp4"\r\n'
        form += "Content-Type: video/mp4\r\n\r\n"
        answer = door.ask(
            "/api/v1/videos/",
            method="POST",
            token=self.token(rules.OWNER),
            headers={"Content-Type": f"multipart/form-data; boundary={mark}"},
            body=form.encode() + clip + f"\r\n--{mark}--\r\n".encode(),
        )
        if answer.status != 201:
            raise NotPrepared(f"the upload of a video was answered with {answer.status}")
        found = Video.objects.filter(pk=answer.json()["id"]).first()
        if found is None:
            raise NotPrepared("this command does not use the database of the service that it asks")
        return found

    # --- the states of `rules`, in their order ------------------------------------------------------

    def enter(self, state: str) -> None:
        """Bring the video from the state before to this one, and the buyers to what they have."""
        video, owner = self.video, self.people[rules.OWNER]
        visibility = Video.Visibility
        match state:
            case "free":
                pass  # as it was uploaded
            case "paid, with a preview":
                catalogue.change_video(
                    video=video, actor=owner, is_paid=True, price=PRICE, preview_seconds=PREVIEW
                )
                self._sell()
            case "paid":
                catalogue.change_video(video=video, actor=owner, preview_seconds=None)
            case "unlisted, paid":
                catalogue.change_video(video=video, actor=owner, visibility=visibility.UNLISTED)
            case "private, paid":
                catalogue.change_video(video=video, actor=owner, visibility=visibility.PRIVATE)
            case "taken down":
                moderator = self.people[rules.MODERATOR]
                case_ = cases.open_case(video_id=video.pk, actor=moderator)
                note = "A check of the service itself. Nothing is wrong with this video."
                cases.take_down(case_id=case_.pk, actor=moderator, reason="other", note=note)
            case "deleted":
                catalogue.delete_video(video=video, actor=owner)
            case _:
                raise ValueError(state)

    def _sell(self) -> None:
        """Let the buyers order the video for nothing, and take one order back."""
        owner, admin = self.people[rules.OWNER], self.people[rules.ADMIN]
        self.coupon = coupons.create_coupon(
            actor=admin,
            code=f"leakcheck-{self.label}",
            percent_bps=10_000,
            funded_by=Coupon.Funding.CREATOR,
            creator=owner,
        )
        options = checkout.PurchaseOptions(coupon=self.coupon.code)
        try:
            for viewer in (rules.BUYER, rules.REFUNDED):
                order, _ = checkout.purchase(
                    buyer=self.people[viewer], video_id=self.video.pk, options=options
                )
                if viewer == rules.REFUNDED:
                    orders.give_back(
                        order_id=order.pk, amount=None, reason="leakcheck", actor=admin
                    )
        except DomainError as error:
            raise NotPrepared(f"the video could not be sold: {error}") from None

    # --- afterwards ---------------------------------------------------------------------------------

    def clean_up(self) -> None:
        """Delete the videos with their files at once, and deactivate the people. Safe to repeat."""
        admin = self.people.get(rules.ADMIN)
        for video in self.videos:
            video.refresh_from_db()
            if video.deleted_at is None:
                catalogue.delete_video(video=video, actor=admin)
            purging.purge(video, at_once=True)
        if self.coupon is not None and admin is not None:
            coupons.change_coupon(coupon_id=self.coupon.pk, actor=admin, is_active=False)
        for user in self.people.values():
            set_active(user_id=user.pk, is_active=False, actor=None)


def _until_ready(video: Video) -> Iterator[int]:
    """Yield the percentage of a video's processing until it is READY. Raises NotPrepared."""
    end = time.monotonic() + PATIENCE_SECONDS
    while True:
        video.refresh_from_db()
        if video.status == Video.Status.READY:
            return
        if video.status == Video.Status.FAILED:
            raise NotPrepared("a video could not be processed")
        if time.monotonic() > end:
            raise NotPrepared(
                f"a video was not READY after {PATIENCE_SECONDS} s: is a worker running?"
            )
        yield video.job.percent if video.job else 0
        time.sleep(0.3)
